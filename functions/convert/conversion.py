"""The conversion of one job: claim it, fetch its video, convert that, store the audio, and finish the job.

The row decides everything: the claim whether there is work, the fence of that claim whether its result counts.
"""

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from uuid import UUID, uuid4

from functions.convert import ffmpeg, transcode
from functions.convert.cores import Cores
from functions.convert.disk import Disk, Reservation
from functions.convert.jail import Checkpoint, Jail, Limits
from functions.convert.lease import Lease, LeaseLost
from functions.convert.parallel import encoders
from functions.convert.work import Result
from functions.model.containers import Container
from functions.model.errors import Missing, Unavailable
from functions.model.jobs import Job, State
from functions.model.media import MediaError, Reason
from functions.model.options import UPLOADED
from functions.runtime import metrics, shutdown
from functions.runtime.wiring import Services

EXPECTED_SHARE = 4  # until the video's length is known, its audio is expected to have a quarter of its bytes or fewer
REFUNDED = (Unavailable, OSError)  # not the video's fault: the try is given back, so that an outage fails nobody's job
TRANSIENT = (*REFUNDED, ffmpeg.Interrupted, Missing)  # a later try may succeed


def convert(services: Services, disk: Disk, cores: Cores, job_id: UUID) -> Job | None:
    """Converts the job whose turn it is and returns it, done or failed.

    Where none waits, it is the job of that id if that has ended already: nothing is done again. None if nothing
    follows: another worker has the job, or it was cancelled or deleted. Raises Unavailable for trouble
    that may pass, after handing the job back.
    """
    claimed = services.jobs.claim(job_id)
    if claimed is None:
        job = services.jobs.find(job_id)
        return job if job is not None and job.state in (State.DONE, State.FAILED) else None
    try:
        return _work(services, disk, cores, claimed)
    except MediaError as error:
        metrics.count_failure(error.reason)
        return services.jobs.fail(claimed, error.reason, str(error), error.say)
    except LeaseLost:
        return None
    except Exception as error:
        services.jobs.hand_back(claimed, str(error), refund=isinstance(error, REFUNDED))
        if isinstance(error, TRANSIENT):
            raise Unavailable(f"the job was handed back: {error}") from error
        raise


def _work(services: Services, disk: Disk, cores: Cores, claimed: Job) -> Job | None:
    """The finished job. None if the row has another fence by then; the audio just stored is then removed again."""
    began = time.monotonic()
    private = tempfile.TemporaryDirectory(prefix=f"convert-{os.getpid()}-")  # gunicorn.conf.py removes what is left
    with (
        Lease(services.jobs, claimed) as lease,
        private as folder,
        disk.reservation(Path(folder), claimed.video_size) as reservation,
    ):

        def checkpoint(progress: float | None = None) -> None:
            lease.check(progress)
            if shutdown.overdue():
                raise Unavailable("this worker is being stopped")

        reservation.extend(min(claimed.video_size // EXPECTED_SHARE, services.settings.max_audio_bytes))
        _fetch(services, claimed, Path(folder, "video"), checkpoint)
        result = _transcode(services, claimed, reservation, cores, checkpoint)
        audio = uuid4()
        size = services.audios.write(audio, _watched(result.pieces(), checkpoint))
        job = services.jobs.finish(claimed, audio=audio, audio_size=size, facts=result.facts, peaks=result.peaks)
    if job is None:
        services.audios.delete(audio)
    metrics.observe_conversion(time.monotonic() - began, result.facts.duration)
    return job


def _fetch(services: Services, claimed: Job, source: Path, checkpoint: Checkpoint) -> None:
    if claimed.video is None:
        raise Missing("the uploaded video is no longer kept")
    with closing(services.videos.read(claimed.video)) as pieces, source.open("wb") as file:
        file.writelines(_watched(pieces, checkpoint))


def _transcode(
    services: Services, claimed: Job, reservation: Reservation, cores: Cores, checkpoint: Checkpoint
) -> Result:
    """Makes the file `audio` of the file `video` in the reservation's folder."""
    settings, options = services.settings, claimed.options
    limits = Limits.of(settings)
    limits = replace(limits, size=min(limits.size, reservation.largest_audio))
    jail = Jail(reservation.folder, limits, checkpoint)
    seen = transcode.describe(jail, "video", Container(claimed.container))
    services.jobs.note_source(claimed, seen.source)
    if seen.duration:
        channels, rates = ([getattr(each, name) or 0 for each in seen.audio] for name in ("channels", "sample_rate"))
        rate = options.encoding.bytes_per_second(max(channels, default=0) or 2, max(rates, default=0) or 48_000)
        most = min(int(seen.duration * rate), settings.max_audio_bytes)
        in_pieces = encoders.count(options, seen.duration, cores.share) > 1
        reservation.extend(most * 3 // 2 if in_pieces else most)  # while they are joined, one of them is there twice
    try:
        picture = services.jobs.cover(claimed.id) if options.cover == UPLOADED else None
        return transcode.transcode(jail, "video", "audio", seen, options, picture, cores=cores.share)
    except MediaError as error:
        if error.reason is Reason.TOO_LARGE and limits.size < settings.max_audio_bytes:
            raise MediaError(Reason.DISK_TOO_SMALL, f"audio of more than {limits.size} bytes beside it") from error
        raise


def _watched(pieces: Iterator[bytes], checkpoint: Checkpoint) -> Iterator[bytes]:
    for piece in pieces:
        checkpoint()
        yield piece
