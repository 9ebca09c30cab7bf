"""New and finished jobs for tests: a column that is added gets its value for all of them here."""

from typing import Any
from uuid import UUID, uuid4

from functions.model.audio import Audio
from functions.model.jobs import Job, NewJob
from functions.model.options import Options
from functions.stores.jobs import Jobs


def new_job(owner: UUID, **changes: Any) -> NewJob:
    """A small MP4's job, as upload would make it; `changes` are columns with another value."""
    columns: dict[str, Any] = {
        "id": uuid4(),
        "fid": uuid4(),
        "filename": "video.mp4",
        "container": "mov",
        "video": uuid4(),
        "video_size": 10,
        "video_sha256": "0" * 64,
        "idempotency_key": None,
        "options": Options(),
        "traceparent": None,
        "correlationid": None,
        "cover": None,
    }
    return NewJob(owner=owner, **columns | changes)


def finish(
    jobs: Jobs, claimed: Job, size: int = 5, audio: UUID | None = None, peaks: bytes = b"", **facts: Any
) -> Job | None:
    """Ends a job with audio of that size; `facts` are those of it that matter."""
    known: dict[str, Any] = {"duration": 1.5, "bitrate": 190, "channels": 2, "sample_rate": 44_100, "track": 1}
    return jobs.finish(claimed, audio=audio or uuid4(), audio_size=size, facts=Audio(**known | facts), peaks=peaks)
