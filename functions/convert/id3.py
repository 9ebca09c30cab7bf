"""The tag in front of an MP3: ID3v2.3, the newest that every player knows (https://id3.org/id3v2.3.0).

ffmpeg writes comments and lyrics as TXXX frames, which players do not show, and gives the cover no type. So it writes
no tag at all, and this one is stored in front of its bytes; a WAV gets it as a chunk at its end.
"""

import re
import struct
from collections.abc import Iterable
from pathlib import Path

from functions.model.source import Chapter
from functions.model.tags import Tags

_TEXT_FRAMES = {  # 4.2.1
    "title": b"TIT2",
    "artist": b"TPE1",
    "album": b"TALB",
    "album_artist": b"TPE2",
    "composer": b"TCOM",
    "genre": b"TCON",
    "track": b"TRCK",
    "disc": b"TPOS",
}
_LANGUAGE = b"und"  # ISO 639-2 for one that nobody has said
_FRONT_COVER = b"\x03"
_NO_OFFSET = 0xFFFFFFFF  # only the times count (https://id3.org/id3v2-chapters-1.0)
_ORDERED_ROOT = b"\x03"
_LISTED = 255  # chapters that a table of contents can list


def tag(tags: Tags, chapters: tuple[Chapter, ...], cover: bytes | None) -> bytes:
    """The whole tag; nothing where there is nothing to say. `cover` is a JPEG."""
    frames = b"".join(_frames(tags, chapters, cover))
    size = len(frames)
    sizes = bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))  # 3.1: seven bits in each byte
    return b"ID3\x03\x00\x00" + sizes + frames if frames else b""


def append_chunk(path: Path, tag: bytes) -> None:
    """Appends the tag to a WAV as its last chunk, which is called "id3 ", and corrects the sizes in the WAV's front."""
    if not tag:
        return
    with path.open("r+b") as file:
        front = file.read(28)
        file.seek(0, 2)
        odd = file.tell() % 2
        file.write(b"\0" * odd + b"id3 " + struct.pack("<I", len(tag)) + tag + b"\0" * (len(tag) % 2))
        size = file.tell() - 8
        if front.startswith(b"RF64"):  # EBU Tech 3306: the size that counts is in the chunk ds64
            file.seek(20)
            file.write(struct.pack("<Q", size))
        else:
            file.seek(4)
            file.write(struct.pack("<I", size))


def _frames(tags: Tags, chapters: tuple[Chapter, ...], cover: bytes | None) -> Iterable[bytes]:
    for name, value in tags.items():
        if name in _TEXT_FRAMES:
            yield _frame(_TEXT_FRAMES[name], _text(value))
    if tags.date and (year := re.match("[0-9]{4}", tags.date)):
        yield _frame(b"TYER", _text(year[0]))
    if tags.comment:
        yield _frame(b"COMM", _described(tags.comment))
    if tags.lyrics:
        yield _frame(b"USLT", _described(tags.lyrics))
    if cover:
        yield _frame(b"APIC", b"\0image/jpeg\0" + _FRONT_COVER + b"\0" + cover)
    if chapters:
        listed = b"".join(b"ch%d\0" % number for number in range(min(len(chapters), _LISTED)))
        yield _frame(b"CTOC", b"toc\0" + _ORDERED_ROOT + bytes([min(len(chapters), _LISTED)]) + listed)
    for number, chapter in enumerate(chapters):
        times = struct.pack(">4I", round(chapter.start * 1000), round(chapter.end * 1000), _NO_OFFSET, _NO_OFFSET)
        title = _frame(b"TIT2", _text(chapter.title)) if chapter.title else b""
        yield _frame(b"CHAP", b"ch%d\0" % number + times + title)


def _frame(name: bytes, body: bytes) -> bytes:
    return name + struct.pack(">I", len(body)) + b"\0\0" + body


def _text(text: str) -> bytes:
    encoding, encoded, _ = _encoded(text)
    return encoding + encoded


def _described(text: str) -> bytes:
    """A language, an empty description, and the text (4.9 and 4.11)."""
    encoding, encoded, end = _encoded(text)
    empty = b"\xff\xfe" * (len(end) - 1) + end
    return encoding + _LANGUAGE + empty + encoded


def _encoded(text: str) -> tuple[bytes, bytes, bytes]:
    """The byte that says how a text is encoded, the text, and what ends one (3.3)."""
    try:
        return b"\0", text.encode("latin-1"), b"\0"
    except UnicodeEncodeError:
        return b"\1", b"\xff\xfe" + text.encode("utf-16-le"), b"\0\0"
