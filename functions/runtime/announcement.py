"""The events about a job. They are made from its row alone, so whoever sends one sends the same, with the same id."""

from events import contract
from events.contract import Event
from events.sink import SinkUnavailable
from functions.model.errors import Unavailable
from functions.model.jobs import Job, State
from functions.runtime import web
from functions.runtime.wiring import Services


def announce(services: Services, job: Job) -> None:
    """Sends the event that tells convert of a queued job.

    Where that fails the failure is logged and nothing is lost: the row says what is owed, and sweep sends it again.
    """
    try:
        services.sink.send(uploaded(job, services.source))
        services.jobs.note_hint(job)
    except (SinkUnavailable, Unavailable) as error:
        web.note(unannounced=str(error))


def uploaded(job: Job, source: str) -> Event:
    """`video.uploaded`: tells convert to look at this job now."""
    return contract.event(
        contract.VIDEO_UPLOADED,
        job.id,
        job.generation,
        source=source,
        time=job.queued_at,
        data={"size": job.video_size, "container": job.container},
        traceparent=job.traceparent,
        correlationid=job.correlationid,
    )


def result(job: Job, source: str) -> Event:
    """`audio.converted` or `conversion.failed`: tells notify that this job, which is done or failed, has ended."""
    done = job.state == State.DONE
    return contract.event(
        contract.AUDIO_CONVERTED if done else contract.CONVERSION_FAILED,
        job.id,
        job.generation,
        source=source,
        time=job.finished_at or job.queued_at,
        data={"fid": str(job.fid), "size": job.audio_size, "duration": job.duration}
        if done
        else {"reason": job.reason},
        traceparent=job.traceparent,
        correlationid=job.correlationid,
    )
