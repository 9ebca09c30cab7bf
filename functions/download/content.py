"""What a download sends: the bytes of a job's audio or, of audio that was split, the zip or one part of it."""

import re
from dataclasses import dataclass
from uuid import UUID

from functions.model.errors import Conflict, Gone, NotFound
from functions.model.jobs import Job, State

NOT_READY = {
    State.QUEUED: "the job is queued; ask /jobs/{id} until it is done",
    State.CONVERTING: "the job is converting; ask /jobs/{id} until it is done",
    State.FAILED: "the job has failed; /jobs/{id} says why",
    State.CANCELLED: "the job was cancelled; POST /jobs/{id}/retry takes it up again",
}


@dataclass(frozen=True)
class Content:
    """A range of bytes of a stored file, and what it is to whoever downloads it."""

    file: UUID
    start: int
    size: int  # bytes
    filename: str
    mime_type: str
    etag: str


def of(job: Job, part: str | None) -> Content:
    """The audio of a job; `part` counts the parts of audio that was split from 1, None stands for all of it.

    Raises Conflict while there is no audio, Gone once it has expired, NotFound where there is no such part.
    """
    if job.state == State.EXPIRED:
        raise Gone("the audio was kept for its time and is removed; upload the video again", reason=State.EXPIRED)
    if job.state != State.DONE or job.audio is None or job.audio_size is None:
        raise Conflict(NOT_READY[job.state].format(id=job.id), reason=job.state)
    if part is not None:
        parts = job.parts
        if not re.fullmatch("[1-9][0-9]{0,3}", part) or int(part) > len(parts):
            raise NotFound(f"the audio has {len(parts) or 'no'} parts", field="part")
        one = parts[int(part) - 1]
        type_ = job.options.encoding.mime_type
        return Content(job.audio, one.offset, one.size, one.filename, type_, f"{job.audio.hex}-{part}")
    return Content(job.audio, 0, job.audio_size, job.audio_name, job.audio_type, job.audio.hex)
