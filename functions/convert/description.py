"""What a video holds, as ffmpeg reports it."""

import re
from dataclasses import dataclass

from functions.model.media import Container, MediaError, Reason

_STREAM = re.compile(r"^ +Stream #0:(\d+)(?:\[0x[0-9a-f]+\])?(?:\((.*?)\))?: (Audio|Video): ((\w+).*)$")


@dataclass(frozen=True)
class Audio:
    """One audio stream of a video."""

    index: int  # among all streams of the file
    language: str | None  # as the container writes it
    default: bool
    hertz: int | None
    channels: str  # the layout in ffmpeg's words: "mono", "stereo", "5.1(side)"


@dataclass(frozen=True)
class Description:
    """What a video holds, by its own account."""

    container: Container
    duration: float | None  # seconds; None where the file does not say
    audio: tuple[Audio, ...]
    cover: int | None  # the index of the stream that is its cover picture


def read_description(messages: str, container: Container) -> Description:
    """Reads ffmpeg's report of its input, with MoviePy's parser as far as that goes. Raises MediaError (too_long).

    The parser raises on tags, chapters, subtitles, languages such as en-US and pictures without a frame rate, so it is
    shown only those lines that it can read. What it leaves out (cover, channels, all defaults but the first) is read
    here.
    """
    from moviepy.video.io.ffmpeg_reader import FFmpegInfosParser  # late: its import takes 0.4 s

    streams = {int(found[1]): found for line in messages.split("\n") if (found := _STREAM.match(line))}
    sounds = {at: found for at, found in streams.items() if found[3] == "Audio" and found[5] != "none"}
    length = re.search(r"^  Duration: (\d+):.*$", messages, re.MULTILINE)
    if length and len(length[1]) > 2:  # the parser reads 100:00:00 as 0
        raise MediaError(Reason.TOO_LONG, f"{length[1]} hours")
    lines = [length[0]] if length else []
    lines += [f"  Stream #0:{at}: Audio: {found[4]}" for at, found in sounds.items()]
    parsed = FFmpegInfosParser("\n".join(["", *lines]), "video", check_duration=bool(length)).parse() if sounds else {}
    rates = {stream["stream_number"]: stream["fps"] for each in parsed.get("inputs", ()) for stream in each["streams"]}
    return Description(
        container,
        parsed.get("duration"),
        tuple(
            Audio(
                index=at,
                language=found[2] if found[2] != "und" else None,
                default="(default)" in found[4],
                hertz=rates[at] if isinstance(rates[at], int) else None,
                channels=[*found[4].split(", "), "", ""][2],
            )
            for at, found in sounds.items()
        ),
        next((at for at, it in streams.items() if it[5] in ("mjpeg", "png") and "(attached pic)" in it[4]), None),
    )
