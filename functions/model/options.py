"""What a person can ask of a conversion: one frozen value, made when the job is made and kept with it.

A new option is one more field of Options, with what it takes and what it means beside it, and the place where it
changes what ffmpeg is told (functions/convert). Everything else follows from the fields: which names a request may use,
what is refused, the JSON Schema, what the row holds, what the job's document shows and what an Idempotency-Key covers.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from typing import Any, Protocol, Self
from unicodedata import normalize

from functions.model.encoding import ENCODINGS, Encoding, Quality
from functions.model.errors import MAX_QUOTED, Unprocessable
from functions.model.media import printable

SPOKEN = {"off": None, "podcast": -16.0, "broadcast": -23.0}  # LUFS; EBU R 128 for broadcast
LATEST = 1_000_000  # seconds, of `end`: eleven days, more than any service allows
PLACES = 6  # of a time or loudness; a client may have worked it out with more
LONGEST_LANGUAGE = 35  # characters (RFC 5646, 4.4.1)
UPLOADED = "upload"  # the value of `cover` where the picture came with the request


class Format(StrEnum):
    MP3 = "mp3"
    M4A = "m4a"
    OPUS = "opus"
    FLAC = "flac"
    WAV = "wav"


class Channels(StrEnum):
    SOURCE = "source"
    MONO = "mono"
    STEREO = "stereo"


class Split(StrEnum):
    NO = "no"
    CHAPTERS = "chapters"


class Keep(StrEnum):
    KEEP = "keep"
    STRIP = "strip"


class Copy(StrEnum):
    AUTO = "auto"
    NEVER = "never"


class Kind(Protocol):
    """What an option takes. Its text completes the sentence "`name` must be …"."""

    def parse(self, text: str) -> Any:
        """The value that somebody wrote. Raises ValueError where it is none."""

    def schema(self) -> dict[str, Any]:
        """The JSON Schema of a value."""

    def __str__(self) -> str: ...


@dataclass(frozen=True)
class WholeNumber:
    """A whole number, its bounds included; with `word` for a value that is no number."""

    least: int
    most: int
    word: str | None = None  # stands for None

    def parse(self, text: str) -> int | None:
        if text == self.word:
            return None
        if not re.fullmatch("-?[0-9]{1,9}", text) or not self.least <= int(text) <= self.most:
            raise ValueError(text)
        return int(text)

    def schema(self) -> dict[str, Any]:
        number = {"type": "integer", "minimum": self.least, "maximum": self.most}
        return {"anyOf": [{"const": self.word}, number]} if self.word else number

    def __str__(self) -> str:
        return f"`{self.word}` or " * bool(self.word) + f"a whole number from {self.least} to {self.most}"


@dataclass(frozen=True)
class OneOf:
    """One of some words."""

    words: type[StrEnum]

    def parse(self, text: str) -> StrEnum:
        return self.words(text)

    def schema(self) -> dict[str, Any]:
        return {"enum": [str(word) for word in self.words]}

    def __str__(self) -> str:
        return " or ".join(f"`{word}`" for word in self.words)


class Time:
    """A time in a video, in seconds."""

    pattern = r"(?:(?:([0-9]{1,3}):)?([0-9]{1,4}):)?([0-9]{1,7}(?:\.[0-9]{1,20})?)"

    def parse(self, text: str) -> float:
        found = re.fullmatch(self.pattern, text)
        if found is None:
            raise ValueError(text)
        hours, minutes, seconds = found.groups()
        if (minutes and float(seconds) >= 60) or (hours and int(minutes) >= 60):
            raise ValueError(text)
        time = int(hours or 0) * 3600 + int(minutes or 0) * 60 + round(float(seconds), PLACES)
        if time > LATEST:
            raise ValueError(text)
        return time

    def schema(self) -> dict[str, Any]:
        number = {"type": "number", "minimum": 0, "maximum": LATEST}
        return {"anyOf": [number, {"type": "string", "pattern": f"^{self.pattern}$"}]}

    def __str__(self) -> str:
        return "seconds, or a time such as `1:02.5` or `1:00:00`"


class Loudness:
    """A loudness in LUFS, by its number or by a word."""

    def parse(self, text: str) -> str | float:
        if text in SPOKEN:
            return text
        if not re.fullmatch(r"-[0-9]{1,2}(\.[0-9]{1,20})?", text) or not -30 <= float(text) <= -8:
            raise ValueError(text)
        return round(float(text), PLACES)

    def schema(self) -> dict[str, Any]:
        return {"anyOf": [{"enum": [*SPOKEN]}, {"type": "number", "minimum": -30, "maximum": -8}]}

    def __str__(self) -> str:
        return f"{', '.join(f'`{word}`' for word in SPOKEN)} or a number of LUFS from -30 to -8"


class TrackChoice:
    """An audio track, by its place or by its language (RFC 5646)."""

    pattern = r"default|[0-9]{1,4}|[A-Za-z]{2,3}(?:-[A-Za-z0-9]{2,8}){0,4}"

    def parse(self, text: str) -> str:
        if not re.fullmatch(self.pattern, text) or len(text) > LONGEST_LANGUAGE:
            raise ValueError(text)
        return text

    def schema(self) -> dict[str, Any]:
        text = {"type": "string", "pattern": f"^(?:{self.pattern})$", "maxLength": LONGEST_LANGUAGE}
        return {"anyOf": [{"type": "integer", "minimum": 0, "maximum": 9999}, text]}

    def __str__(self) -> str:
        return "`default`, the index of a track, or a language such as `en`, `eng` or `pt-BR`"


class CoverChoice:
    """What becomes of the cover."""

    def parse(self, text: str) -> str | float:
        return text if text in (Keep.KEEP, Keep.STRIP) else Time().parse(text)

    def schema(self) -> dict[str, Any]:
        return {"anyOf": [{"enum": [str(Keep.KEEP), str(Keep.STRIP)]}, *Time().schema()["anyOf"]]}

    def __str__(self) -> str:
        return "`keep`, `strip`, or the time of the frame to take"


@dataclass(frozen=True)
class Text:
    """A text for a tag; an empty one removes the tag."""

    most: int  # characters
    lines: bool = False  # whether it may have several

    def parse(self, text: str) -> str:
        lines = (printable(line) for line in normalize("NFC", text).splitlines())
        text = ("\n" if self.lines else " ").join(lines).strip()
        if len(text) > self.most:
            raise ValueError(text)
        return text

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "maxLength": self.most}

    def __str__(self) -> str:
        return f"a text of at most {self.most} characters"


class Year:
    """A year; an empty text removes it."""

    def parse(self, text: str) -> str:
        if not re.fullmatch("([0-9]{4})?", text):
            raise ValueError(text)
        return text

    def schema(self) -> dict[str, Any]:
        number = {"type": "integer", "minimum": 1000, "maximum": 9999}
        return {"anyOf": [{"type": "string", "pattern": "^([0-9]{4})?$"}, number]}

    def __str__(self) -> str:
        return "a year of four digits, or empty"


class Excluded(Unprocessable):
    """Options that do not go together; `names` has both."""

    def __init__(self, name: str, other: str, why: str) -> None:
        super().__init__(f"`{name}` and `{other}` do not go together: {why}", field=name)
        self.names = name, other


def _option(kind: Kind, default: Any, meaning: str) -> Any:
    return field(default=default, metadata={"kind": kind, "meaning": meaning})


@dataclass(frozen=True)
class Options:
    """Every option with its value. The defaults here are those of a job that was made before the option existed."""

    format: Format = _option(OneOf(Format), Format.MP3, "the format that comes out")
    quality: Quality | None = _option(
        OneOf(Quality),
        Quality.STANDARD,
        "how good, in a word; what it means stands beside it, in bitrate, vbr, channels",
    )
    bitrate: int | None = _option(WholeNumber(32, 320), None, "kbit/s, constant, in place of a quality")
    vbr: int | None = _option(
        WholeNumber(0, 9), 2, "LAME's -V, its variable bitrate: 0 is the best and largest, 9 the smallest"
    )
    channels: Channels = _option(OneOf(Channels), Channels.SOURCE, "more than the format has are mixed down to stereo")
    sample_rate: int | None = _option(WholeNumber(8000, 48_000, "source"), None, "Hz; only those that the format has")
    track: str = _option(TrackChoice(), "default", "which audio track of the video")
    start: float | None = _option(Time(), None, "where the audio begins, by the video's clock")
    end: float | None = _option(Time(), None, "where it ends; may lie beyond the end of the video")
    split: Split = _option(OneOf(Split), Split.NO, "one file for each chapter, in a zip")
    loudness: str | float = _option(Loudness(), "off", "made as loud as that (EBU R 128)")
    title: str | None = _option(Text(500), None, "a tag; kept from the video unless it is set")
    artist: str | None = _option(Text(500), None, "a tag; kept from the video unless it is set")
    album: str | None = _option(Text(500), None, "a tag; kept from the video unless it is set")
    year: str | None = _option(Year(), None, "a tag; kept from the video unless it is set")
    genre: str | None = _option(Text(500), None, "a tag; kept from the video unless it is set")
    comment: str | None = _option(Text(5000, lines=True), None, "a tag; kept from the video unless it is set")
    tags: Keep = _option(OneOf(Keep), Keep.KEEP, "whether the video's tags are kept")
    chapters: Keep = _option(OneOf(Keep), Keep.KEEP, "whether the video's chapters are kept")
    cover: str | float = _option(CoverChoice(), "keep", "whether the video's cover is kept, or a frame of it taken")
    copy: Copy = _option(OneOf(Copy), Copy.AUTO, "whether sound that has the format already is copied as it is")

    @property
    def encoding(self) -> Encoding:
        """The format that comes out."""
        return ENCODINGS[self.format]

    @property
    def asks_for_other_sound(self) -> bool:
        """Whether anything of the sound is to be another than the source's, so that it cannot be copied."""
        changed = self.channels, self.sample_rate, self.start, self.end, self.loudness
        return self.quality is not Quality.STANDARD or changed != (Channels.SOURCE, None, None, None, "off")

    def asked(self, values: Mapping[str, Any]) -> Self:
        """These options, which are the defaults, with the values that were asked for.

        `values` has texts, as in a query or form, or JSON values, by name; other names and nulls are ignored. Raises
        Unprocessable, which names the option, for a value that it does not take, and Excluded for options that exclude
        each other.
        """
        given = {
            each.name: _parsed(each, values[each.name]) for each in fields(self) if values.get(each.name) is not None
        }
        chosen = replace(self, **self._size(given) | given)
        _check(chosen, given)
        return chosen

    def is_repeat_of(self, earlier: "Options") -> bool:
        """Whether the same is asked for, be it in a word or by what the word means.

        The row of an earlier release does not say which of them it was.
        """
        return replace(self, quality=None) == replace(earlier, quality=None)

    def _size(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """What quality means, unless a bitrate is asked for in its place. Raises Excluded if both are."""
        sizes = [name for name in ("quality", "bitrate", "vbr") if name in given]
        if len(sizes) > 1:
            raise Excluded(sizes[0], sizes[1], "ask for one of them")
        if sizes and sizes[0] != "quality":
            return {"quality": None, "bitrate": None, "vbr": None}
        format_ = given.get("format", self.format)
        quality = given.get("quality", self.quality or Quality.STANDARD)
        encoding = ENCODINGS[format_]
        meaning = encoding.meanings[quality]
        vbr = self.vbr if (format_, quality) == (self.format, self.quality) else meaning.vbr
        channels = given.get("channels", Channels.MONO if meaning.mono else self.channels)
        bitrates = encoding.bitrates(given.get("sample_rate", self.sample_rate), channels is Channels.MONO)
        bitrate = meaning.bitrate and _nearest(bitrates, meaning.bitrate)[0]
        return {"quality": quality, "bitrate": bitrate, "vbr": vbr, "channels": channels}

    def as_json(self) -> dict[str, Any]:
        """As a row keeps them and a job's document shows them."""
        return dict(vars(self))

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        """The options that as_json() wrote. An older version knew fewer of them, a newer one may have written more."""
        known = {each.name: _typed(each, row[each.name]) for each in fields(cls) if each.name in row}
        if "vbr" in known:  # before there were qualities it stood alone, and may have been asked for
            known = {"quality": None, **known}
        return cls(**known)


NAMES = tuple(each.name for each in fields(Options))


def schema() -> dict[str, Any]:
    """The JSON Schema of the options in a JSON body; null is as good as not asking."""
    return {"type": "object", "properties": {each.name: _property(each) for each in fields(Options)}}


def _property(option: Any) -> dict[str, Any]:
    kind, meaning = option.metadata["kind"], option.metadata["meaning"]
    taken = kind.schema()
    found = {"anyOf": [*taken.get("anyOf", [taken]), {"type": "null"}], "description": meaning}
    default = getattr(kind, "word", None) if option.default is None else option.default
    return found if default is None or option.name == "vbr" else found | {"default": default}  # vbr: by the quality


def _parsed(option: Any, value: Any) -> Any:
    kind, meaning = option.metadata["kind"], option.metadata["meaning"]
    try:
        return kind.parse(_as_text(value, kind).strip())
    except (TypeError, ValueError) as error:
        shown = value if isinstance(value, str) else json.dumps(value)
        raise Unprocessable(
            f"`{option.name}` must be {kind}, not `{printable(shown)[:MAX_QUOTED]}` ({meaning})", field=option.name
        ) from error


def _as_text(value: Any, kind: Kind) -> str:
    """A JSON value as one writes it in a form. Raises TypeError for one that has no place there."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float) or isinstance(kind, Text):
        raise TypeError(value)
    # No exponent, no zeros behind the point, and no zero below zero.
    return str(value) if isinstance(value, int) else f"{value + 0.0:.{PLACES}f}".rstrip("0").rstrip(".")


def _typed(option: Any, value: Any) -> Any:
    """The value of a row; words become members of their enumeration again."""
    kind = option.metadata["kind"]
    return kind.words(value) if isinstance(kind, OneOf) and value is not None else value


def _check(chosen: Options, given: Mapping[str, Any]) -> None:
    """Raises Excluded where options exclude each other, or where the format has nothing of the kind."""
    encoding = chosen.encoding
    if chosen.vbr is not None and chosen.format is not Format.MP3:
        raise Excluded("vbr", "format", f"{encoding.name} has no such scale; ask for a quality or a bitrate")
    rates = encoding.sample_rates
    if chosen.sample_rate and chosen.sample_rate not in rates:
        raise Excluded("sample_rate", "format", f"{encoding.name} has {', '.join(map(str, rates))}")
    if "bitrate" in given:
        _check_bitrate(given["bitrate"], chosen)
    if chosen.end is not None and chosen.end <= (chosen.start or 0):
        raise Excluded("start", "end", "start must come before end, and is 0 unless it is given")


def _check_bitrate(bitrate: int, chosen: Options) -> None:
    """Raises Excluded where the format has no such bitrate, at all or for such sound."""
    bitrates, rate = chosen.encoding.bitrates, chosen.sample_rate
    taken = bitrates(rate, chosen.channels is Channels.MONO)
    if bitrate in taken:
        return
    if not taken:
        raise Excluded("bitrate", "format", f"{chosen.encoding.name} is lossless and has the bitrate it needs")
    other = "channels" if bitrate in bitrates(rate, False) else "sample_rate" if rate else "format"
    near = " and ".join(map(str, sorted(_nearest(taken, bitrate)[:2])))
    raise Excluded("bitrate", other, f"the nearest that there are, in kbit/s: {near}")


def _nearest(bitrates: Iterable[int], wanted: int) -> list[int]:
    """The bitrates, those that come closest first."""
    return sorted(bitrates, key=lambda each: abs(each - wanted))
