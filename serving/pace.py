"""A client that sends a request too slowly is given up: it would occupy a thread for as long as it likes."""

import errno
import socket
import time
from contextlib import suppress
from typing import Any

RATE = 4096  # bytes per second, at least; a modem of 1998 had more
_DROPPED = 65536  # bytes at once
PATIENCE = 30.0  # seconds that are waited for a client before its rate counts


class TooSlow(ConnectionResetError):
    """The client sends, or takes, less than RATE bytes for each second that it was waited for.

    gunicorn takes a connection that was reset for what happens every day, and any other error for one of ours.
    """

    def __init__(self) -> None:
        super().__init__(errno.ECONNRESET, "the client is too slow")


class PacedSocket(socket.socket):
    """The connection of a client, whose rate is looked at with everything that comes.

    The limit on idling (functions/runtime/connection.py) is no help against one that sends a byte now and then, nor is
    a time limit that is looked at when a whole piece has come. What counts is only the time that is spent waiting for
    the client.
    """

    _waited = _received = 0.0
    _patience = PATIENCE

    @classmethod
    def of(cls, other: socket.socket) -> "PacedSocket":
        """The same connection; the other is no longer to be used."""
        is_blocking = other.getblocking()
        made = cls(fileno=other.detach())
        made.setblocking(is_blocking)
        return made

    def begin(self, patience: float = PATIENCE) -> None:
        """Counts anew, from here on: the next request comes, or the rest of one is to be dropped."""
        self._waited = self._received = 0.0
        self._patience = patience

    def hang_up(self, patience: float = 0.5) -> None:
        """Says that no more is sent, and drops for so many seconds at most what still comes, until the client closes.

        If it were closed while the client sends, the kernel would drop the answer with it (RFC 9112, 9.6).
        """
        with suppress(OSError):  # the client is silent, or gone
            self.shutdown(socket.SHUT_WR)
            self.settimeout(patience)
            until = time.monotonic() + patience
            while self.recv(_DROPPED) and time.monotonic() < until:
                pass
        with suppress(OSError):
            self.shutdown(socket.SHUT_RDWR)

    def recv(self, size: int, flags: int = 0) -> bytes:
        """As that of any socket. Raises TooSlow."""
        began = time.monotonic()
        try:
            data = super().recv(size, flags)
        except TimeoutError as error:
            raise TooSlow from error
        self._waited += time.monotonic() - began
        self._received += len(data)
        if self._waited > self._patience and self._received < self._waited * RATE:
            raise TooSlow
        return data

    def sendall(self, data: Any, flags: int = 0) -> None:
        """As that of any socket, whose time limit is for all of the data. Raises TooSlow."""
        try:
            super().sendall(data, flags)
        except TimeoutError as error:
            raise TooSlow from error
