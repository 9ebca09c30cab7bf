"""The bytes of a file from some place on, as the functions that look for its end read them."""

from enum import Enum
from typing import BinaryIO

from functions.model.media import MediaError, Reason

# Sizes that are written by who does not know the size yet: nothing, all ones, and what lies near the limits of 31 and
# 32 bits, such as 0x7fffffff, 0x7ffff024, 0x80000024 and 2,000,000,036 (docs/facts.md, Media).
_UNKNOWN_SIZES = range(2_000_000_000, 2**32)
_MOST = 2**48  # no file is larger, so that this is none of its sizes


class End(Enum):
    """What a file's own bytes say of its end, if it is not that something is missing there that once was."""

    WHOLE = "whole"
    INCOMPLETE = "incomplete"  # what wrote it was interrupted, or nothing tells that from a download that was
    UNKNOWN = "unknown"


class Window:
    """A file from `start` on, as if it began there. Positions and `size` are in bytes from there."""

    def __init__(self, file: BinaryIO, start: int, size: int) -> None:
        self._file, self._start = file, start
        self.size = size

    def seek(self, position: int) -> None:
        """Where the next read() begins."""
        self._file.seek(self._start + min(max(0, position), max(0, self.size)))

    def read(self, count: int) -> bytes:
        """The next bytes, as far as there are some."""
        return self._file.read(count)

    def at(self, position: int, count: int) -> bytes:
        """The bytes from that position on, as far as there are some."""
        self.seek(position)
        return self._file.read(count)


def is_unknown(size: int) -> bool:
    """Whether a size in a header is one that says nothing."""
    return size <= 0 or size in _UNKNOWN_SIZES or size >= _MOST


def cut(size: int, promised: int, say: str | None = None) -> MediaError:
    """The refusal of a file that has less than it promises, in bytes."""
    return MediaError(Reason.TRUNCATED, f"{size} bytes should be {promised}", say=say)
