"""A job: this video of this owner is to become audio."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from functions.model import media
from functions.model.audio import Audio, Part
from functions.model.containers import Container
from functions.model.media import Reason
from functions.model.options import Options
from functions.model.source import Source


class State(StrEnum):
    """Where a job is; docs/architecture.md draws which state follows which, functions/stores/jobs.sql holds it."""

    QUEUED = "queued"  # waits for a worker
    CONVERTING = "converting"  # a worker has claimed it and holds a lease on it
    DONE = "done"  # its audio is stored and can be downloaded
    FAILED = "failed"  # it will not succeed by itself; `reason` says why, and its owner may retry it
    CANCELLED = "cancelled"  # its owner stopped it, and may retry it
    EXPIRED = "expired"  # it ended so long ago that its audio, if it had any, is no longer offered


PHASES = {State.QUEUED: "waiting", State.CONVERTING: "converting"}  # of the work; none where it has ended
ZIP = "application/zip"


@dataclass(frozen=True)
class NewJob:
    """What is known of a job when its video has been stored; every other column begins with its default."""

    id: UUID
    owner: UUID
    fid: UUID
    filename: str
    container: str
    video: UUID  # the GridFS file that holds the video
    video_size: int  # bytes
    video_sha256: str
    idempotency_key: str | None
    options: Options
    traceparent: str | None
    correlationid: str | None
    cover: bytes | None = field(default=None, repr=False)  # a JPEG or PNG that came with it


@dataclass(frozen=True)
class Again:
    """What is new about a job that converts the video of another one again; it has the rest from there."""

    id: UUID  # and the audio's too
    owner: UUID
    origin: UUID  # the other job
    idempotency_key: str | None
    options: Options
    traceparent: str | None
    correlationid: str | None


@dataclass(frozen=True)
class Job:
    """A job's row, without the columns that only SQL looks at; functions/stores/migrations says what each one means."""

    id: UUID
    owner: UUID
    fid: UUID
    filename: str
    container: str
    video: UUID | None
    video_size: int
    video_sha256: str
    origin: UUID | None  # the job whose video it converts again; None where the video came with it
    options: Options
    source: Source | None  # what convert found in the video; None until it has looked
    state: State
    generation: int
    fence: int
    tries: int
    progress: float
    audio: UUID | None
    audio_size: int | None
    duration: float | None
    facts: Audio | None  # about the audio; None until it is done, and for jobs of earlier releases
    reason: str | None
    detail: str | None  # what its owner should do, where the reason's own sentence does not say it
    last_error: str | None
    traceparent: str | None
    correlationid: str | None
    created_at: datetime
    queued_at: datetime
    started_at: datetime | None  # when a worker last took it up
    finished_at: datetime | None

    def public(self) -> dict[str, Any]:
        """The document that its owner sees; docs/api.md tells its members. Addresses are paths on the gateway."""
        return {
            "id": str(self.id),
            "fid": str(self.fid),
            "state": self.state,
            "created_at": _written(self.created_at),
            "queued_at": _written(self.queued_at),
            "started_at": _written(self.started_at),
            "finished_at": _written(self.finished_at),
            "source": self._source(),
            "options": self.options.as_json(),
            "progress": {"phase": PHASES.get(self.state), "percent": self.percent},
            "audio": self._audio() if self.state == State.DONE else None,
            "error": {"reason": self.reason, "detail": self.advice} if self.reason else None,
            "links": self._links(),
        }

    @property
    def percent(self) -> float:
        """How much of the work is done: 100 only where the audio can be fetched, 0 where no attempt is under way."""
        if self.state == State.DONE:
            return 100.0
        if self.state in (State.QUEUED, State.EXPIRED):
            return 0.0
        return min(round(100 * self.progress, 1), 99.9)

    @property
    def advice(self) -> str:
        """Why the job failed and what its owner should do, in plain words."""
        return self.detail or (Reason(self.reason).sentence if self.reason else "")

    @property
    def audio_name(self) -> str:
        """The name under which its audio is saved."""
        if self.parts:
            return media.archive_name(self.filename)
        return media.audio_name(self.filename, self.options.encoding)

    @property
    def audio_type(self) -> str:
        """The MIME type of its audio."""
        return ZIP if self.parts else self.options.encoding.mime_type

    @property
    def parts(self) -> tuple[Part, ...]:
        """The files that its audio was split into; none where it is one file."""
        return self.facts.parts if self.facts else ()

    def _source(self) -> dict[str, Any]:
        found = self.source.as_json() if self.source else dict.fromkeys(("duration_seconds", "tracks", "chapters"))
        return {
            "filename": self.filename,
            "size_bytes": self.video_size,
            "digest": f"sha256:{self.video_sha256}",
            "container": Container(self.container).word,
            **found,
        }

    def _audio(self) -> dict[str, Any]:
        """What is known of the finished audio. A job of an earlier release has null for most of it."""
        facts, url = self.facts, f"/download?fid={self.fid}"
        loudness = facts and facts.loudness
        return {
            "url": url,
            "filename": self.audio_name,
            "mime_type": self.audio_type,
            "size_bytes": self.audio_size,
            "duration_seconds": self.duration and round(self.duration, 3),
            "bitrate_kbps": facts and facts.bitrate,
            "channels": facts and facts.channels,
            "sample_rate_hz": facts and facts.sample_rate,
            "track": facts and facts.track,
            "copied": bool(facts and facts.copied),
            "loudness_lufs": loudness and loudness.reached_lufs,
            "true_peak_dbtp": loudness and loudness.reached_dbtp,
            "measured_loudness_lufs": loudness and loudness.measured_lufs,
            "measured_true_peak_dbtp": loudness and loudness.measured_dbtp,
            "parts": [
                {
                    "title": part.title,
                    "filename": part.filename,
                    "size_bytes": part.size,
                    "duration_seconds": round(part.duration, 3),
                    "url": f"{url}&part={number}",
                }
                for number, part in enumerate(self.parts, 1)
            ],
            "notes": [{"note": note, "says": note.sentence} for note in facts.notes] if facts else [],
        }

    def _links(self) -> dict[str, str]:
        """Where to go from here: only what this job, as it is, would answer."""
        itself, state = f"/jobs/{self.id}", self.state
        offered = {
            "self": itself,
            "audio": state == State.DONE and f"/download?fid={self.fid}",
            "waveform": state == State.DONE and self.facts is not None and f"{itself}/waveform",
            "cancel": state in (State.QUEUED, State.CONVERTING) and f"{itself}/cancel",
            "retry": state in (State.FAILED, State.CANCELLED) and self.video is not None and f"{itself}/retry",
            "again": self.video is not None and "/jobs",
        }
        return {name: address for name, address in offered.items() if address}


@dataclass(frozen=True)
class JobCount:
    """How many jobs are in one state."""

    state: State
    jobs: int
    tries: int  # the most that any of them has spent
    oldest_seconds: float  # how long the oldest has been queued; 0 for every other state


def _written(time: datetime | None) -> str | None:
    """The time as RFC 3339 has it, in UTC and to the millisecond."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z") if time else None
