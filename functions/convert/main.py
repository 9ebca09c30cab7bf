"""Convert: an event says that a video waits. Its audio goes to GridFS, its job is done, and the reply says so."""

from threading import Semaphore

from flask import Request, Response

from functions.convert import conversion
from functions.convert.disk import Disk
from functions.model.errors import Throttled
from functions.runtime import announcement, web, wiring

services = wiring.Services("convert")
disk = Disk(services.settings.convert_disk_bytes)
slots = Semaphore(services.settings.concurrency)
RETRY_AFTER = 5  # seconds, for the header of that name


@web.serves("POST", ready=services.ready)
def convert(request: Request) -> Response:
    event = web.event(request)
    if not slots.acquire(blocking=False):
        raise Throttled(
            "this worker has all the videos it can convert at once; try again soon", retry_after=RETRY_AFTER
        )
    try:
        job = conversion.convert(services, disk, event.job)
    finally:
        slots.release()
    if job is None:
        return web.nothing_follows("another worker holds the job, or it was cancelled or deleted")
    web.note(state=job.state, reason=job.reason, tries=job.tries, fence=job.fence)
    return web.reply(announcement.result(job, services.source))
