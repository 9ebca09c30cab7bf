"""Ports on the loopback interface that no other run on this machine will take."""

import random
import socket

LOOPBACK = "127.0.0.1"
# Below the range from which Linux takes the ports of outgoing connections, so none of those gets in between.
_RANGE = range(20_000, 32_000)
_reservations: list[socket.socket] = []


def reserve_port() -> int:
    """Choose a free port and keep it for this process until it ends.

    The reservation is an abstract socket's name: it binds no port, so the server can, yet every run on this machine
    sees it, and the kernel drops it with us, however we die.
    """
    while True:
        port = random.choice(_RANGE)  # noqa: S311 nothing secret
        reservation = socket.socket(socket.AF_UNIX)
        try:
            reservation.bind(f"\0video-to-mp3/port/{port}")
        except OSError:
            reservation.close()
            continue
        _reservations.append(reservation)
        if is_free(port):
            return port


def is_free(port: int) -> bool:
    """Tell whether nothing listens on a port of loopback."""
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((LOOPBACK, port))
        except OSError:
            return False
    return True
