"""The part of a file that a Range header asks for (RFC 9110, 14).

werkzeug's parser takes `bytes=-0` and parts in any order but the file's for unreadable, where a 416 may be due.
"""

import re

from functions.model.errors import RangeNotSatisfiable

SPEC = re.compile(r"([0-9]*)-([0-9]*)")


def part(header: str | None, size: int) -> range | None:
    """The offsets of the one part asked for; None where the whole is to be sent.

    That is the answer to no Range, to one that cannot be read, and also to several parts at once, which no player needs
    (14.2 leaves that to us). Raises RangeNotSatisfiable where nothing that is asked for is there.
    """
    unit, _, listed = (header or "").partition("=")
    specs = [text.strip(" \t") for text in listed.split(",")]
    try:
        parts = [_offsets(spec, size) for spec in specs if spec]
    except ValueError:
        return None
    if unit.lower() != "bytes" or not parts:
        return None
    if not any(parts):
        raise RangeNotSatisfiable(size)
    return parts[0] if len(parts) == 1 else None


def _offsets(spec: str, size: int) -> range:
    """Those of one part; none where the file has nothing of it. Raises ValueError where it cannot be read."""
    found = SPEC.fullmatch(spec)
    if found is None:
        raise ValueError(spec)
    first, last = found.groups()
    if not first:  # that many from the end; of a shorter file all (14.1.2)
        return range(max(0, size - int(last)), size)
    if last and int(last) < int(first):
        raise ValueError(spec)
    return range(int(first), min(int(last) + 1, size) if last else size)
