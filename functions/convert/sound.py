"""The sound on its way from a track to the encoder: which filters it passes, and what comes out of them."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from functions.convert.description import Audio
from functions.model.options import Channels, Options
from functions.model.source import Chapter

_HALF = 0.7071  # of the power: what ITU-R BS.775-3, annex 4, gives the centre and the surrounds of each side
_SHORTEST = 0.001  # seconds of a chapter
# Which way each speaker of ffmpeg's layouts goes. The low frequencies (LFE) are left out, as BS.775 does.
_LEFT, _RIGHT, _BOTH = (
    {"FL", "BL", "SL", "FLC", "TFL", "TBL", "TSL", "WL", "BFL", "SDL", "DL", "SSL", "TTL"},
    {"FR", "BR", "SR", "FRC", "TFR", "TBR", "TSR", "WR", "BFR", "SDR", "DR", "SSR", "TTR"},
    {"FC", "BC", "TC", "TFC", "TBC", "BFC"},
)
_FRONT = {"FL", "FR", "DL", "DR"}
_SPEAKERS = {  # of the layouts that have a name of their own, as `ffmpeg -layouts` lists them
    name: speakers.split("+")
    for name, speakers in {
        "2.1": "FL+FR+LFE",
        "3.0": "FL+FR+FC",
        "3.0(back)": "FL+FR+BC",
        "4.0": "FL+FR+FC+BC",
        "quad": "FL+FR+BL+BR",
        "quad(side)": "FL+FR+SL+SR",
        "3.1": "FL+FR+FC+LFE",
        "5.0": "FL+FR+FC+BL+BR",
        "5.0(side)": "FL+FR+FC+SL+SR",
        "4.1": "FL+FR+FC+LFE+BC",
        "5.1": "FL+FR+FC+LFE+BL+BR",
        "5.1(side)": "FL+FR+FC+LFE+SL+SR",
        "6.0": "FL+FR+FC+BC+SL+SR",
        "6.0(front)": "FL+FR+FLC+FRC+SL+SR",
        "3.1.2": "FL+FR+FC+LFE+TFL+TFR",
        "hexagonal": "FL+FR+FC+BL+BR+BC",
        "6.1": "FL+FR+FC+LFE+BC+SL+SR",
        "6.1(back)": "FL+FR+FC+LFE+BL+BR+BC",
        "6.1(front)": "FL+FR+LFE+FLC+FRC+SL+SR",
        "7.0": "FL+FR+FC+BL+BR+SL+SR",
        "7.0(front)": "FL+FR+FC+FLC+FRC+SL+SR",
        "7.1": "FL+FR+FC+LFE+BL+BR+SL+SR",
        "7.1(wide)": "FL+FR+FC+LFE+BL+BR+FLC+FRC",
        "7.1(wide-side)": "FL+FR+FC+LFE+FLC+FRC+SL+SR",
        "5.1.2": "FL+FR+FC+LFE+BL+BR+TFL+TFR",
        "5.1.2(back)": "FL+FR+FC+LFE+BL+BR+TBL+TBR",
        "octagonal": "FL+FR+FC+BL+BR+BC+SL+SR",
        "cube": "FL+FR+BL+BR+TFL+TFR+TBL+TBR",
        "downmix": "DL+DR",
    }.items()
}


@dataclass(frozen=True)
class Sound:
    """What an encoder is given."""

    channels: int
    sample_rate: int  # Hz
    filters: tuple[str, ...]  # of ffmpeg, in order


@dataclass(frozen=True)
class Span:
    """A part of the video by its own clock, in seconds; it may reach beyond the sound at either end."""

    start: float = 0.0
    end: float | None = None  # None: to the end of the sound

    def length(self, whole: float | None) -> float | None:
        """How much of a video of that length it is; None where that is not known."""
        end = min(self.end, whole) if self.end is not None and whole else self.end or whole
        return None if end is None else max(0.0, end - self.start)


def shape(audio: Audio, options: Options, span: Span, *, seek: float = 0.0, fill: bool = False) -> Sound:
    """The sound of that span that the options ask for, as far as the format has it.

    `seek` is where the file is read from, in seconds of the video's clock, which then begins there. What comes before
    the sound begins is left out; with `fill`, gaps in it become silence.
    """
    encoding = options.encoding
    mixed, channels = _mix(audio, options.channels, encoding.max_channels)
    rate = encoding.nearest_rate(options.sample_rate or audio.sample_rate or 44_100)
    return Sound(
        channels,
        rate,
        (
            *(("aresample=async=1",) if fill else ()),  # gaps of more than a tenth of a second
            *((_trim(span, seek),) if span != Span() else ()),
            *mixed,
            *((f"aresample={rate}",) if rate != audio.sample_rate else ()),
            *((f"aformat=channel_layouts={encoding.layouts}",) if channels > 2 and encoding.layouts else ()),
            "asetpts=PTS-STARTPTS",  # so that out_time is where the sound ends, counted from where it begins
        ),
    )


def chapters(found: Iterable[Chapter], audio: Audio, span: Span, length: float | None = None) -> tuple[Chapter, ...]:
    """The chapters of the video on the clock of the sound of that span, which is `length` seconds long.

    They lie within it, in order; those that have nothing in it are left out.
    """
    zero = max(span.start, audio.start)
    end = (span.end if length is None else zero + length) or float("inf")
    moved = (Chapter(max(each.start, zero) - zero, min(each.end, end) - zero, each.title) for each in found)
    return tuple(sorted((each for each in moved if each.end - each.start > _SHORTEST), key=lambda each: each.start))


def has_places(audio: Audio) -> bool:
    """Whether players know where each channel belongs, as they do of one or two."""
    return (audio.channels or 0) <= 2 or audio.layout in _SPEAKERS


def _trim(span: Span, seek: float) -> str:
    end = "" if span.end is None else f":end={span.end - seek:.6f}"
    return f"atrim=start={span.start - seek:.6f}{end}"


def _mix(audio: Audio, asked: Channels, most: int) -> tuple[tuple[str, ...], int]:
    """The filters that mix the channels, and how many come out."""
    count = audio.channels or 2
    if asked is Channels.SOURCE and count <= most and _is_known(audio, count):
        return (), count
    stereo = _stereo(audio, count)
    if asked is Channels.MONO or (asked is Channels.SOURCE and count == 1):
        return (_pan("mono", [[(left + right) / 2 for left, right in zip(*stereo, strict=True)]]),), 1
    return (_pan("stereo", stereo),), 2


def _is_known(audio: Audio, count: int) -> bool:
    return audio.layout in (("mono", "stereo")[count - 1 : count] if count <= 2 else _SPEAKERS)


def _stereo(audio: Audio, count: int) -> list[list[float]]:
    """How much of each channel goes left and how much right, so that nothing can clip.

    Channels without known places go left and right in turn. Of ambisonic sound the first channel is all around and the
    second what comes from the left (ACN order, RFC 8486, 3.1): what comes from in front is on both sides as loud as a
    centre is, and what comes from one side keeps its level there.
    """
    speakers = _SPEAKERS.get(audio.layout or "") or re.findall(r"[A-Z]{2,3}", _named(audio.layout))
    if count == 1:
        return [[1.0], [1.0]]
    if (audio.layout or "").startswith("ambisonic"):
        rest = [0.0] * (count - 2)
        return [[_HALF, 1 - _HALF, *rest], [_HALF, _HALF - 1, *rest]]
    if len(speakers) != count or not {*speakers} & (_LEFT | _RIGHT | _BOTH):
        speakers = ["FL", "FR"] * (count // 2) + ["FC"] * (count % 2)
        weights = dict.fromkeys(("FL", "FR"), 1.0) | {"FC": _HALF}
    else:
        weights = {each: 1.0 if each in _FRONT else _HALF for each in speakers}
    sides = [[weights[each] if each in side | _BOTH else 0.0 for each in speakers] for side in (_LEFT, _RIGHT)]
    most = max(map(sum, sides))
    return [[weight / most for weight in side] for side in sides]


def _named(layout: str | None) -> str:
    """The speakers of a layout without a name, such as "4 channels (FL+FR+LFE+BC)"."""
    found = re.fullmatch(r"\d+ channels \((.+)\)", layout or "")
    return found[1] if found else ""


def _pan(layout: str, rows: list[list[float]]) -> str:
    """Each channel that comes out, as a sum of those that go in, by their numbers: names may be unknown or doubled."""
    sums = (
        "+".join(f"{weight:.6f}*c{at}" for at, weight in enumerate(row) if weight).replace("+-", "-") for row in rows
    )
    return "|".join([f"pan={layout}", *(f"c{at}={each}" for at, each in enumerate(sums))])
