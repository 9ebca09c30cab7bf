"""What a conversion works on, and what comes of it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from functions.convert.description import Description
from functions.convert.jail import Jail
from functions.convert.sound import Span
from functions.model.audio import Audio, Note
from functions.model.options import Options

_PIECE = 2**20  # bytes


@dataclass(frozen=True)
class Work:
    """What stays the same while one track after another is tried."""

    jail: Jail
    source: str  # the video's name in the jail's folder
    target: str
    seen: Description
    options: Options
    cover: bytes | None  # a JPEG
    notes: tuple[Note, ...]
    cores: int  # that it may use

    @property
    def span(self) -> Span:
        """What is wanted of the video."""
        return Span(self.options.start or 0.0, self.options.end)

    @property
    def most(self) -> float:
        """Seconds that the audio may have, whatever length the header claims."""
        return self.jail.limits.duration + 2

    def path(self, name: str) -> Path:
        """The file of that name in the jail's folder."""
        return self.jail.folder / name


@dataclass(frozen=True)
class Result:
    """The finished audio: `front`, and what is in the file behind it."""

    front: bytes
    file: Path
    facts: Audio
    peaks: bytes  # the waveform, a byte for each peak

    @property
    def size(self) -> int:
        """Bytes of all of it."""
        return len(self.front) + self.file.stat().st_size

    def pieces(self) -> Iterator[bytes]:
        """All of it, piece by piece."""
        return pieces(self.front, self.file)


def pieces(front: bytes, file: Path) -> Iterator[bytes]:
    """The bytes of both, one behind the other."""
    if front:
        yield front
    with file.open("rb") as opened:
        while piece := opened.read(_PIECE):
            yield piece
