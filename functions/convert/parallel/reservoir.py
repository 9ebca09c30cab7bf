"""How many bits LAME may give to a frame: what the bit reservoir holds decides that where sound is loud and sudden.

Two encoders that hear the same do the same, but what their reservoirs hold differs for ever, by what they had to encode
before. That alters nothing until one has fewer bits than a frame needs: then it takes coarser steps. Nothing in a frame
says that this has happened, so frames that come near to it are in doubt.

The arithmetic is that of LAME 3.100: ResvFrameBegin and ResvMaxBits in reservoir.c, on_pe in quantize_pvt.c and
VBR_new_prepare in quantize.c.
"""

from functions.convert.parallel.layer3 import HEADER, Frames
from functions.model.mpeg_audio import read_frame

_BUFFER = 8 * 1440  # bits that a decoder keeps at least: a frame of 320 kbit/s at 32 kHz
_HELD = 8 * 256  # bits for each granule that a frame can reach back, less a byte
_LARGE = 0.65  # of the largest frame; in smaller ones LAME has bits to spare
# Of the bits that it may be given. In 250,000 frames of noise bursts and clicks that two encoders made, 499 differed,
# the smallest at 0.876 (measured, `-q:a` 0, 2 and 4, 22.05 to 48 kHz).
_DOUBTFUL = 0.85


class Reservoir:
    """The limits of the encoder that has made these frames."""

    def __init__(self, frames: Frames) -> None:
        self._frames = frames
        self._granules = 2 if frames.is_mpeg1 else 1
        header = frames.xing[:HEADER]
        hertz = frames.hertz
        index = 8 if hertz < 16_000 else 14  # the highest bitrate, as headers count them: 64, 160 or 320 kbit/s
        largest = read_frame(header[:2] + bytes((index << 4 | header[2] & 0x0C,)) + header[3:])
        assert largest  # noqa: S101 -- all bitrates up to 14 exist
        self._large = largest.length * _LARGE
        self._mean = (largest.length - frames.front) * 8 // self._granules  # bits of a granule at that bitrate
        self._most_held = max(0, min(_HELD * self._granules - 8, _BUFFER - largest.length * 8))

    def is_doubtful(self, first: int) -> bool:
        """Whether any frame from that one on may have needed more bits than there were."""
        offsets = self._frames.offsets
        return any(
            self._frames.bits(at) > _DOUBTFUL * self._limit(self._frames.begin(at) * 8)
            for at in range(first, len(self._frames))
            if offsets[at + 1] - offsets[at] >= self._large
        )

    def _limit(self, held: int) -> int:
        """Bits that a frame may be given while the reservoir holds so many."""
        full = self._most_held * 9 // 10
        over = held - full if held > full else 0
        target = self._mean + over if over else self._mean * 9 // 10
        extra = max(0, min(held, self._most_held * 6 // 10) - over)
        return min(self._granules * (target + extra), self._granules * self._mean + min(held, self._most_held))
