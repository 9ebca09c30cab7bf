"""What is owed: events that were lost, or could not be sent, and jobs whose worker was."""

from collections.abc import Callable, Iterable
from functools import partial

from events.contract import Event
from events.sink import SinkRefused, SinkUnavailable
from functions.model.jobs import Job
from functions.runtime import announcement, metrics, web
from functions.runtime.wiring import Services


def heal(services: Services, batch: int) -> dict[str, int]:
    """Queues jobs whose worker was lost, and fails those that have no try left."""
    freed = services.jobs.free_lapsed(batch)
    failed = services.jobs.give_up(None, batch)
    for job in failed:
        metrics.count_failure(job.reason)
    return {"freed": len(freed), "failed": len(failed)}


def announce(services: Services, batch: int) -> dict[str, int]:
    """Sends the events that are due. It comes after heal(), so that what was just freed goes out in the same run."""
    jobs, notifications = services.jobs, services.notifications
    uploaded, result = (partial(each, source=services.source) for each in (announcement.uploaded, announcement.result))
    return {
        "jobs_announced": _send(services, jobs.take_owed(batch), uploaded, jobs.postpone_hint),
        "results_announced": _send(services, notifications.take_owed(batch), result, notifications.postpone_result),
        "notifications_given_up": notifications.give_up_old(services.settings.notify_give_up_seconds),
    }


def _send(
    services: Services, owed: Iterable[Job], event: Callable[[Job], Event], postpone: Callable[[Job], None]
) -> int:
    """Sends an event for each job, and returns how many it sent.

    If the sink is away, the rest is postponed without trying: a timeout for each would take minutes. If it refuses one
    event, only that one is postponed.
    """
    sent = 0
    waiting = iter(owed)
    for job in waiting:
        try:
            services.sink.send(event(job))
            sent += 1
        except SinkUnavailable as error:
            web.note(unannounced=str(error))
            for unsent in (job,) if isinstance(error, SinkRefused) else (job, *waiting):
                postpone(unsent)
    return sent
