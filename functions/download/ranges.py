"""The part of a file that a Range header asks for (RFC 9110, 14).

Our own parser, because werkzeug's calls `bytes=-0`, and parts that are not in order, unreadable: then the whole file is
sent where the answer should be 416.
"""

import re

from functions.model.errors import RangeNotSatisfiable

SPEC = re.compile(r"([0-9]*)-([0-9]*)")


def part(header: str | None, size: int) -> range | None:
    """The offsets of the one part that is asked for; None where the whole file is to be sent.

    The whole file answers a request without a Range, one whose Range cannot be read, and one for several parts at once,
    which no player needs (14.2 lets us ignore it). Raises RangeNotSatisfiable where the file has nothing of what is
    asked for. `size` is in bytes.
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
    """The offsets of one part, empty where the file has nothing of it. Raises ValueError where it cannot be read."""
    found = SPEC.fullmatch(spec)
    if found is None:
        raise ValueError(spec)
    first, last = found.groups()
    if not first:  # the last so many bytes; all of a file that is shorter (14.1.2)
        return range(max(0, size - int(last)), size)
    if last and int(last) < int(first):
        raise ValueError(spec)
    return range(int(first), min(int(last) + 1, size) if last else size)
