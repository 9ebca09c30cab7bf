"""What is in a video, as ffprobe reports it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from functions.convert import ffmpeg
from functions.convert.jail import Jail, open_by, open_file
from functions.convert.window import End
from functions.model.containers import Container, Extent
from functions.model.media import MediaError, Reason
from functions.model.source import Chapter, Source, Track

LOOK_SECONDS = 60  # how long ffprobe may take
_ENTRIES = (
    "format=start_time,duration,bit_rate:format_tags",
    "stream=index,codec_type,codec_name,codec_tag_string,sample_rate,channels,channel_layout,start_time,duration,bit_rate",
    "stream=width,height:stream_tags:stream_disposition=default,attached_pic",
    "chapter=start_time,end_time:chapter_tags",
)


@dataclass(frozen=True)
class Audio(Track):
    """An audio track, with what only the conversion needs to know of it."""

    tag: str | None = None  # the codec in the container's words, for one that ffmpeg does not know
    start: float = 0.0  # seconds; when it begins, by the video's own clock
    duration: float | None = None  # seconds, where the container says it of the track itself
    bit_rate: int | None = None  # bit/s


@dataclass(frozen=True)
class Picture:
    """A still picture that the container marks as attached: a cover."""

    index: int  # among all streams of the file
    codec: str | None
    width: int
    height: int


@dataclass(frozen=True)
class Description:
    """What is in a video, by its own account."""

    extent: Extent
    start: float  # seconds; where the video's own clock begins
    duration: float | None  # seconds; None where the file does not say
    audio: tuple[Audio, ...]
    pictures: tuple[Picture, ...]
    video: int | None  # the index of its first moving picture
    tags: Mapping[str, str]  # of the whole file
    chapters: tuple[Chapter, ...]  # by the video's clock, which begins at 0 here
    stream_tags: Mapping[int, Mapping[str, str]]  # of each stream, by its index
    end: End = End.UNKNOWN  # what the container itself says of it

    @property
    def container(self) -> Container:
        """The container, of which only one demuxer is used."""
        return self.extent.container

    @property
    def source(self) -> Source:
        """What the owner may know of it."""
        tracks = tuple(
            Track(**{name: getattr(audio, name) for name in Track.__dataclass_fields__}) for audio in self.audio
        )
        return Source(self.duration, tracks, self.chapters)


def describe(jail: Jail, name: str, extent: Extent) -> Description:
    """Looks at the video of that name. Raises MediaError where nothing can be read, and what Jail.run() raises."""
    words = ["-v", "warning", "-print_format", "json=compact=1", "-show_entries", ":".join(_ENTRIES)]
    run = jail.probe([*words, *open_file(name, extent)], LOOK_SECONDS)
    try:
        report = json.loads(run.output)
    except ValueError as error:
        raise MediaError(Reason.DAMAGED, f"a report of {len(run.output)} bytes cannot be read") from error
    if run.status or "format" not in report:
        raise ffmpeg.explain(run)
    return read_report(report, extent)


def length(jail: Jail, name: str, demuxer: str) -> float:
    """The seconds that a file of ours plays, as its container says; 0 for an empty one."""
    words = ["-v", "error", "-print_format", "json", "-show_entries", "format=duration", *open_by(name, demuxer)]
    run = jail.probe(words, LOOK_SECONDS)
    if run.status:
        return 0.0
    return _seconds(json.loads(run.output).get("format", {}).get("duration")) or 0.0


def read_report(report: Mapping[str, Any], extent: Extent) -> Description:
    """Reads ffprobe's report of its input."""
    streams = report.get("streams", [])
    whole = report.get("format", {})
    pictures = [each for each in streams if each.get("disposition", {}).get("attached_pic")]
    moving = [each for each in streams if each.get("codec_type") == "video" and each not in pictures]
    start = _seconds(whole.get("start_time")) or 0.0
    return Description(
        extent=extent,
        start=start,
        duration=_seconds(whole.get("duration")),
        audio=tuple(_audio(each, start) for each in streams if each.get("codec_type") == "audio"),
        pictures=tuple(
            Picture(each["index"], _codec(each), each.get("width", 0), each.get("height", 0)) for each in pictures
        ),
        video=next((each["index"] for each in moving), None),
        tags=whole.get("tags", {}),
        chapters=tuple(_chapter(each, start) for each in report.get("chapters", [])),
        stream_tags={each["index"]: each.get("tags", {}) for each in streams},
    )


def _audio(stream: Mapping[str, Any], start: float) -> Audio:
    tags = {name.lower(): value for name, value in stream.get("tags", {}).items()}
    language = tags.get("language")
    tag = stream.get("codec_tag_string", "")
    return Audio(
        index=stream["index"],
        language=language if language not in ("und", "") else None,
        title=tags.get("title") or None,
        codec=_codec(stream),
        channels=stream.get("channels") or None,
        layout=stream.get("channel_layout"),
        sample_rate=int(stream.get("sample_rate", 0)) or None,
        default=bool(stream.get("disposition", {}).get("default")),
        tag=None if tag.startswith("[") else tag,
        start=(_seconds(stream.get("start_time")) or start) - start,
        duration=_seconds(stream.get("duration")),
        bit_rate=int(stream.get("bit_rate", 0)) or None,
    )


def _codec(stream: Mapping[str, Any]) -> str | None:
    name = stream.get("codec_name")
    return None if name in (None, "none", "unknown") else str(name)


def _chapter(chapter: Mapping[str, Any], start: float) -> Chapter:
    tags = {name.lower(): value for name, value in chapter.get("tags", {}).items()}
    begins, ends = (_seconds(chapter.get(name)) or 0.0 for name in ("start_time", "end_time"))
    return Chapter(begins - start, ends - start, tags.get("title"))


def _seconds(text: str | None) -> float | None:
    return float(text) if text not in (None, "N/A") else None
