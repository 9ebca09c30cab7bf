"""Sweep: by the clock, heals what a crash left behind. Safe to run twice at once: each takes rows the other has not."""

from flask import Request, Response

from events.sink import SinkUnavailable
from functions import announcement, web, wiring

services = wiring.Services("sweep")
SOURCE = "/functions/sweep"
BATCH = 100  # rows of a kind in one run: a deep backlog is worked off over several, not sent at once


@web.serves("POST", ready=services.ready)
def sweep(_request: Request) -> Response:
    did = {
        "freed": len(services.jobs.free_lapsed(BATCH)),
        "failed": len(services.jobs.give_up(None, BATCH)),
        "jobs_announced": _announce_jobs(),
        "results_announced": _announce_results(),
        "letters_given_up": services.notifications.give_up_old(services.settings.notify_give_up_seconds),
    }
    web.note(**did)
    return web.answer(did)


def _announce_jobs() -> int:
    sent = 0
    for job in (owed := iter(services.jobs.take_owed(BATCH))):
        try:
            services.sink.send(announcement.uploaded(job, SOURCE))
            sent += 1
        except SinkUnavailable as error:
            web.note(unannounced=str(error))
            for unsent in (job, *owed):
                services.jobs.postpone_hint(unsent)
    return sent


def _announce_results() -> int:
    sent = 0
    for job in (owed := iter(services.notifications.take_owed(BATCH))):
        try:
            services.sink.send(announcement.result(job, SOURCE))
            sent += 1
        except SinkUnavailable as error:
            web.note(unannounced=str(error))
            for unsent in (job, *owed):
                services.notifications.postpone_result(unsent)
    return sent
