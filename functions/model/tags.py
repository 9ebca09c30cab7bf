"""The tags that audio keeps of its video, or is given by its owner.

People pass their audio on. So only what is listed here is kept: nothing that tells where something was recorded, with
which device, or by whose account.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Self

from functions.model.media import printable
from functions.model.options import Keep, Options

_LONGEST = 500  # characters of a tag
_LONGEST_TEXT = 20_000  # of a comment, or of lyrics
_TEXTS = ("comment", "lyrics")  # they may have more lines than one
# The names that containers give a tag, in ffprobe's words without regard to case; the first that is there counts.
# "Product" is AVI's album, and lyrics in ID3 have their own description and language behind their name.
_NAMES = {
    "title": ("title",),
    "artist": ("artist", "author", "performer", "lead_performer"),
    "album": ("album", "product"),
    "album_artist": ("album_artist", "albumartist", "album artist"),
    "composer": ("composer",),
    "date": ("date", "year", "date_released", "date_recorded"),
    "genre": ("genre",),
    "track": ("track", "tracknumber"),
    "disc": ("disc", "discnumber"),
    "comment": ("comment", "comments", "description"),
    "lyrics": ("lyrics", "unsyncedlyrics", "wm/lyrics", "lyrics-.*"),
}
_APPLE = "com.apple.quicktime."  # in front of each of these names (QuickTime File Format, metadata keys)
_DATE = re.compile("[0-9]{4}(-[0-9]{2}){0,2}")  # the hour, and that of which zone, are nobody's business


@dataclass(frozen=True)
class Tags:
    """What describes a piece of audio; None where nothing is known."""

    title: str | None = None
    artist: str | None = None
    album: str | None = None
    album_artist: str | None = None
    composer: str | None = None
    date: str | None = None
    genre: str | None = None
    track: str | None = None  # "3" or "3/12"
    disc: str | None = None
    comment: str | None = None
    lyrics: str | None = None

    @classmethod
    def of(cls, found: Mapping[str, str]) -> Self:
        """Those of a video's tags that are kept."""
        lowered = {name.lower().removeprefix(_APPLE): value for name, value in found.items()}
        return cls(**{each.name: _text(each.name, lowered) for each in fields(cls)})

    def asked(self, options: Options) -> "Tags":
        """These tags, or none if they are to be stripped, with those that the owner has set."""
        names = {"title": "title", "artist": "artist", "album": "album", "year": "date", "genre": "genre"}
        given = {tag: getattr(options, name) for name, tag in (names | {"comment": "comment"}).items()}
        kept = self if options.tags is Keep.KEEP else Tags()
        return replace(kept, **{tag: text or None for tag, text in given.items() if text is not None})

    def items(self) -> list[tuple[str, str]]:
        """The tags that are there, by ffmpeg's names."""
        return [(name, value) for name, value in vars(self).items() if value]


def _text(tag: str, found: Mapping[str, str]) -> str | None:
    names = (name for wanted in _NAMES[tag] for name in found if re.fullmatch(wanted, name))
    value = next((found[name] for name in names), "")
    if tag in _TEXTS:
        return "\n".join(printable(line) for line in value.splitlines()).strip()[:_LONGEST_TEXT] or None
    if tag == "date":
        return date[0] if (date := _DATE.search(value)) else None
    return printable(value)[:_LONGEST] or None
