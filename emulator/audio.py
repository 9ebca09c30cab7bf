"""The MP3 beside its video: whole or not at all, and over nothing that was there before, unless that is wanted."""

import secrets
from collections.abc import Iterable
from itertools import count
from pathlib import Path
from tempfile import TemporaryFile


def require_room(folder: Path) -> None:
    """Raises OSError where no file can be made."""
    with TemporaryFile(dir=folder):
        pass


def write(pieces: Iterable[bytes], wanted: Path, *, video: Path, force: bool) -> Path:
    """Give where it lies: at `wanted` or, where something is, under the next free name. Raises OSError.

    With `force` it replaces what is there, though never the video itself.
    """
    unfinished = wanted.with_name(f".{secrets.token_hex(8)}.part")
    try:
        with unfinished.open("xb") as file:
            file.writelines(pieces)
        if force and wanted.is_file() and not wanted.samefile(video):
            return unfinished.replace(wanted)
        return _take_free_name(unfinished, wanted)
    finally:
        unfinished.unlink(missing_ok=True)


def _take_free_name(unfinished: Path, wanted: Path) -> Path:
    for number in count(1):
        audio = wanted if number == 1 else wanted.with_name(f"{wanted.stem} ({number}){wanted.suffix}")
        try:
            audio.touch(exist_ok=False)  # taken, so that nobody else takes it; a hard link not every file system has
        except FileExistsError:
            continue
        return unfinished.replace(audio)
    raise AssertionError
