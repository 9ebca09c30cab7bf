"""What somebody has asked of a conversion, in one line for people."""

from collections.abc import Iterator
from dataclasses import fields, replace

from functions.model.media import printable
from functions.model.options import Channels, Options

UNITS = {"bitrate": " kbit/s", "sample_rate": " Hz", "loudness": " LUFS"}
TIMES = ("start", "end", "cover")  # which are numbers of seconds
TAGS = ("title", "artist", "album", "year", "genre", "comment")
LONGEST = 60  # characters of a tag


def told(options: Options) -> str:
    """Each option that is not as usual, with its value, apart from the format; empty where all of them are."""
    return ", ".join(_told(options))


def _told(options: Options) -> Iterator[str]:
    usual = _usual(options)
    for name in (each.name for each in fields(options) if each.name != "format"):
        value = getattr(options, name)
        if value is not None and value != getattr(usual, name):
            yield f"{name.replace('_', ' ')} {_written(name, value)}"


def _usual(options: Options) -> Options:
    """What a conversion of that quality is like of which nothing else is asked."""
    if options.quality is None:
        return replace(Options(), bitrate=None, vbr=None)
    mono = options.encoding.meanings[options.quality].mono
    channels = Channels.MONO if mono else Channels.SOURCE
    return replace(Options(), bitrate=options.bitrate, vbr=options.vbr, channels=channels)


def _written(name: str, value: str | float) -> str:
    if name in TAGS:
        return _quoted(str(value))
    if isinstance(value, str):
        return value
    return _clock(value) if name in TIMES else f"{value:g}{UNITS.get(name, '')}"


def _quoted(tag: str) -> str:
    line = " ".join(printable(line) for line in tag.splitlines())
    cut = line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"
    return f"“{cut}”" if cut else "removed"


def _clock(time: float) -> str:
    """Seconds as one writes a time: 1:02.5 or 1:00:00."""
    minutes, seconds = divmod(round(time, 3), 60)
    hours, minutes = divmod(int(minutes), 60)
    written = f"{seconds:06.3f}".rstrip("0").rstrip(".")
    return f"{hours}:{minutes:02}:{written}" if hours else f"{minutes}:{written}"
