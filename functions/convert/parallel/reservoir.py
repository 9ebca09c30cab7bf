"""How many bits LAME may give to a frame: what the bit reservoir holds decides that where sound is loud and sudden.

Two encoders that hear the same do the same, but what their reservoirs hold differs for ever, by what they had to encode
before. That alters nothing until one has fewer bits than a frame needs: then it takes coarser steps. Nothing in a frame
says that this has happened, so frames that come near to it are in doubt.

The arithmetic is that of LAME 3.100: ResvFrameBegin and ResvMaxBits in reservoir.c, on_pe in quantize_pvt.c and
VBR_new_prepare in quantize.c.
"""

from pathlib import Path
from typing import BinaryIO

from functions.convert.parallel.layer3 import HEADER, Frames
from functions.model.mpeg_audio import read_frame

_BUFFER = 8 * 1440  # bits that a decoder keeps at least: a frame of 320 kbit/s at 32 kHz
_HELD = 8 * 256  # bits for each granule that a frame can reach back, less a byte
_LARGE = 0.55  # of the largest frame; in smaller ones LAME has bits to spare, for it chooses the largest it can
# Of the bits that it may be given. In 120,000 large frames of noise and clicks that two encoders made, 499 differed,
# the smallest at 0.876 (measured, `-q:a` 0, 2 and 4, 22.05 to 48 kHz).
_DOUBTFUL = 0.85
# While LAME is flushed, at the end of the sound, it may take nothing from the reservoir: the smallest was at 0.76 then.
LAST = 3  # frames
_DOUBTFUL_END = 0.7
_MOST = 4095  # bits of a channel in a granule: what fits into part2_3_length


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

    def is_doubtful(self, first: int, behind: int) -> bool:
        """Whether any frame from `first` on, up to that of number `behind`, may have lacked bits."""
        offsets = self._frames.offsets
        return any(
            self._is_short(at, eager=True)
            for at in range(first, behind)
            if offsets[at + 1] - offsets[at] >= self._large
        )

    def is_end_doubtful(self) -> bool:
        """The same of the last frames."""
        count = len(self._frames)
        return any(self._is_short(at, eager=False) for at in range(max(0, count - LAST), count))

    def _is_short(self, at: int, *, eager: bool) -> bool:
        """Whether that frame comes near to its limit; `eager` is an encoder that takes all it can of the reservoir."""
        parts, channels = self._frames.parts(at), self._frames.channels
        held, most = self._frames.begin(at) * 8, self._most_held
        over = max(0, held - most * 9 // 10)
        target = self._mean + over if over else self._mean * 9 // 10  # bits for all channels of a granule
        extra = max(0, min(held, most * 6 // 10) - over) if eager else 0
        limit = given = 0
        for granule in range(self._granules):
            active = sum(map(bool, parts[granule * channels : (granule + 1) * channels]))
            limit += active * min(_MOST, target // channels) + (extra if active else 0)
            given += channels * min(_MOST, target // channels) + extra  # what a silent channel is given is lost
        whole = self._granules * self._mean + min(held, most)
        if given > whole:
            limit = limit * whole // given
        return sum(parts) > (_DOUBTFUL if eager else _DOUBTFUL_END) * limit


class Watch:
    """Looks at the frames of an encoder that is at work, each of them once. Its methods raise layer3.Unreadable."""

    def __init__(self, path: Path, first: int = 0) -> None:
        """Those before the frame `first` are in no doubt."""
        self._path, self._next = path, first
        self._opened: BinaryIO | None = None
        self._frames: Frames | None = None

    def count(self) -> int:
        """How many are in the file by now."""
        if self._frames is None:
            self._frames = self._begin()
        if self._frames is None:
            return 0
        self._frames.grow()
        return len(self._frames)

    def is_doubtful(self) -> bool:
        """Whether any that has come since the last look may have lacked bits, but for the last ones."""
        behind = self.count() - LAST
        if self._frames is None or behind <= self._next:
            return False
        first, self._next = self._next, behind
        return Reservoir(self._frames).is_doubtful(first, behind)

    def close(self) -> None:
        """Closes the file."""
        if self._opened:
            self._opened.close()

    def _begin(self) -> Frames | None:
        """None while nothing is written yet."""
        if self._opened is None and self._path.exists():
            self._opened = self._path.open("rb")
        return Frames(self._opened, whole=False) if self._opened and self._path.stat().st_size else None
