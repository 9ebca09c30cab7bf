"""A job: what is owed to a person who uploaded a video."""

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any
from uuid import UUID

from functions.model.media import Reason

QUEUED, CONVERTING, DONE, FAILED, CANCELLED, EXPIRED = "queued", "converting", "done", "failed", "cancelled", "expired"


@dataclass(frozen=True)
class Job:
    """The job's row (functions/stores/migrations says what each column means)."""

    id: UUID
    owner: UUID
    fid: UUID
    filename: str
    container: str
    video: UUID | None
    video_size: int
    video_sha256: str
    state: str
    generation: int
    fence: int
    tries: int
    progress: float
    audio: UUID | None
    audio_size: int | None
    duration: float | None
    reason: str | None
    last_error: str | None
    traceparent: str | None
    correlationid: str | None
    created_at: datetime
    queued_at: datetime
    finished_at: datetime | None

    @classmethod
    def of(cls, row: dict[str, Any]) -> "Job":
        return cls(**{field.name: row[field.name] for field in fields(cls)})

    def public(self) -> dict[str, Any]:
        """What its owner may see, as JSON values."""
        seen: dict[str, Any] = {
            "id": str(self.id),
            "fid": str(self.fid),
            "filename": self.filename,
            "size": self.video_size,
            "state": self.state,
            "progress": round(self.progress, 3),
            "created_at": self.created_at.isoformat(),
        }
        if self.finished_at:
            seen["finished_at"] = self.finished_at.isoformat()
        if self.state == DONE:
            seen |= {"mp3_size": self.audio_size, "duration": self.duration, "download": f"/download?fid={self.fid}"}
        if self.state == FAILED and self.reason:
            seen |= {"reason": self.reason, "detail": Reason(self.reason).sentence}
        return seen
