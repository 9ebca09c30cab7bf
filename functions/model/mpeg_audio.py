"""MPEG audio in a file: the tag before it, the header of a frame, and the Xing header in an MP3's first frame.

A frame's header is that of ISO/IEC 11172-3, 2.4.1.3, with the lower sample rates of ISO/IEC 13818-3. The Xing header
has no standard: Xing invented it, and LAME added the padding (http://gabriel.mp3-tech.org/mp3infotag.html).
"""

import re
from dataclasses import dataclass
from typing import BinaryIO

_HERTZ = (44100, 48000, 32000)  # of MPEG-1; MPEG-2 has half of each, MPEG-2.5 a quarter
_DIVISOR = {3: 1, 2: 2, 0: 4}  # by the header's two bits of version; 1 is reserved
_LAYER_III, _LAYER_II = 1, 2  # as the header's two bits count layers
BITRATES = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)  # kbit/s of MPEG-1 layer III
LOW_BITRATES = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)  # of MPEG-2 and 2.5
_KBITS = {  # by (MPEG-1?, layer III?); the header counts them from 1
    (True, True): BITRATES,
    (True, False): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (False, True): LOW_BITRATES,
    (False, False): LOW_BITRATES,
}
_HEADER = 4  # bytes
LONGEST_FRAME = 2881  # bytes: 320 kbit/s at 32 kHz are 1,440 and padding; MPEG-2 at 160 and 8 kHz has twice as many
_ID3_HEADER = 10  # bytes
# The empty side information of a frame (9, 17 or 32 bytes by version and channels), then a tag that has at least the
# two fields we read: the flags 1 and 2 say that it counts frames and bytes.
_XING = re.compile(rb"\0{9,32}(?=(?:Xing|Info)\0\0\0[\x03\x07\x0b\x0f])")


@dataclass(frozen=True)
class Frame:
    """What the header of a frame says: its sample rate in Hz, its samples per channel, its length in bytes."""

    hertz: int
    samples: int
    length: int


@dataclass(frozen=True)
class XingHeader:
    """How long an MP3 is, as its encoder counted it; headed "Xing" or, for constant bitrate, "Info"."""

    start: int  # bytes before that frame
    size: int  # bytes of the MP3 from that frame on
    frames: int
    padding: int  # samples that the encoder added before and behind the sound
    first: Frame

    @property
    def seconds(self) -> float:
        """How long the MP3 plays, without the padding."""
        return (self.frames * self.first.samples - self.padding) / self.first.hertz


def read_frame(head: bytes) -> Frame | None:
    """The frame of layer II or III whose header stands at the front of `head`.

    None where there is no such header, or where it does not tell the frame's length (“free format”).
    """
    if len(head) < _HEADER or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    version, layer, bitrate, rate = head[1] >> 3 & 3, head[1] >> 1 & 3, head[2] >> 4, head[2] >> 2 & 3
    if version not in _DIVISOR or layer not in (_LAYER_III, _LAYER_II) or bitrate in (0, 15) or rate == len(_HERTZ):
        return None
    mpeg1, layer3 = version == 3, layer == _LAYER_III
    hertz = _HERTZ[rate] // _DIVISOR[version]
    samples = 576 if layer3 and not mpeg1 else 1152
    padded = head[2] >> 1 & 1
    return Frame(hertz, samples, samples // 8 * 1000 * _KBITS[mpeg1, layer3][bitrate - 1] // hertz + padded)


def id3_length(head: bytes) -> int:
    """Bytes of the ID3v2 tag that begins with `head`, header included; 0 where there is none (ID3v2.3, 3.1)."""
    if not re.match(rb"ID3[\x02-\x04][^\xff].[\x00-\x7f]{4}", head, re.DOTALL):
        return 0
    return _ID3_HEADER + sum(byte << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))


def find_xing_header(file: BinaryIO) -> XingHeader | None:
    """The Xing header of an MP3, from its first frame; None if that frame has sound instead."""
    file.seek(0)
    start = id3_length(file.read(_ID3_HEADER))
    file.seek(start)
    head = file.read(192)
    first, tag = read_frame(head), _XING.match(head, _HEADER)
    if first is None or tag is None:
        return None
    xing = head[tag.end() :]
    frames, size, padding = (int.from_bytes(xing[at:end]) for at, end in ((8, 12), (12, 16), (141, 144)))
    return XingHeader(start, size, frames, (padding >> 12) + (padding & 0xFFF), first)  # 12 bits before, 12 behind


def measure(file: BinaryIO) -> float:
    """Seconds an MP3 plays, as its encoder counted them. Raises ValueError if it has no Xing header."""
    if (header := find_xing_header(file)) is None:
        raise ValueError("the MP3 has no Xing or Info header")
    return header.seconds
