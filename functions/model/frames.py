"""Sound and video without a signature: packets or frames that follow one another tell them.

One sync word is in any noise, and several at the distances that they give themselves are in none.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice

from functions.model.mpeg_audio import read_frame

# Five packets of a transport stream in a row (ISO/IEC 13818-1, 2.4.3.2), by the bytes from each to the next: a sync
# byte, and in the fourth one two bits of which one at least is set. They are compiled at their first use.
_PACKET = rb"\x47..[\x10-\x3f\x50-\x7f\x90-\xbf\xd0-\xff]"
_PACKETS = {step: rb"(?:%b.{%d}){4}%b" % (_PACKET, step - 4, _PACKET) for step in (188, 192, 204)}
_FRONT, _BEHIND = 2, 4  # frames in a row, at the very front and behind junk
_TRIES = 4000  # sync words that are looked at
_SYNC = re.compile(rb"\xff[\xe0-\xff]|\x0b\x77|\x7f\xfe\x80\x01|\xfe\x7f\x01\x80")
_CONTROL = re.compile(rb"[\0-\x08\x0e-\x1a\x1c-\x1f]")  # bytes that text has not: lines may be of 188 letters
_AC3_KBITS = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640)
_AC3_BSID, _EAC3_BSID = range(11), range(11, 17)


@dataclass(frozen=True)
class Frames:
    """Frames that follow one another: of what kind, in ffmpeg's word for the demuxer, and where the first is."""

    kind: str
    offset: int


@dataclass(frozen=True)
class _Header:
    length: int  # bytes of the frame
    constant: object  # what all frames of a stream have in common


def find(head: bytes) -> Frames | None:
    """The first frames in `head`: at its front, or behind anything else. None where there are none."""
    for found in islice(_SYNC.finditer(head), _TRIES):
        if named := _kind(head, found.start(), _BEHIND if found.start() else _FRONT):
            return Frames(named, found.start())
    return None


def last(piece: bytes, step: Callable[[], None]) -> int | None:
    """Where the last of several frames in a row ends in `piece`, or beyond it; None where there are none.

    `step` is called for each place that is tried, and may stop that by what it raises.
    """
    for at in islice(reversed([found.start() for found in _SYNC.finditer(piece)]), _TRIES):
        step()
        if read := next((read for read, _ in _READERS if _follow(piece, at, _BEHIND, read)), None):
            while header := read(piece[at : at + 16]):
                at += header.length
            return at
    return None


def find_packets(head: bytes) -> tuple[int, int] | None:
    """The offset of the first sync byte of an MPEG transport stream, and the bytes from each to the next.

    A recording may begin anywhere within a packet of 188 bytes, and behind something else; some packets may be damaged.
    Camcorders write a time before each packet (192 in all), tuners parity behind it (204). None where `head` is no
    transport stream.
    """
    for step, pattern in _PACKETS.items():
        for found in islice(re.finditer(pattern, head, re.DOTALL), _TRIES):
            if _CONTROL.search(found[0]):
                return found.start(), step
    return None


def _kind(head: bytes, at: int, count: int) -> str | None:
    """Of what kind the frames from there on are, of which there must be `count` in a row."""
    for read, named in _READERS:
        if _follow(head, at, count, read):
            return named(head[at:]) if callable(named) else named
    return None


def _follow(head: bytes, at: int, count: int, read: Callable[[bytes], _Header | None]) -> bool:
    first = None
    for _ in range(count):
        header = read(head[at : at + 16])
        if header is None or (first is not None and header.constant != first.constant):
            return False
        first = first or header
        at += header.length
    return True


def _mpeg(head: bytes) -> _Header | None:
    frame = read_frame(head)
    return _Header(frame.length, (head[1] & 0x1E, frame.hertz)) if frame else None


def _adts(head: bytes) -> _Header | None:
    """Raw AAC (ISO/IEC 13818-7, 6.2)."""
    if len(head) < 7 or head[0] != 0xFF or head[1] & 0xF6 != 0xF0 or head[2] >> 2 & 15 > 12:
        return None
    length = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
    return _Header(length, (head[1], head[2] & 0xFC)) if length > 7 else None


def _dolby(head: bytes) -> _Header | None:
    """AC-3 (ATSC A/52, 5.3) and Enhanced AC-3 (annex E, 2.3); one stream may hold both."""
    if len(head) < 6 or head[:2] != b"\x0b\x77":
        return None
    bsid = head[5] >> 3
    if bsid in _EAC3_BSID:
        return _Header(((head[2] & 7) << 8 | head[3]) * 2 + 2, None)
    rate, code = head[4] >> 6, head[4] & 63
    if bsid not in _AC3_BSID or rate == 3 or code >= 2 * len(_AC3_KBITS):
        return None
    kbits = _AC3_KBITS[code >> 1]
    return _Header(2 * (2 * kbits, kbits * 320 // 147 + (code & 1), 3 * kbits)[rate], None)


def _dolby_kind(head: bytes) -> str:
    second = _dolby(head)
    heads = [head, head[second.length :] if second else b""]
    return "eac3" if any(len(each) > 5 and each[5] >> 3 in _EAC3_BSID for each in heads) else "ac3"


def _dts(head: bytes) -> _Header | None:
    """DTS Coherent Acoustics (ETSI TS 102 114, 5.3), of 16 bits and either order of bytes."""
    if head[:4] == b"\xfe\x7f\x01\x80":
        head = bytes(head[at ^ 1] for at in range(len(head) & ~1))
    if len(head) < 8 or head[:4] != b"\x7f\xfe\x80\x01":
        return None
    length = ((head[5] & 3) << 12 | head[6] << 4 | head[7] >> 4) + 1
    return _Header(length, None) if length >= 96 else None


_READERS: tuple[tuple[Callable[[bytes], _Header | None], str | Callable[[bytes], str]], ...] = (
    (_mpeg, "mp3"),
    (_adts, "aac"),
    (_dolby, _dolby_kind),
    (_dts, "dts"),
)
