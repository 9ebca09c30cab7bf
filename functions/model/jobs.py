"""A job: this video of this owner is to become audio."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from functions.model.audio import Audio
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
    finished_at: datetime | None

    def public(self) -> dict[str, object]:
        """What its owner may see, as JSON values."""
        seen: dict[str, object] = {
            "id": str(self.id),
            "fid": str(self.fid),
            "filename": self.filename,
            "size": self.video_size,
            "state": self.state,
            "options": self.options.as_json(),
            "source": self.source and self.source.as_json(),
            "progress": round(self.progress, 3),
            "created_at": self.created_at.isoformat(),
        }
        if self.finished_at:
            seen["finished_at"] = self.finished_at.isoformat()
        if self.state == State.DONE:
            download = f"/download?fid={self.fid}"
            seen |= {"mp3_size": self.audio_size, "duration": self.duration, "download": download}
            seen["audio"] = self.facts and self.facts.public(download)
        if self.state == State.FAILED and self.reason:
            seen |= {"reason": self.reason, "detail": self.detail or Reason(self.reason).sentence}
        return seen


@dataclass(frozen=True)
class JobCount:
    """How many jobs are in one state."""

    state: State
    jobs: int
    tries: int  # the most that any of them has spent
    oldest_seconds: float  # how long the oldest has been queued; 0 for every other state
