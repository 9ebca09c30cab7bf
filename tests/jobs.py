"""New jobs for tests: a column that is added to NewJob gets its value for all of them here."""

from typing import Any
from uuid import UUID, uuid4

from functions.model.jobs import NewJob
from functions.model.options import Options


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
    }
    return NewJob(owner=owner, **columns | changes)
