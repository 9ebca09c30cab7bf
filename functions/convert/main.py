"""Convert: an event says that a film waits; its MP3 goes to GridFS, the row says done, and the reply says so too."""

from flask import Request, Response

from functions import announcement, web, wiring
from functions.convert import attempt

services = wiring.Services("convert")


@web.serves("POST", ready=services.ready)
def convert(request: Request) -> Response:
    job = attempt.make(services, web.event(request).job)
    if job is None:
        return web.nothing_follows("another worker holds the job, or it was cancelled or deleted")
    web.note(state=job.state, reason=job.reason, tries=job.tries, fence=job.fence)
    return web.reply(announcement.result(job, "/functions/convert"))
