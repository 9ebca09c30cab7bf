"""Ports on the loopback interface that no other run on this machine will take."""

import random
import socket
from functools import cache

LOOPBACK = "127.0.0.1"
LOOPBACK_6 = "::1"  # what `localhost` means to some clients
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
    return _can_bind(LOOPBACK, port) and (not has_ipv6() or _can_bind(LOOPBACK_6, port))


@cache
def has_ipv6() -> bool:
    """Tell whether this machine has a loopback of that kind; many containers have none."""
    return _can_bind(LOOPBACK_6, 0)


def _can_bind(address: str, port: int) -> bool:
    try:
        with socket.socket(socket.AF_INET6 if address == LOOPBACK_6 else socket.AF_INET) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind((address, port))
    except OSError:
        return False
    return True
