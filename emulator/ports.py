"""Ports on the loopback interface that no other system on this machine takes."""

import random
import socket
from functools import cache

LOOPBACK = "127.0.0.1"
LOOPBACK_6 = "::1"  # what `localhost` means to some clients
# Linux takes the ports of outgoing connections from 32768 up (ip_local_port_range), so none of those gets in our way.
_RANGE = range(20_000, 32_000)
_reservations: list[socket.socket] = []


def reserve_port() -> int:
    """Choose a free port that is ours until this process ends.

    The reservation is the name of an abstract socket (unix(7)). It does not take the port itself, so that the server
    can; every other run on this machine sees it; and the kernel removes it when we end, however that comes about.
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
    """Whether nothing listens on that port of either loopback address."""
    return _can_bind(LOOPBACK, port) and (not has_ipv6() or _can_bind(LOOPBACK_6, port))


@cache
def has_ipv6() -> bool:
    """Whether this machine has the IPv6 loopback address; many containers have not."""
    return _can_bind(LOOPBACK_6, 0)


def _can_bind(address: str, port: int) -> bool:
    try:
        with socket.socket(socket.AF_INET6 if address == LOOPBACK_6 else socket.AF_INET) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind((address, port))
    except OSError:
        return False
    return True
