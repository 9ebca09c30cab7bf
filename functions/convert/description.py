"""What is in a video, as ffprobe reports it."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from functions.convert import ffmpeg
from functions.convert.jail import Jail, open_by, open_file
from functions.convert.window import End
from functions.model.containers import Container, Extent
from functions.model.media import MediaError, Reason
from functions.model.source import Chapter, Source, Track

LOOK_SECONDS = 60  # how long ffprobe may take
# A decoder is opened for each stream: 900 of AAC took 658 MiB, 128 take 100 and 64 take 55 (docs/facts.md, Media). A
# video has some dozens of sound, picture and subtitles, and in Matroska as many fonts beside them, which count too.
_MOST_OPENED = 128
_MOST_STREAMS = 64  # without pictures and files
_STREAMS = ("-max_streams", str(_MOST_OPENED))
# What is kept of what a stranger wrote: a job's row has it, and its document shows it.
_MOST_CHAPTERS = 2_000  # an audio book has some hundreds
_MOST_TAGS = 500  # of the whole, or of one stream
_LONGEST = 200  # characters of a title or of a language
_ENTRIES = (
    "format=start_time,duration,bit_rate:format_tags",
    "stream=index,codec_type,codec_name,codec_tag_string,sample_rate,channels,channel_layout,start_time,duration,bit_rate",
    "stream_tags:stream_disposition=default,attached_pic",
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
    """A still picture that the video brings beside its sound: a cover, or one of something else."""

    index: int  # among all streams of the file
    is_file: bool  # attached to the video as a whole file


@dataclass(frozen=True)
class Description:
    """What is in a video, by its own account."""

    extent: Extent
    start: float  # seconds; where the video's own clock begins
    duration: float | None  # seconds; None where the file does not say
    audio: tuple[Audio, ...]
    pictures: tuple[Picture, ...]  # the cover first
    streams: int  # how many there are that are neither pictures nor files
    video: int | None  # the index of its first moving picture
    tags: Mapping[str, str]  # of the whole file
    chapters: tuple[Chapter, ...]  # by the video's clock, which begins at 0 here
    stream_tags: Mapping[int, Mapping[str, str]]  # of each stream, by its index
    end: End = End.UNKNOWN  # what the container itself says of it

    @property
    def container(self) -> Container:
        """The container, of which only one demuxer is used."""
        return self.extent.container

    def opened(self, name: str) -> list[str]:
        """The words that open the file of that name as this video."""
        return [*_STREAMS, *open_file(name, self.extent)]

    def tags_with(self, audio: Audio) -> Mapping[str, str]:
        """The tags of what that track is the sound of.

        Ogg has tags for each stream and none for the whole. Elsewhere those of a stream describe that stream, as in
        "English, 5.1".
        """
        if self.container is not Container.OGG:
            return self.tags
        others = {name: text for tags in self.stream_tags.values() for name, text in tags.items()}
        return {**others, **self.stream_tags[audio.index], **self.tags}

    @property
    def source(self) -> Source:
        """What the owner may know of it."""
        tracks = tuple(
            Track(**{name: getattr(audio, name) for name in Track.__dataclass_fields__}) for audio in self.audio
        )
        return Source(self.duration, tracks, self.chapters)


def describe(jail: Jail, name: str, extent: Extent) -> Description:
    """Looks at the video of that name.

    Raises MediaError where nothing can be read or there are too many streams, and what Jail.probe() raises.
    """
    words = ["-v", "warning", "-print_format", "json=compact=1", "-show_entries", ":".join(_ENTRIES)]
    run = jail.probe([*words, *_STREAMS, *open_file(name, extent)], LOOK_SECONDS)
    if _is_beyond(run.messages, extent.container):
        raise MediaError(Reason.TOO_MANY_STREAMS, f"more than {_MOST_OPENED}")
    try:
        report = json.loads(run.output)
    except ValueError as error:
        raise MediaError(Reason.DAMAGED, f"a report of {len(run.output)} bytes cannot be read") from error
    if run.status or "format" not in report:
        raise ffmpeg.explain(run)
    seen = read_report(report, extent)
    if seen.streams > _MOST_STREAMS:
        raise MediaError(Reason.TOO_MANY_STREAMS, f"{seen.streams} of at most {_MOST_STREAMS}")
    return seen


def _is_beyond(messages: str, container: Container) -> bool:
    """Whether ffprobe says that there are more streams than it reads.

    Of a Matroska these are attached files, which nobody misses, unless it says "tracks".
    """
    what = "tracks" if container is Container.MATROSKA else "(?:tracks|streams)"
    return re.search(f"Number of {what} exceeds max_streams", messages) is not None


def begun(jail: Jail, name: str, seen: Description, audio: Audio) -> Audio:
    """The track with the time at which it begins, which the report of a video does not always have.

    It says 0 for sound that begins behind what ffprobe has looked at, unless the container has an index of it.
    """
    if audio.start or seen.video is None or seen.container is Container.MP4:
        return audio
    first = ["-select_streams", str(audio.index), "-read_intervals", "%+#1", "-show_entries", "packet=pts_time"]
    run = jail.probe(["-v", "error", "-print_format", "json", *first, *seen.opened(name)], LOOK_SECONDS)
    packets = json.loads(run.output).get("packets", []) if run.status == 0 else []
    start = _seconds(packets[0].get("pts_time")) if packets else None
    return audio if start is None else replace(audio, start=max(0.0, start - seen.start))


def length(jail: Jail, name: str, demuxer: str, packet: int | None = None) -> float:
    """The seconds that a file of ours plays, as its container says; 0 for an empty one.

    That of a file whose packets have gaps between them says when the last one ends. With the samples that each `packet`
    has, gaps are not counted.
    """
    counted = ("-count_packets",) if packet else ()
    entries = "format=duration:stream=sample_rate,nb_read_packets"
    words = ["-v", "error", "-print_format", "json", *counted, "-select_streams", "a", "-show_entries", entries]
    run = jail.probe([*words, *open_by(name, demuxer)], LOOK_SECONDS)
    if run.status:
        return 0.0
    report = json.loads(run.output)
    said = _seconds(report.get("format", {}).get("duration")) or 0.0
    if packet is None or not report.get("streams"):
        return said
    stream = report["streams"][0]
    return min(said, int(stream["nb_read_packets"]) * packet / int(stream["sample_rate"]))


def read_report(report: Mapping[str, Any], extent: Extent) -> Description:
    """Reads ffprobe's report of its input. Of tags and chapters beyond those that people have, the first ones count."""
    streams = report.get("streams", [])
    whole = report.get("format", {})
    chapters = report.get("chapters", [])[:_MOST_CHAPTERS]
    moving = [each for each in streams if each.get("codec_type") == "video" and not _is_attached(each)]
    start = _seconds(whole.get("start_time")) or 0.0
    return Description(
        extent=extent,
        start=start,
        duration=_seconds(whole.get("duration")),
        audio=tuple(_audio(each, start) for each in streams if each.get("codec_type") == "audio"),
        pictures=tuple(_pictures(streams)),
        streams=sum(each.get("codec_type") != "attachment" and not _is_attached(each) for each in streams),
        video=next((each["index"] for each in moving), None),
        tags=_tags(whole),
        chapters=tuple(_chapter(each, start) for each in chapters),
        stream_tags={each["index"]: _tags(each) for each in streams},
    )


def _pictures(streams: Iterable[Mapping[str, Any]]) -> list[Picture]:
    """The pictures among the streams, the front cover first; icons and thumbnails last.

    ID3, FLAC and ASF say what a picture shows, and ffprobe reports that as a comment. Matroska says it by the names of
    attached files (https://www.matroska.org/technical/attachments.html). A picture of a kind that ffmpeg does not
    know is a file like any other.
    """
    found = []
    for stream in streams:
        tags = {name.lower(): value.lower() for name, value in _tags(stream).items()}
        is_file = stream.get("codec_type") == "attachment" and tags.get("mimetype", "").startswith("image/")
        if is_file or _is_attached(stream):
            front = tags.get("comment") == "cover (front)" or tags.get("filename", "").startswith("cover.")
            small = "icon" in tags.get("comment", "") or tags.get("filename", "").startswith("small_")
            found.append((small - front, Picture(stream["index"], is_file)))
    return [picture for _, picture in sorted(found, key=lambda each: each[0])]


def _tags(what: Mapping[str, Any]) -> dict[str, str]:
    """The tags of a stream, a chapter or the whole, as far as they are kept; how long each is, Tags says."""
    return dict(islice(what.get("tags", {}).items(), _MOST_TAGS))


def _is_attached(stream: Mapping[str, Any]) -> bool:
    return bool(stream.get("disposition", {}).get("attached_pic"))


def _audio(stream: Mapping[str, Any], start: float) -> Audio:
    tags = {name.lower(): value for name, value in _tags(stream).items()}
    language = tags.get("language", "")[:_LONGEST]
    tag = stream.get("codec_tag_string", "")
    begins = (_seconds(stream.get("start_time")) or start) - start
    return Audio(
        index=stream["index"],
        language=language if language not in ("und", "") else None,
        title=tags.get("title", "")[:_LONGEST] or None,
        codec=_codec(stream),
        channels=stream.get("channels") or None,
        layout=stream.get("channel_layout"),
        sample_rate=int(stream.get("sample_rate", 0)) or None,
        default=bool(stream.get("disposition", {}).get("default")),
        tag=None if tag.startswith("[") else tag,
        start=begins,
        duration=_seconds(stream.get("duration")) or _until(tags.get("duration"), begins),
        bit_rate=int(stream.get("bit_rate", 0)) or None,
    )


def _until(clock: str | None, begins: float) -> float | None:
    """The seconds from there to a time such as 00:00:02.023000000, by which Matroska's writers tell a track's end."""
    found = re.fullmatch(r"(\d{1,9}):(\d\d):(\d\d\.\d+)", clock or "", re.ASCII)  # of a stranger, like any tag
    if found is None:
        return None
    return max(0.0, int(found[1]) * 3600 + int(found[2]) * 60 + float(found[3]) - begins)


def _codec(stream: Mapping[str, Any]) -> str | None:
    name = stream.get("codec_name")
    return None if name in (None, "none", "unknown") else str(name)


def _chapter(chapter: Mapping[str, Any], start: float) -> Chapter:
    tags = {name.lower(): value for name, value in _tags(chapter).items()}
    begins, ends = (_seconds(chapter.get(name)) or 0.0 for name in ("start_time", "end_time"))
    title = tags.get("title")
    return Chapter(begins - start, ends - start, title and title[:_LONGEST])


def _seconds(text: str | None) -> float | None:
    return float(text) if text not in (None, "N/A") else None
