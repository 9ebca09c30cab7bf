"""The cores of this container, shared by the conversions that run in it."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from functions.model.errors import Throttled
from functions.runtime import cores

RETRY_AFTER = 5  # seconds, for the header of that name


class Cores:
    """So many cores, for at most so many conversions."""

    def __init__(self, count: int, conversions: int = 1) -> None:
        """A count of 0 stands for all that the container may use."""
        self._count, self._conversions = count or cores.available(), conversions
        self._running = 0
        self._lock = Lock()

    @contextmanager
    def conversion(self) -> Iterator[None]:
        """Counts a conversion for as long as the block lasts. Raises Throttled where as many run as may."""
        with self._lock:
            if self._running >= self._conversions:
                message = "this worker has all the videos it can convert at once; try again soon"
                raise Throttled(message, retry_after=RETRY_AFTER)
            self._running += 1
        try:
            yield
        finally:
            with self._lock:
                self._running -= 1

    @property
    def share(self) -> int:
        """How many each conversion has that runs now; at least one."""
        return max(1, self._count // max(1, self._running))
