"""Sweep: run by a clock, it puts right what crashes and outages left behind, and removes what is no longer kept.

Two runs at once are safe: each takes rows that the other has not taken.
"""

from collections.abc import Callable, Iterable
from functools import partial

from flask import Request, Response

from events.contract import Event
from events.sink import SinkRefused, SinkUnavailable
from functions.model.jobs import Job
from functions.runtime import announcement, metrics, responses, web, wiring
from functions.sweep import orphans

services = wiring.Services("sweep")
BATCH = 100  # rows of a kind in one run, so that a long backlog is not sent all at once


@web.serves("POST", ready=services.ready, counts=services.counts)
def sweep(_request: Request) -> Response:
    did = {**_heal(), **_announce(), **_expire()}
    services.expiry.add_up_counts()
    if services.expiry.begin_pass("orphans", services.settings.orphan_pass_seconds):
        did |= _remove_orphans()
    web.note(**did)
    return responses.json(did)


def _heal() -> dict[str, int]:
    """Queues jobs whose worker was lost, and fails those that have no try left."""
    freed = services.jobs.free_lapsed(BATCH)
    failed = services.jobs.give_up(None, BATCH)
    for job in failed:
        metrics.count_failure(job.reason)
    return {"freed": len(freed), "failed": len(failed)}


def _announce() -> dict[str, int]:
    """Sends the events that are due. It comes after _heal(), so that what was just freed goes out in the same run."""
    jobs, notifications = services.jobs, services.notifications
    return {
        "jobs_announced": _send(
            jobs.take_owed(BATCH), partial(announcement.uploaded, source=services.source), jobs.postpone_hint
        ),
        "results_announced": _send(
            notifications.take_owed(BATCH),
            partial(announcement.result, source=services.source),
            notifications.postpone_result,
        ),
        "notifications_given_up": notifications.give_up_old(services.settings.notify_give_up_seconds),
    }


def _send(owed: Iterable[Job], event: Callable[[Job], Event], postpone: Callable[[Job], None]) -> int:
    """Sends an event for each job, and returns how many were taken.

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


def _expire() -> dict[str, int]:
    """Ends what was kept for its time; a row stops naming a file before the file is removed (stores/expiry.sql)."""
    settings, expiry = services.settings, services.expiry
    expired = expiry.expire_jobs(settings.result_seconds, BATCH)
    videos, audios = expiry.remove_deleted(settings.transfer_seconds, BATCH)
    videos += expiry.take_old_videos(settings.source_seconds, BATCH)
    audios += expiry.take_expired_audios(settings.transfer_seconds, BATCH)
    unnamed = expiry.orphans(videos)  # jobs may share a video, and the last of them lets it go
    for video in unnamed:
        services.videos.delete(video)
    for audio in audios:
        services.audios.delete(audio)
    return {
        "expired": expired,
        "videos_removed": len(unnamed),
        "audios_removed": len(audios),
        "keys_forgotten": expiry.forget_keys(BATCH),
    }


def _remove_orphans() -> dict[str, int]:
    age = services.settings.orphan_seconds
    return {
        "orphan_videos": orphans.remove(services.videos, services.expiry, age),
        "orphan_audios": orphans.remove(services.audios, services.expiry, age),
    }
