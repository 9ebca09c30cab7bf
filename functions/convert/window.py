"""The bytes of a file from some place on, as the functions that look for its end read them.

A stranger chooses how many elements a file has: one of 4 GiB may have two thousand million. So each walk is counted,
and what can stop the work is asked while it lasts.
"""

from collections.abc import Callable
from enum import Enum
from typing import BinaryIO

from functions.model.media import MediaError, Reason

# Sizes that are written by who does not know the size yet: nothing, all ones, and what lies near the limits of 31 and
# 32 bits, such as 0x7fffffff, 0x7ffff024, 0x80000024 and 2,000,000,036 (docs/facts.md, Media).
_UNKNOWN_SIZES = range(2_000_000_000, 2**32)
_MOST = 2**48  # no file is larger, so that this is none of its sizes
# Elements, boxes, chunks that one walk may pass. A video of 12 h has two boxes for each second, or a Cluster for each
# five; and so many take us 0.2 s (measured).
MOST_STEPS = 100_000
_BETWEEN = 2**20  # bytes that are read between two calls of the checkpoint
_COST = 1024  # bytes that take as long as one read does besides its bytes


class Endless(Exception):
    """A walk has taken more steps than one through a video that people have: what it looked for is not known."""


class End(Enum):
    """What a file's own bytes say of its end, if it is not that something is missing there that once was."""

    WHOLE = "whole"
    INCOMPLETE = "incomplete"  # what wrote it was interrupted, or nothing tells that from a download that was
    UNKNOWN = "unknown"


class Window:
    """A file from `start` on, as if it began there. Positions and `size` are in bytes from there.

    `checkpoint` is called again and again while it is read, and may stop that by what it raises.
    """

    def __init__(self, file: BinaryIO, start: int, size: int, checkpoint: Callable[[], object] = lambda: None) -> None:
        self._file, self._start, self._checkpoint = file, start, checkpoint
        self._steps = self._owed = 0
        self.size = size

    def step(self, most: int = MOST_STEPS) -> None:
        """Counts one step of a walk. Raises Endless beyond so many through this window."""
        self._steps += 1
        if self._steps > most:
            raise Endless

    def seek(self, position: int) -> None:
        """Where the next read() begins."""
        self._file.seek(self._start + min(max(0, position), max(0, self.size)))

    def read(self, count: int) -> bytes:
        """The next bytes, as far as there are some."""
        data = self._file.read(count)
        self._owed += _COST + len(data)
        if self._owed >= _BETWEEN:
            self._owed = 0
            self._checkpoint()
        return data

    def at(self, position: int, count: int) -> bytes:
        """The bytes from that position on, as far as there are some."""
        self.seek(position)
        return self.read(count)


def is_unknown(size: int) -> bool:
    """Whether a size in a header is one that says nothing."""
    return size <= 0 or size in _UNKNOWN_SIZES or size >= _MOST


def cut(size: int, promised: int, say: str | None = None) -> MediaError:
    """The refusal of a file that has less than it promises, in bytes."""
    return MediaError(Reason.TRUNCATED, f"{size} bytes should be {promised}", say=say)
