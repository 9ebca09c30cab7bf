"""One attempt at a job: claim it, convert its video, finish it; or answer again what was answered before.

The row decides everything: whether there is work (the claim), and whether this attempt's result counts (the fence).
"""

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol
from uuid import UUID, uuid4

from functions.convert import transcode
from functions.convert.disk import Disk, Room
from functions.convert.lease import Lease, LeaseLost
from functions.model.errors import Missing, Unavailable
from functions.model.jobs import Job, State
from functions.model.media import Container, MediaError, Reason
from functions.runtime import metrics, shutdown
from functions.runtime.wiring import Services

PIECE = 1024 * 1024
MP3_RATE = 320_000 // 8  # bytes a second that no MP3 exceeds
EXPECTED = 4  # until the video's length is known, its MP3 is taken for this many times smaller: few are larger
NOT_THE_VIDEOS_FAULT = (Unavailable, OSError)  # gives the try back: an outage fails nobody's job
MAY_PASS = (*NOT_THE_VIDEOS_FAULT, transcode.Interrupted, Missing)


class Checkpoint(Protocol):
    """Asked wherever the work can stop: raises LeaseLost, and Unavailable where this process is nearly out of time."""

    def __call__(self, progress: float | None = None) -> None: ...


def make(services: Services, disk: Disk, job_id: UUID) -> Job | None:
    """The job as it ended, now or before; None where nothing follows: another has it, it was cancelled, it is gone.

    Raises Unavailable for trouble that may pass, after handing the job back.
    """
    attempt = services.jobs.claim(job_id)
    if attempt is None:
        job = services.jobs.find(job_id)
        return job if job is not None and job.state in (State.DONE, State.FAILED) else None
    try:
        return _convert(services, disk, attempt)
    except MediaError as error:
        metrics.count_failure(error.reason)
        return services.jobs.fail(attempt, error.reason, str(error))
    except LeaseLost:
        return None
    except Exception as error:
        services.jobs.hand_back(attempt, str(error), refund=isinstance(error, NOT_THE_VIDEOS_FAULT))
        if isinstance(error, MAY_PASS):
            raise Unavailable(f"the job was handed back: {error}") from error
        raise


def _convert(services: Services, disk: Disk, attempt: Job) -> Job | None:
    """The finished job, or None where another's fence is on it; then only this attempt's own file is removed."""
    began = time.monotonic()
    private = tempfile.TemporaryDirectory(prefix=f"convert-{os.getpid()}-")  # gunicorn.conf.py knows it by that name
    with (
        Lease(services.jobs, attempt) as lease,
        private as folder,
        disk.room(Path(folder), attempt.video_size) as room,
    ):

        def checkpoint(progress: float | None = None) -> None:
            lease.check(progress)
            if shutdown.overdue():
                raise Unavailable("this worker is being stopped")

        source, target = Path(folder, "video"), Path(folder, "audio.mp3")
        room.keep(min(attempt.video_size // EXPECTED, services.settings.max_audio_bytes))
        _fetch(services, attempt, source, checkpoint)
        result = _transcode(services, attempt, room, source, target, checkpoint)
        audio = uuid4()
        size = services.audios.write(audio, _pieces(target, checkpoint))
        job = services.jobs.finish(attempt, audio=audio, audio_size=size, duration=result.duration)
    if job is None:
        services.audios.delete(audio)
    metrics.observe_conversion(time.monotonic() - began, result.duration)
    return job


def _fetch(services: Services, attempt: Job, source: Path, checkpoint: Checkpoint) -> None:
    if attempt.video is None:
        raise Missing("the uploaded video is no longer kept")
    with source.open("wb") as file:
        for piece in services.videos.read(attempt.video):
            checkpoint()
            file.write(piece)


def _transcode(
    services: Services, attempt: Job, room: Room, source: Path, target: Path, checkpoint: Checkpoint
) -> transcode.Result:
    settings = services.settings
    limits = transcode.Limits(
        duration=settings.max_duration_seconds,
        size=min(settings.max_audio_bytes, room.largest_audio),
        work=settings.convert_seconds,
    )
    description = transcode.describe(source, Container(attempt.container), limits, checkpoint)
    if description.duration and description.duration <= limits.duration:
        room.keep(min(int(description.duration * MP3_RATE), settings.max_audio_bytes))
    try:
        return transcode.transcode(source, target, description, limits, checkpoint, settings.mp3_quality)
    except MediaError as error:
        if error.reason is Reason.TOO_LARGE and limits.size < settings.max_audio_bytes:
            raise MediaError(Reason.DISK_TOO_SMALL, f"an MP3 of more than {limits.size} bytes beside it") from error
        raise


def _pieces(target: Path, checkpoint: Checkpoint) -> Iterator[bytes]:
    with target.open("rb") as file:
        while piece := file.read(PIECE):
            checkpoint()
            yield piece
