"""Pieces of one MP3, encoded side by side, become the one that a single encoder would have written.

Each piece but the first begins WARM_UP frames before it is wanted: by then its encoder does what that of the piece
before does. From there on both have WINDOW frames in common. They have to be equal in all that a decoder is given, so
that it does not matter whose are taken; where one differs, nothing is joined.
"""

import shutil
from array import array
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from fastcrc import crc16

from functions.convert.parallel.layer3 import HEADER, Frames, Unreadable
from functions.convert.parallel.reservoir import Reservoir
from functions.model.mpeg_audio import read_frame

WARM_UP = 64  # frames; ordinary sound needs 6, and what is nearly silent more than 16 (measured)
WINDOW = 24  # frames
TAIL = 4  # frames behind the window that a piece has to be given, because the next frames change the last ones
_BLOCK = 2**20  # bytes
# Where the Xing header has what changes, from its four letters on (http://gabriel.mp3-tech.org/mp3infotag.html).
_FRAMES, _BYTES, _SEEKS, _PADDING, _MUSIC_BYTES, _MUSIC_CRC, _TAG_CRC = 8, 12, 16, 141, 148, 152, 154
_SEEK_POINTS = 100
_SUMMED = 190  # bytes of its frame are in the tag's CRC, whatever they are; a shorter frame counts as followed by zeros


class Unjoined(Exception):
    """Two pieces do not fit together, so the sound has to be encoded in one."""


@dataclass(frozen=True)
class Joint:
    """Where one piece goes over into the next."""

    frame: int  # of the whole: the first that is the next piece's
    start: int  # of the whole: that piece's first frame
    before: bytes  # the main data that lie before it
    missing: int  # bytes that the piece before has too few for them


def find(paths: list[Path], starts: list[int]) -> list[Joint]:
    """Where the pieces go over into each other; `starts` are the frames of the whole that they begin with.

    The first one may still grow, and its Xing header be unfinished. Raises Unjoined where they do not fit.
    """
    with ExitStack() as opened:
        try:
            pieces = [Frames(opened.enter_context(path.open("rb")), whole=path != paths[0]) for path in paths]
            return [_find(*pair, *at) for pair, at in zip(pairwise(pieces), pairwise(starts), strict=True)]
        except Unreadable as error:
            raise Unjoined(str(error)) from error


def join(paths: list[Path], joints: list[Joint]) -> None:
    """Appends all other pieces to the first, which nobody writes any more, and makes its Xing header that of the whole.

    The others are emptied one after another, so that the disk holds one of them twice at most.
    """
    with ExitStack() as opened:
        first, *others = (Frames(opened.enter_context(path.open("r+b")), whole=path != paths[0]) for path in paths)
        whole = _Whole(first)
        for piece, joint in zip(others, joints, strict=True):
            whole.append(piece, joint)
        whole.finish(others[-1])


def _find(before: Frames, after: Frames, start: int, next_start: int) -> Joint:
    """A joint at which the next piece takes as much from the frames before it as there is, or nearly so, but not more.

    Where there is none, one at which the last frame before it can be made larger.
    """
    gap = next_start - start
    if len(after) < WARM_UP + WINDOW or len(before) < gap + WARM_UP + WINDOW:
        raise Unjoined("the pieces are too short")
    joints = []
    for at in range(WARM_UP, WARM_UP + WINDOW):
        sound, main = after.sound(at), after.before(at)
        if sound is None or main is None or sound != before.sound(gap + at):
            raise Unjoined(f"frame {next_start + at} differs")
        joints.append(Joint(next_start + at, next_start, main, len(main) - before.begin(gap + at)))
    fitting = min((joint for joint in joints if joint.missing <= 0), key=lambda joint: -joint.missing, default=None)
    growing = (joint for joint in joints if _grown(_header(before, joint.frame - 1 - start), joint.missing))
    if joint := fitting or next(growing, None):
        return joint
    raise Unjoined("there is no room for the reservoir")


def count(path: Path) -> int:
    """How many frames it has, without that of its Xing header."""
    with path.open("rb") as file:
        return len(Frames(file))


def end_is_doubtful(path: Path) -> bool:
    """Whether the last frames may depend on what the reservoir holds. Raises Unjoined where it is no whole MP3."""
    try:
        with path.open("rb") as file:
            return Reservoir(Frames(file)).is_end_doubtful()
    except Unreadable as error:
        raise Unjoined(str(error)) from error


def are_ends_alike(path: Path, tails: list[Path]) -> bool:
    """Whether the end is the same in all tails, whose reservoirs hold different bits."""
    try:
        with ExitStack() as opened:
            piece, *others = (Frames(opened.enter_context(each.open("rb"))) for each in (path, *tails))
            return all(
                other.sound(len(other) - back) == piece.sound(len(piece) - back)
                for back in range(WINDOW, 0, -1)
                for other in others
            )
    except Unreadable:
        return False


def _header(frames: Frames, at: int) -> bytes:
    return frames.read(frames.offsets[at], HEADER)


def _grown(header: bytes, missing: int) -> tuple[bytes, int] | None:
    """The header of a frame that is larger by at least those bytes, and by how many; None where no bitrate is."""
    frame = read_frame(header)
    assert frame  # noqa: S101 -- all of them were read before
    for bitrate in range((header[2] >> 4) + 1, 15):
        larger = header[:2] + bytes((bitrate << 4 | header[2] & 15,)) + header[3:]
        if (read := read_frame(larger)) and read.length - frame.length >= missing:
            return larger, read.length - frame.length
    return None


class _Whole:
    """The first piece, to which the others are appended."""

    def __init__(self, first: Frames) -> None:
        self._first, self._file = first, first.file
        self._offsets = first.offsets[:]

    def append(self, piece: Frames, joint: Joint) -> None:
        del self._offsets[joint.frame + 1 :]
        self._file.truncate(self._offsets[-1])
        if joint.missing > 0:
            self._grow(joint.missing)
        self._replace(joint.before)
        at = joint.frame - joint.start
        shift = self._offsets.pop() - piece.offsets[at]
        self._offsets.extend(array("Q", (offset + shift for offset in piece.offsets[at:])))
        self._file.seek(0, 2)
        piece.file.seek(piece.offsets[at])
        shutil.copyfileobj(piece.file, self._file, _BLOCK)
        piece.file.truncate(0)

    def finish(self, last: Frames) -> None:
        """Writes into the Xing header what follows from all pieces; delay and padding are those of the last one."""
        offsets, first = self._offsets, self._first
        frames, size = len(offsets) - 1, offsets[-1] - first.start
        header = bytearray(first.xing)

        def put(at: int, value: bytes) -> None:
            header[first.front + at : first.front + at + len(value)] = value

        sizes = {end - begin for begin, end in pairwise(offsets)}
        put(0, b"Xing" if len(sizes) > 1 else b"Info")  # as ffmpeg has it, by whether the bitrate varies
        put(_FRAMES, frames.to_bytes(4))
        put(_BYTES, size.to_bytes(4))
        seeks = (offsets[frames * point // _SEEK_POINTS] - first.start for point in range(_SEEK_POINTS))
        put(_SEEKS, bytes(min(255, 256 * seek // size) for seek in seeks))
        put(_PADDING, last.xing[first.front + _PADDING :][:3])
        put(_MUSIC_BYTES, size.to_bytes(4))
        put(_MUSIC_CRC, self._crc(first.start + len(first.xing)).to_bytes(2))
        put(_TAG_CRC, bytes(2))
        put(_TAG_CRC, crc16.arc(bytes(header[:_SUMMED].ljust(_SUMMED, b"\0"))).to_bytes(2))
        self._file.seek(first.start)
        self._file.write(header)

    def _crc(self, start: int) -> int:
        self._file.seek(start)
        crc = 0
        while block := self._file.read(_BLOCK):
            crc = crc16.arc(block, crc)
        return crc

    def _grow(self, missing: int) -> None:
        """Makes the last frame larger, by a higher bitrate."""
        grown = _grown(self._first.read(self._offsets[-2], HEADER), missing)
        assert grown  # noqa: S101 -- _find() has looked
        header, more = grown
        self._file.seek(self._offsets[-2])
        self._file.write(header)
        self._file.seek(0, 2)
        self._file.write(bytes(more))
        self._offsets[-1] += more

    def _replace(self, main: bytes) -> None:
        """Overwrites the last main data, which lie in the last frames."""
        frame = len(self._offsets) - 1
        while main:
            frame -= 1
            start, end = self._offsets[frame] + self._first.front, self._offsets[frame + 1]
            taken = main[-(end - start) :] if end > start else b""
            self._file.seek(end - len(taken))
            self._file.write(taken)
            main = main[: len(main) - len(taken)]
