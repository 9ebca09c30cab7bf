"""What is in a video by its own account: its audio tracks and its chapters, from which its owner can choose."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True)
class Track:
    """One audio track of a video."""

    index: int  # among all streams of the file
    language: str | None  # as the container writes it
    title: str | None
    codec: str | None  # in ffmpeg's words; None where it is one that ffmpeg does not know
    channels: int | None
    layout: str | None  # of the channels, in ffmpeg's words: "mono", "stereo", "5.1(side)"
    sample_rate: int | None  # Hz
    default: bool

    def as_json(self) -> dict[str, Any]:
        """As a job's document shows it and a row keeps it."""
        return {
            "index": self.index,
            "language": self.language,
            "title": self.title,
            "codec": self.codec,
            "channels": self.channels,
            "channel_layout": self.layout,
            "sample_rate_hz": self.sample_rate,
            "default": self.default,
        }

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        """The track that as_json() wrote."""
        return cls(
            *(row[name] for name in ("index", "language", "title", "codec", "channels")),
            *(row[name] for name in ("channel_layout", "sample_rate_hz", "default")),
        )


@dataclass(frozen=True)
class Chapter:
    """A chapter; its times are seconds from the beginning of what it is a chapter of."""

    start: float
    end: float
    title: str | None

    def as_json(self) -> dict[str, Any]:
        """As a job's document shows it and a row keeps it."""
        return {"start_seconds": round(self.start, 3), "end_seconds": round(self.end, 3), "title": self.title}

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        """The chapter that as_json() wrote."""
        return cls(row["start_seconds"], row["end_seconds"], row["title"])


@dataclass(frozen=True)
class Source:
    """What convert has found in a video. It is kept with the job, whatever comes of the conversion."""

    duration: float | None  # seconds; None where the file does not say
    tracks: tuple[Track, ...]
    chapters: tuple[Chapter, ...]

    def as_json(self) -> dict[str, Any]:
        """As a job's document shows it and a row keeps it."""
        return {
            "duration_seconds": None if self.duration is None else round(self.duration, 3),
            "tracks": [track.as_json() for track in self.tracks],
            "chapters": [chapter.as_json() for chapter in self.chapters],
        }

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        """The source that as_json() wrote."""
        return cls(
            row["duration_seconds"],
            tuple(Track.of(each) for each in row["tracks"]),
            tuple(Chapter.of(each) for each in row["chapters"]),
        )
