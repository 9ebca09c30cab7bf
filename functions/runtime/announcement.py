"""The events that speak of a job, made from its row alone: whoever announces it, the event and its id are the same."""

from events import contract
from events.contract import Event
from events.sink import SinkUnavailable
from functions.model.errors import Unavailable
from functions.model.jobs import Job, State
from functions.runtime import web
from functions.runtime.wiring import Services


def announce(services: Services, job: Job, source: str) -> None:
    """Tells convert of a queued job. Where that fails nothing is lost: the row says so too, and sweep reads it."""
    try:
        services.sink.send(uploaded(job, source))
        services.jobs.note_hint(job)
    except (SinkUnavailable, Unavailable) as error:
        web.note(unannounced=str(error))


def uploaded(job: Job, source: str) -> Event:
    """Convert, look now."""
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
    """Notify, look now: a job that is done or failed."""
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
