"""What is owed: events that were lost, or could not be sent, and jobs whose worker was."""

from collections.abc import Callable
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


def recall(services: Services, lost: float, batch: int) -> None:
    """Makes due what was sent before the broker lost it, which was so many seconds ago."""
    for recalled in (services.jobs.recall_hints, services.notifications.recall_results):
        while recalled(lost, batch) >= batch:
            pass


def announce(services: Services, batch: int) -> dict[str, int]:
    """Sends the events that are due. It comes after heal(), so that what was just freed goes out in the same run."""
    jobs, notifications = services.jobs, services.notifications
    uploaded, result = (partial(each, source=services.source) for each in (announcement.uploaded, announcement.result))
    return {
        "jobs_announced": _send(services, jobs.take_owed, batch, uploaded, jobs.postpone_hint),
        "results_announced": _send(services, notifications.take_owed, batch, result, notifications.postpone_result),
        "notifications_given_up": notifications.give_up_old(services.settings.notify_give_up_seconds),
    }


def _send(
    services: Services,
    take: Callable[[int], list[Job]],
    batch: int,
    event: Callable[[Job], Event],
    postpone: Callable[[Job], None],
) -> int:
    """Sends an event for each of at most `batch` jobs that are due, and returns how many it sent.

    The first goes alone: while the sink is away the others are left where they are, for a timeout for each would take
    minutes. If it refuses one event, only that one is postponed.
    """
    sent = 0
    for size in (1, batch - 1):
        waiting = iter(take(size))  # none may come of a row whose job has moved on: others may be due all the same
        for job in waiting:
            try:
                services.sink.send(event(job))
                sent += 1
            except SinkRefused as error:
                web.note(unannounced=str(error))
                postpone(job)
            except SinkUnavailable as error:
                web.note(unannounced=str(error))
                for unsent in (job, *waiting):
                    postpone(unsent)
                return sent
    return sent
