"""Writes the audio beside its video, whole or not at all.

Nothing that was there before is lost, unless the person wants it replaced.
"""

import secrets
from collections.abc import Iterable
from itertools import count
from pathlib import Path
from tempfile import TemporaryFile


def require_room(folder: Path) -> None:
    """Raises OSError if no file can be made in the folder."""
    with TemporaryFile(dir=folder):
        pass


def write(pieces: Iterable[bytes], wanted: Path, *, video: Path, force: bool) -> Path:
    """Write it to `wanted` or, if that name is taken, to the next free one. Returns where it is. Raises OSError.

    With `force` it replaces a file of that name, but never the video itself.
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
            # An empty file keeps others from taking the name. A hard link would do it in one step, but not every file
            # system has those.
            audio.touch(exist_ok=False)
        except FileExistsError:
            continue
        return unfinished.replace(audio)
    raise AssertionError
