"""Finished audio: what is known of it beside its bytes, and what its owner should know of how it came about."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self


class Note(StrEnum):
    """Something about finished audio that its owner would not expect. The values stand in rows and never change."""

    INCOMPLETE = "incomplete"
    OTHER_TRACK = "other_track"
    COVER_UNREADABLE = "cover_unreadable"
    NO_CHAPTERS = "no_chapters"

    @property
    def sentence(self) -> str:
        """The note in plain words."""
        return _SENTENCES[self]


_SENTENCES = {
    Note.INCOMPLETE: "The recording was interrupted: the audio ends where the video does.",
    Note.OTHER_TRACK: "The track that plays by default has no sound that can be read, so another one was taken.",
    Note.COVER_UNREADABLE: "The cover picture cannot be read and was left out.",
    Note.NO_CHAPTERS: "The video has no chapters to split it by, so the audio is one file.",
}


@dataclass(frozen=True)
class Loudness:
    """How loud the sound was and is: integrated loudness in LUFS and true peak in dBTP (EBU R 128, ITU-R BS.1770).

    None stands for sound that is too short or too quiet to have a loudness.
    """

    measured_lufs: float | None
    measured_dbtp: float | None
    reached_lufs: float | None
    reached_dbtp: float | None


@dataclass(frozen=True)
class Part:
    """One of the files that the audio was split into: a range of bytes of the zip that holds them all."""

    title: str
    filename: str
    offset: int
    size: int  # bytes
    duration: float  # seconds


@dataclass(frozen=True)
class Audio:
    """The facts about a job's finished audio."""

    duration: float  # seconds
    bitrate: int  # kbit/s, on average
    channels: int
    sample_rate: int  # Hz
    track: int  # the index of the video's audio track that it was made from
    copied: bool = False  # not encoded again
    loudness: Loudness | None = None  # None where none was asked for
    parts: tuple[Part, ...] = ()  # more than none where it was split
    notes: tuple[Note, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """As a row keeps them."""
        return vars(self) | {
            "loudness": self.loudness and vars(self.loudness),
            "parts": [vars(part) for part in self.parts],
        }

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        """The facts that as_json() wrote."""
        typed: dict[str, Any] = {
            "loudness": row["loudness"] and Loudness(**row["loudness"]),
            "parts": tuple(Part(**part) for part in row["parts"]),
            "notes": tuple(Note(note) for note in row["notes"]),
        }
        return cls(**{**row, **typed})
