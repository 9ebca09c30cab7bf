"""Where files of chunks end: RIFF (WAV, AVI), its 64-bit kin RF64 and W64, AIFF, CAF and AU.

What one size says refuses nothing: recorders and pipes leave many there that are wrong, and a player reads on or stops
as the file does. A file is cut off where two agree that there was more: that of the whole, and that of the sound.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from functions.convert.window import End, Window, cut, is_unknown

_SLACK = 12  # bytes by which a size may be wrong: some count the header too, or a pad byte that they do not write


@dataclass(frozen=True)
class _Layout:
    """How the head of a chunk looks: its name, then its size."""

    name: int  # bytes
    size: int  # bytes
    order: Literal["little", "big"]
    counts_head: bool = False
    aligned: int = 2  # bytes

    @property
    def head(self) -> int:
        return self.name + self.size


_RIFF = _Layout(4, 4, "little")
_AIFF = _Layout(4, 4, "big")
_CAF = _Layout(4, 8, "big", aligned=1)
_W64 = _Layout(16, 8, "little", counts_head=True, aligned=8)


def riff(video: Window) -> End:
    """Walks the RIFFs: a WAV has one, an AVI beyond 1 GB several (OpenDML). Raises MediaError (truncated)."""
    position = 0
    while position + 12 <= video.size:
        video.step()
        head = video.at(position, 36)
        length = int.from_bytes(head[4:8], "little")
        sound = None
        if head[:4] in (b"RF64", b"BW64"):  # EBU Tech 3306: the true sizes are in `ds64`
            length, sound = (int.from_bytes(head[at : at + 8], "little") for at in (20, 28))
        elif head[:4] != b"RIFF":
            break
        if is_unknown(length):
            return _stream(video, position)
        end = position + 8 + length
        if end > video.size + _SLACK:
            return _judge(video, end, _sound(video, position + 12, _RIFF, (b"data", b"movi"), sound))
        position = end
    return End.WHOLE


def aiff(video: Window) -> End:
    """Raises MediaError (truncated)."""
    length = int.from_bytes(video.at(4, 4))
    if is_unknown(length) or 8 + length <= video.size + _SLACK:
        return End.UNKNOWN if is_unknown(length) else End.WHOLE
    return _judge(video, 8 + length, _sound(video, 12, _AIFF, (b"SSND",)))


def w64(video: Window) -> End:
    """Sony Wave64. Raises MediaError (truncated)."""
    length = int.from_bytes(video.at(16, 8), "little")
    if is_unknown(length) or length <= video.size + _SLACK:
        return End.UNKNOWN if is_unknown(length) else End.WHOLE
    return _judge(video, length, _sound(video, 40, _W64, (b"data",)))


def caf(video: Window) -> End:
    """Apple's Core Audio Format. Raises MediaError (truncated)."""
    sound = _sound(video, 8, _CAF, (b"data",))
    return _judge(video, sound or video.size + 1, sound)


def au(video: Window) -> End:
    """Sun's, whose header is all that there is. Raises MediaError (truncated)."""
    return _judge(video, video.size + 1, au_end(video))


def au_end(video: Window) -> int | None:
    """Where its sound ends; None where it does not say."""
    start, length = (int.from_bytes(video.at(at, 4)) for at in (4, 8))
    return None if is_unknown(length) else start + length


def _judge(video: Window, whole: int, sound: int | None) -> End:
    """Of a file that should end at `whole`, its sound at `sound`, None where that is unknown."""
    if sound is None:
        return End.UNKNOWN
    if sound <= video.size + _SLACK:
        return End.WHOLE  # behind it only an index is missing, which nobody needs
    raise cut(video.size, max(whole, sound))


def _sound(
    video: Window, position: int, layout: _Layout, names: tuple[bytes, ...], size: int | None = None
) -> int | None:
    """Where the chunk that holds the sound ends, of which `size` is known; None where that is unknown.

    That is far behind the file's end where the file ends before that chunk begins.
    """
    for name, data, length in _chunks(video, position, layout):
        form = video.at(data, 4) if name == b"LIST" else b""
        if name[:4] in names or form in names:
            length = length if size is None or length != 2**32 - 1 else size
            return None if is_unknown(length) else data + length
    return video.size + _SLACK + 1


def _chunks(video: Window, position: int, layout: _Layout) -> Iterator[tuple[bytes, int, int]]:
    """Name, where the data begins, and its length, of each. Raises Endless."""
    while True:
        video.step()
        head = video.at(position, layout.head)
        if len(head) < layout.head:
            return
        length = int.from_bytes(head[layout.name :], layout.order, signed=layout is _CAF)
        length -= layout.head if layout.counts_head else 0
        yield head[: layout.name], position + layout.head, length
        if length < 0:
            return
        position += layout.head + length + -length % layout.aligned


def _stream(video: Window, position: int) -> End:
    """A RIFF whose size nobody knows: an AVI that ends within a chunk was interrupted."""
    if video.at(position + 8, 4) != b"AVI ":
        return End.UNKNOWN
    for name, data, length in _chunks(video, position + 12, _RIFF):
        if name == b"LIST" and video.at(data, 4) == b"movi":
            last = data + 4
            for inner, at, size in _chunks(video, data + 4, _RIFF):
                last = at + size
                if not (inner[:2].isdigit() or inner[:2] == b"ix" or inner in (b"LIST", b"JUNK", b"idx1")):
                    return End.UNKNOWN
            return End.INCOMPLETE if last > video.size + 1 else End.UNKNOWN
        if is_unknown(length):
            break
    return End.UNKNOWN
