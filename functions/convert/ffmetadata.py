"""Tags and chapters as ffmpeg reads them from a file: its "ffmetadata" (https://ffmpeg.org/ffmpeg-formats.html)."""

import re
import struct
from base64 import b64encode

from functions.model.source import Chapter
from functions.model.tags import Tags

NAME = "tags"  # of the file
_FRONT_COVER = 3


def write(tags: Tags, chapters: tuple[Chapter, ...], picture: bytes | None = None) -> str:
    """The whole file. `picture` is a JPEG for a format that keeps its cover in a tag."""
    lines = [";FFMETADATA1", *(f"{name}={_escaped(value)}" for name, value in tags.items())]
    if picture:
        lines.append(f"METADATA_BLOCK_PICTURE={_escaped(picture_block(picture))}")
    for chapter in chapters:
        lines += ["[CHAPTER]", "TIMEBASE=1/1000", f"START={round(chapter.start * 1000)}"]
        lines += [f"END={round(chapter.end * 1000)}", f"title={_escaped(chapter.title or '')}"]
    return "\n".join([*lines, ""])


def picture_block(jpeg: bytes) -> str:
    """The picture as a comment in Ogg: FLAC's block of it (RFC 9639, 8.8) in base64 (RFC 7845 has no other place)."""
    kind = b"image/jpeg"
    # Neither description nor dimensions: what is 0 is to be found in the picture itself.
    head = struct.pack(">II", _FRONT_COVER, len(kind)) + kind + struct.pack(">6I", 0, 0, 0, 0, 0, len(jpeg))
    return b64encode(head + jpeg).decode()


def _escaped(text: str) -> str:
    return re.sub(r"([=;#\\\n])", r"\\\1", text)
