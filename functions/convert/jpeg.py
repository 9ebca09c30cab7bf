"""JPEG as a cover is made of: its picture alone, without what a camera or a program has written around it.

Exif, XMP and IPTC tell where a picture was taken, with which device and by whose account, and phones hide a video
behind it. Markers and segments are those of ITU-T T.81, B.1.
"""

import re
import struct
from dataclasses import dataclass

_MOST_SEGMENTS = 5_000  # a picture has some dozens; its colour profile at most 255
# What ends coded samples, in which 0xFF is followed by 0 or counts restarts.
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7]", re.DOTALL)
_FILL = re.compile(rb"\xff+")
_START, _END, _SCAN = 0xD8, 0xD9, 0xDA
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # one of the kinds of coding
_BASELINE = 0xC0
_EXIF = 0xE1, b"Exif\0"
# What an application may have to say of the picture itself: that it is JFIF, its colours (ICC.1, B.4), and how Adobe
# has coded them. Comments and every other application segment are left out.
_KEPT = {0xE0: b"JFIF\0", 0xE2: b"ICC_PROFILE\0", 0xEE: b"Adobe"}
_SAID = {*range(0xE0, 0xF0), 0xFE}


@dataclass(frozen=True)
class Jpeg:
    """A whole picture."""

    width: int
    height: int
    is_plain: bool  # baseline, grey or of three colours: what every player can show
    has_exif: bool  # which may say that it lies on its side
    data: bytes  # without what is said about it


def read(data: bytes) -> Jpeg | None:
    """The picture at the front of `data`; None where it is no JPEG, does not reach to its end, or has endless parts."""
    if data[:2] != bytes([0xFF, _START]):
        return None
    kept, frame, has_exif, at = [data[:2]], None, False, 2
    for _ in range(_MOST_SEGMENTS):
        if not (filled := _FILL.match(data, at)) or filled.end() == len(data):
            return None
        at = filled.end() - 1  # any number of bytes may fill the space in front
        marker = data[at + 1]
        if marker == _END:
            return _picture(b"".join([*kept, data[at : at + 2]]), frame, has_exif)
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4])
        body = data[at + 4 : end]
        if end < at + 4:
            return None
        if marker in _FRAMES and frame is None:
            frame = marker, body
        has_exif |= marker == _EXIF[0] and body.startswith(_EXIF[1])
        if marker == _SCAN:
            end = _scan_end(data, end)
        if marker not in _SAID or (marker in _KEPT and body.startswith(_KEPT[marker])):
            kept.append(data[at:end])
        at = end
    return None


def _scan_end(data: bytes, at: int) -> int:
    """Where the next marker stands behind coded samples."""
    found = _MARKER.search(data, at)
    return found.start() if found else len(data)


def _picture(data: bytes, frame: tuple[int, bytes] | None, has_exif: bool) -> Jpeg | None:
    if frame is None or len(frame[1]) < 6:
        return None
    marker, body = frame
    bits, height, width, colours = struct.unpack(">BHHB", body[:6])
    return Jpeg(width, height, marker == _BASELINE and bits == 8 and colours in (1, 3), has_exif, data)
