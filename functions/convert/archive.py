"""The zip that audio is split into: stored and not compressed, so that each part is a range of its bytes.

Python's zipfile writes it. Its time stamps are those of 1980, the first that the format has: the same parts are the
same zip.
"""

from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from zipfile import ZIP_STORED, ZipFile, ZipInfo

from functions.convert.parts import Plan
from functions.model.audio import Part

_PIECE = 2**20  # bytes
_MODE = 0o644 << 16  # what a part may be used for, where the zip is unpacked on Unix


class Archive:
    """A zip on disk that grows part by part; it is whole when the `with` block has ended."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self._zip = ZipFile(self._file, "w", ZIP_STORED)
        self.parts: list[Part] = []

    @property
    def size(self) -> int:
        """Bytes of it so far."""
        return self._file.tell()

    def __enter__(self) -> "Archive":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._zip.close()
        self._file.close()

    def add(self, part: Plan, pieces: Iterable[bytes], duration: float) -> None:
        """Adds the file of a part that plays `duration` seconds."""
        entry = ZipInfo(part.filename)
        entry.external_attr = _MODE
        with self._zip.open(entry, "w", force_zip64=True) as stored:
            offset = self._file.tell()  # behind the part's header
            for piece in pieces:
                stored.write(piece)
        self.parts.append(Part(part.title, part.filename, offset, entry.file_size, duration))


def extract(zipped: Path, part: Part, path: Path) -> None:
    """Writes the file of one part of a zip to that path."""
    with zipped.open("rb") as file, path.open("wb") as out:
        file.seek(part.offset)
        left = part.size
        while left:
            piece = file.read(min(left, _PIECE))
            out.write(piece)
            left -= len(piece)
