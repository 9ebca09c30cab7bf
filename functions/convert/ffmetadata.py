"""Tags and chapters as ffmpeg reads them from a file: its "ffmetadata" (https://ffmpeg.org/ffmpeg-formats.html)."""

import re
import struct
from base64 import b64encode
from collections.abc import Iterable, Iterator

from functions.model.source import Chapter

NAME = "tags"  # of the file
_FRONT_COVER = 3


def write(tags: Iterable[tuple[str, str]], chapters: tuple[Chapter, ...]) -> str:
    """The whole file."""
    lines = [";FFMETADATA1", *(f"{name}={_escaped(value)}" for name, value in tags)]
    for chapter in chapters:
        lines += ["[CHAPTER]", "TIMEBASE=1/1000", f"START={round(chapter.start * 1000)}"]
        lines += [f"END={round(chapter.end * 1000)}", f"title={_escaped(chapter.title or '')}"]
    return "\n".join([*lines, ""])


def chapters_as_tags(chapters: tuple[Chapter, ...]) -> Iterator[tuple[str, str]]:
    """Chapters as comments of Vorbis, which ffmpeg writes into Ogg but not into FLAC.

    The field's names are those of https://wiki.xiph.org/Chapter_Extension.
    """
    for number, chapter in enumerate(chapters):
        minutes, seconds = divmod(chapter.start, 60)
        yield f"CHAPTER{number:03d}", f"{int(minutes) // 60:02d}:{int(minutes) % 60:02d}:{seconds:06.3f}"
        yield f"CHAPTER{number:03d}NAME", chapter.title or ""


def picture_as_tag(jpeg: bytes) -> tuple[str, str]:
    """A cover as a comment in Ogg: FLAC's block of it (RFC 9639, 8.8) in base64; Ogg has no other place for one."""
    kind = b"image/jpeg"
    # Neither description nor dimensions: what is 0 is to be found in the picture itself.
    head = struct.pack(">II", _FRONT_COVER, len(kind)) + kind + struct.pack(">6I", 0, 0, 0, 0, 0, len(jpeg))
    return "METADATA_BLOCK_PICTURE", b64encode(head + jpeg).decode()


def _escaped(text: str) -> str:
    return re.sub(r"([=;#\\\n])", r"\\\1", text)
