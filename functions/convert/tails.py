"""Where the video ends in a file that has something else behind it, for containers whose demuxers would read on."""

import re

from functions.convert.window import Window
from functions.model import frames as sync

_READ = 65_536  # bytes at once
_FAR = 2**25  # bytes, at most, that are looked through from the end
_MOST_AMR = 3_000_000  # frames: 16 hours at 50 a second, walked through in 1 s
_NEAR = 8192  # bytes behind the last frame that do no harm: tags, padding
_AMR_NARROW = (12, 13, 15, 17, 19, 20, 26, 31, 5)  # bytes behind a frame's first (RFC 4867, 5.3; 3GPP TS 26.101)
_AMR_WIDE = (17, 23, 32, 36, 40, 46, 50, 58, 60, 5)  # and 3GPP TS 26.201
_DV_FRAMES = {0x3F: 120_000, 0xBF: 144_000}  # bytes by the fourth one: 525 or 625 lines (IEC 61834-2)
_TAGS = re.compile(rb"TAG.{125}\Z|APETAGEX.{24}(?:TAG.{125})?\Z", re.DOTALL)


def frames(video: Window) -> int | None:
    """Behind the last frames that follow one another; None where they reach about to the end, or a tag does.

    Raises Endless where too much looks like a frame and is none.
    """
    if _TAGS.search(video.at(video.size - 160, 160)):
        return None
    at = video.size
    while at > max(0, video.size - _FAR):
        at = max(0, at - _READ)
        piece = video.at(at, 2 * _READ)
        if last := sync.last(piece, video.step):
            return at + last if at + last < video.size - _NEAR else None
    return None


def ogg(video: Window) -> int | None:
    """Behind the last page; None where it reaches to the end, or there is none."""
    at = video.size
    while at > max(0, video.size - _FAR):
        at = max(0, at - _READ)
        piece = video.at(at, 2 * _READ)
        if (page := piece.rfind(b"OggS\0", 0, _READ + 5)) >= 0:
            head = piece[page : page + 27 + 255]
            if len(head) < 27:
                return None
            return at + page + 27 + head[26] + sum(head[27 : 27 + head[26]])
    return None


def dv(video: Window) -> int | None:
    """Behind the last frame; None where they are of another length than those of a camcorder's tape."""
    length = _DV_FRAMES.get(int.from_bytes(video.at(3, 1)), 0)
    if not length or video.at(length, 3) != video.at(0, 3):
        return None
    first = video.at(0, 3)
    for end in range(video.size // length * length, 0, -length):
        video.step()
        if video.at(end - length, 3) == first:
            return end
    return 0


def amr(video: Window) -> int | None:
    """Behind the last good frame: what follows has the first byte of none, or is marked as bad, as zeros are.

    None where there are too many.
    """
    is_wide = video.at(0, 9) == b"#!AMR-WB\n"
    lengths, at = (_AMR_WIDE, 9) if is_wide else (_AMR_NARROW, 6)
    good, begin, piece = at, at, b""
    for _ in range(_MOST_AMR):
        if at >= begin + len(piece):
            begin, piece = at, video.at(at, _READ)
            if not piece:
                return good
        first = piece[at - begin]
        kind = first >> 3 & 15
        if first & 0x83 or not (kind < len(lengths) or kind in (14, 15)):
            return good
        at += 1 + (lengths[kind] if kind < len(lengths) else 0)
        good = min(at, video.size) if first & 4 else good  # whether the frame is good, by its own account
    return None
