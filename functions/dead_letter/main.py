"""Dead-letter: an event was given up. Its job is failed only if nobody works on it and it has no try left.

Otherwise nothing needs doing: the row still says what is owed, and sweep sends the event again.
"""

from flask import Request, Response

from events import contract
from functions.model.jobs import State
from functions.runtime import announcement, metrics, web, wiring

services = wiring.Services("dead_letter")


@web.serves("POST", ready=services.ready)
def dead_letter(request: Request) -> Response:
    event = web.event(request)
    if event.type in contract.RESULTS:
        owed = services.notifications.note_dead_letter(event.job, "its event was given up")
        return web.nothing_follows("noted; sweep sends it again" if owed else "nothing is owed")
    for failed in services.jobs.give_up(event.job):
        metrics.count_failure(failed.reason)
    job = services.jobs.find(event.job)
    if job is None or job.state != State.FAILED:
        return web.nothing_follows("a lease is live or tries are left: sweep goes on with it")
    web.note(reason=job.reason)
    return web.reply(announcement.result(job, services.source))
