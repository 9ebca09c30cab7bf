"""The sound on its way from a track to the encoder: which filters it passes, and what comes out of them."""

from dataclasses import dataclass

from functions.convert.description import Audio
from functions.model.options import Options


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


def shape(audio: Audio, options: Options, _span: Span = Span()) -> Sound:
    """The sound of that span that the options ask for, as far as the format has it."""
    encoding = options.encoding
    rate = encoding.nearest_rate(options.sample_rate or audio.sample_rate or 44_100)
    filters = ["asetpts=PTS-STARTPTS"]  # so that out_time is where the sound ends, counted from where it begins
    if rate != audio.sample_rate:
        filters.append(f"aresample={rate}")
    channels = min(audio.channels or 2, 2)
    if channels != audio.channels:
        filters.append("aformat=channel_layouts=stereo")
    return Sound(channels, rate, tuple(filters))
