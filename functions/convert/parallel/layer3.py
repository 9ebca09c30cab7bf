"""The frames of an MP3 of our own encoder: where each lies, and the main data that it has in others.

A frame's header and side information stand in their place, but its main data may begin in the frames before it: in the
bit reservoir (ISO/IEC 11172-3, 2.4.1.7 and 2.4.3.4.6; ISO/IEC 13818-3, 2.4.1.7 for the lower sample rates).
"""

from array import array
from dataclasses import dataclass
from mmap import ACCESS_READ, mmap
from typing import BinaryIO

from functions.model.mpeg_audio import find_xing_header, read_frame

HEADER = 4  # bytes of a frame's header; our encoder writes no CRC behind it
_MPEG1 = 3  # as the header's two bits count versions
_MONO = 3  # and modes


class Unreadable(Exception):
    """It is no whole MP3 of our own encoder."""


@dataclass(frozen=True)
class Sound:
    """All that a decoder is given for one frame; two frames whose `Sound` is equal sound alike."""

    mode: int
    side: int  # the side information, without where the main data begin
    main: bytes


class Frames:
    """The frames of an MP3, counted from 0 behind the one with its Xing header."""

    def __init__(self, file: BinaryIO, *, whole: bool = True) -> None:
        """Raises Unreadable where there is no Xing header yet or, of a `whole` file, where frames do not follow one
        another up to the end, or are not as many as it says.
        """
        if (xing := find_xing_header(file)) is None:
            raise Unreadable("there is no Xing header")
        self.file = file
        self.hertz = xing.first.hertz
        self.start, self.xing = xing.start, self.read(xing.start, xing.first.length)  # of the frame with the header
        self._sizes: dict[bytes, int] = {}
        self.offsets = array("Q", (xing.start + xing.first.length,))  # where each begins, and where the last one ends
        end = self.grow()
        if whole and (len(self) != xing.frames or self.offsets[-1] != end):
            raise Unreadable(f"{len(self)} frames of {xing.frames}, and {end - self.offsets[-1]} bytes")
        self.is_mpeg1 = self.xing[1] >> 3 & 3 == _MPEG1
        self.channels = 1 if self.xing[3] >> 6 == _MONO else 2
        self.front = HEADER + ((17, 32) if self.is_mpeg1 else (9, 17))[self.channels - 1]  # bytes before the main data

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def grow(self) -> int:
        """Counts those that are in the file by now, and returns how long that is. Raises Unreadable."""
        with mmap(self.file.fileno(), 0, access=ACCESS_READ) as data:
            at = self.offsets[-1]
            while at + HEADER <= len(data) and (at := at + self._size(data, at)) <= len(data):
                self.offsets.append(at)
            return len(data)

    def sound(self, at: int) -> Sound | None:
        """What a decoder is given for that frame; None where some of it lies before the first frame."""
        before, bits = self.before(at), self.bits(at)
        if before is None:
            return None
        main = (before + self._area(at))[: (bits + 7) // 8]
        if bits & 7:  # what follows in the last byte is not its own
            main = main[:-1] + bytes((main[-1] & 0xFF00 >> (bits & 7) & 0xFF,))
        mode = self.read(self.offsets[at] + 3, 1)[0] & 0xF0
        return Sound(mode, self._side(at) & (1 << self._side_bits - self._begin_bits) - 1, main)

    def begin(self, at: int) -> int:
        """How many bytes of main data before that frame belong to it already."""
        return self._side(at) >> self._side_bits - self._begin_bits

    def before(self, at: int) -> bytes | None:
        """The bytes for main data before that frame that belong to it or to later ones; None where they are missing."""
        begin, found, first = self.begin(at), b"", at
        while len(found) < begin:
            if not first:
                return None
            first -= 1
            found = self._area(first) + found
        return found[len(found) - begin :]

    def bits(self, at: int) -> int:
        """How many bits of main data that frame has."""
        return sum(self.parts(at))

    def parts(self, at: int) -> list[int]:
        """The same for each granule, and each channel in it (part2_3_length)."""
        channels = self.channels
        if self.is_mpeg1:  # private bits and scfsi stand in front
            count, at_first, step = 2 * channels, 9 + (5 if channels == 1 else 3) + 4 * channels, 59
        else:
            count, at_first, step = channels, 8 + channels, 63
        side = self._side(at)
        return [side >> self._side_bits - at_first - step * part - 12 & 0xFFF for part in range(count)]

    def read(self, start: int, size: int) -> bytes:
        """Bytes of the file."""
        self.file.seek(start)
        return self.file.read(size)

    def _area(self, at: int) -> bytes:
        """The bytes for main data in that frame, whichever frames they belong to."""
        start = self.offsets[at] + self.front
        return self.read(start, self.offsets[at + 1] - start)

    def _size(self, data: mmap, at: int) -> int:
        head = data[at : at + 3]  # all that tells a frame's size
        if (size := self._sizes.get(head)) is None:
            frame = read_frame(data[at : at + HEADER])
            if frame is None or not head[1] & 1:
                raise Unreadable(f"no frame at byte {at}")
            size = self._sizes[head] = frame.length
        return size

    @property
    def _begin_bits(self) -> int:
        return 9 if self.is_mpeg1 else 8

    @property
    def _side_bits(self) -> int:
        return (self.front - HEADER) * 8

    def _side(self, at: int) -> int:
        return int.from_bytes(self.read(self.offsets[at] + HEADER, self.front - HEADER))
