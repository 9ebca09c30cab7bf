"""Convert: an event says that a video waits; its MP3 goes to GridFS, the row says done, and the reply says so too.

The row decides everything: whether there is work (the claim), and whether this attempt's result counts (the fence).
"""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID, uuid4

from flask import Request, Response

from functions import announcement, meters, shutdown, web, wiring
from functions.convert import transcode
from functions.convert.lease import Lease, LeaseLost
from functions.model.errors import Missing, Unavailable
from functions.model.jobs import DONE, FAILED, Job
from functions.model.media import Container, MediaError

services = wiring.Services("convert")
SOURCE = "/functions/convert"
PIECE = 1024 * 1024


@web.serves("POST", ready=services.ready)
def convert(request: Request) -> Response:
    job_id = web.event(request).job
    attempt = services.jobs.claim(job_id)
    if attempt is None:
        return _again(job_id)
    web.note(fence=attempt.fence, tries=attempt.tries)
    try:
        job = _done(attempt)
    except MediaError as error:
        job = services.jobs.fail(attempt, error.reason, str(error))
        web.note(reason=error.reason)
        meters.count_failure(error.reason)
    except LeaseLost:
        return web.nothing_follows("the job is another's, cancelled or deleted")
    except (Unavailable, OSError, transcode.Interrupted) as error:
        # A try is spent only where the film itself may be what kills ffmpeg.
        services.jobs.hand_back(attempt, str(error), refund=not isinstance(error, transcode.Interrupted))
        raise Unavailable(f"the job was handed back: {error}") from error
    if job is None:
        return web.nothing_follows("fenced off: the job moved on without this attempt")
    return web.reply(announcement.result(job, SOURCE))


def _again(job_id: UUID) -> Response:
    """The claim found nothing to do: what was answered before is answered again, with the same event id."""
    job = services.jobs.find(job_id)
    if job is not None and job.state in (DONE, FAILED):
        return web.reply(announcement.result(job, SOURCE))
    return web.nothing_follows("another worker holds the job, or it is not to be converted")


def _done(attempt: Job) -> Job | None:
    """The finished job, or None where another's fence is on it; then only this attempt's own file is removed."""
    began = time.monotonic()
    with Lease(services.jobs, attempt) as lease, tempfile.TemporaryDirectory(prefix="convert-") as folder:
        source, target = Path(folder, "film"), Path(folder, "audio.mp3")
        _fetch(attempt, source, lease)
        result = _transcode(attempt, source, target, lease)
        audio = uuid4()
        size = services.audios.write(audio, _pieces(target, lease))
        job = services.jobs.finish(attempt, audio=audio, audio_size=size, duration=result.duration)
    if job is None:
        services.audios.delete(audio)
    meters.observe_conversion(time.monotonic() - began, result.duration)
    return job


def _fetch(attempt: Job, source: Path, lease: Lease) -> None:
    if attempt.video is None:
        raise Missing("the uploaded film is no longer kept")
    with source.open("wb") as file:
        for piece in services.videos.read(attempt.video):
            lease.check()
            file.write(piece)


def _transcode(attempt: Job, source: Path, target: Path, lease: Lease) -> transcode.Result:
    limits = transcode.Limits(
        duration=services.settings.max_duration_seconds,
        size=services.settings.max_audio_bytes,
        work=services.settings.convert_seconds,
    )
    description = transcode.describe(source, Container(attempt.container), limits)

    def progress(fraction: float) -> None:
        lease.check(fraction)
        if shutdown.overdue():
            raise Unavailable("this worker is being stopped")

    return transcode.transcode(source, target, description, limits, progress)


def _pieces(target: Path, lease: Lease) -> Iterator[bytes]:
    with target.open("rb") as file:
        while piece := file.read(PIECE):
            lease.check()
            yield piece
