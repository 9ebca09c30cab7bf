"""Connections that wait for the next query: the one used last comes first, and one that nobody wants is soon closed.

psycopg2's own pool keeps a fixed number of them. With fewer than there are requests at once most requests connect
anew, which costs more than their queries; with as many each instance of each function keeps all of them for ever.
"""

import time
from collections.abc import Callable
from threading import BoundedSemaphore, Lock, Timer
from typing import Generic, Protocol, TypeVar


class Connection(Protocol):
    """What is kept here."""

    @property
    def closed(self) -> int:
        """Not 0 once it is closed."""

    def close(self) -> None:
        """Frees its session on the server."""


C = TypeVar("C", bound=Connection)


class Pool(Generic[C]):
    """At most `most` connections, each open for `idle` seconds after it was last used."""

    def __init__(self, connect: Callable[[], C], most: int, idle: float) -> None:
        self._connect, self._idle = connect, idle
        self._free = BoundedSemaphore(most)
        self._lock = Lock()
        self._waiting: list[tuple[float, C]] = []  # since when, the longest first
        self._timer: Timer | None = None

    def get(self, seconds: float) -> C:
        """One for put() to take back. Raises TimeoutError where none is free in that time, and as connecting does."""
        if not self._free.acquire(timeout=seconds):
            raise TimeoutError("all connections are in use")
        with self._lock:
            if self._waiting:
                return self._waiting.pop()[1]
        try:
            return self._connect()
        except BaseException:
            self._free.release()
            raise

    def put(self, connection: C) -> None:
        """Keeps it for the next, unless it is closed."""
        with self._lock:
            if not connection.closed:
                self._waiting.append((time.monotonic(), connection))
                self._close_later()
        self._free.release()

    def _close_later(self) -> None:
        """Sets the alarm, if none is set, to when the one that has waited the longest is to be closed."""
        if self._timer is None and self._waiting:
            self._timer = Timer(max(0.0, self._waiting[0][0] + self._idle - time.monotonic()), self._close_idle)
            self._timer.daemon = True
            self._timer.start()

    def _close_idle(self) -> None:
        with self._lock:
            self._timer = None
            since = time.monotonic() - self._idle
            old = [each for at, each in self._waiting if at <= since]
            self._waiting = self._waiting[len(old) :]
            self._close_later()
        for connection in old:
            connection.close()
