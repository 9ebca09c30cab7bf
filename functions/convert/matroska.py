"""Where a Matroska or WebM file ends (RFC 9559): by the size of its Segment, or by the last Cluster of a recording."""

import re
from dataclasses import dataclass

from functions.convert.window import End, Window, cut

SEGMENT = b"\x18\x53\x80\x67"
_CLUSTER = b"\x1f\x43\xb6\x75"
# What a Cluster begins with: its time, or a checksum, Void, its place or the size of the one before.
_FIRST = (b"\xe7", b"\xbf", b"\xec", b"\xa7", b"\xab")
# What may come in a Cluster or behind one: blocks and their groups, the next Cluster, Cues, Tags, and what comes first.
_KNOWN = {*_FIRST, b"\xa3", b"\xa0", b"\xaf", _CLUSTER, b"\x1c\x53\xbb\x6b", b"\x12\x54\xc3\x67", b"\x11\x4d\x9b\x74"}
_MOST = 2**48  # bytes; a larger size says nothing
_READ = 2**20  # bytes at once
_FAR = 64 * _READ  # a Cluster has no more: its blocks count 32 s from its time


@dataclass(frozen=True)
class Element:
    """One EBML element: its name, and where its data is."""

    name: bytes
    data: int  # where it begins
    end: int | None  # None where the size is unknown: a live recording


def end(video: Window) -> End:
    """Raises MediaError (truncated) where the Segment says that it is longer than the file.

    A recorder knows its size only when it stops: one of unknown size that ends within a block was interrupted.
    """
    position = 0
    while position < video.size:
        found = element(video, position)
        if found is None:
            return End.UNKNOWN
        if found.name == SEGMENT and (found.end is None or found.end == found.data):
            return _live(video, found.data)
        position = found.end if found.end is not None else found.data
        if found.name == SEGMENT:
            break
    if position > video.size:
        raise cut(video.size, position)
    return End.WHOLE


def segment_end(video: Window) -> int | None:
    """Where the Segment ends, by its size or by the last element of a live recording; None where nothing follows."""
    position = 0
    for _ in range(4):  # the EBML header, Void, the Segment
        found = element(video, position)
        if found is None:
            return None
        if found.name == SEGMENT:
            if found.end and found.end > found.data:
                return found.end if found.end < video.size else None
            end, cut_off = _walk(video, found.data)
            return end if cut_off is None and found.data < end < video.size else None
        if found.end is None:
            return None
        position = found.end
    return None


def _live(video: Window, start: int) -> End:
    """A recording of unknown size."""
    position, found = _walk(video, start)
    if position == video.size:
        return End.WHOLE
    return End.INCOMPLETE if found and found.name in _KNOWN else End.UNKNOWN


def _walk(video: Window, start: int) -> tuple[int, Element | None]:
    """Where the elements from the last Cluster on end, and the one there that the file does not hold to its end.

    None stands for something that is no element, such as zeros; without any Cluster that is at `start`.
    """
    position = _last_cluster(video, start)
    if position is None:
        return start, None
    while position < video.size:
        found = element(video, position)
        if found is None or (found.end or found.data) > video.size:
            return position, found
        position = found.data if found.end is None else found.end
    return position, None


def _last_cluster(video: Window, start: int) -> int | None:
    at = video.size
    while at > max(start, video.size - _FAR):
        at = max(start, at - _READ)
        piece = video.at(at, _READ + 16)
        places = [match.start() for match in re.finditer(re.escape(_CLUSTER), piece)]
        for each in reversed(places):
            found = element(video, at + each)
            if found and (found.data >= video.size or video.at(found.data, 1) in _FIRST):
                return at + each
    return None


def element(video: Window, position: int) -> Element | None:
    """The element at that position (RFC 8794, 4 to 6). None where there is none. Raises Endless after too many."""
    video.step()
    head = video.at(position, 12)
    name = 9 - head[0].bit_length() if head else 9
    width = 9 - head[name : name + 1].ljust(1, b"\0")[0].bit_length()
    if name > 4:
        return None
    data = position + name + width
    if width > 8 or data > position + len(head):  # no size, or the file ends within it
        return Element(head[:name], video.size + 1, None) if len(head) < 12 else None
    unknown = (1 << 7 * width) - 1
    length = int.from_bytes(head[name : name + width]) & unknown
    return Element(head[:name], data, None if length == unknown or length >= _MOST else data + length)
