"""Convert: an event says that a video waits. Its audio goes to GridFS, its job is done, and the reply says so."""

from flask import Request, Response

from functions.convert import conversion
from functions.convert.cores import Cores
from functions.convert.disk import Disk
from functions.convert.sandbox import support
from functions.runtime import announcement, web, wiring

services = wiring.Services("convert")
disk = Disk(services.settings.convert_disk_bytes)
cores = Cores(services.settings.convert_cores, services.settings.concurrency)
jail = support.close(services.settings.require_jail)


@web.serves("POST", ready=services.ready, detail={"jail": jail})
def convert(request: Request) -> Response:
    event = web.event(request)
    with cores.conversion():
        job = conversion.convert(services, disk, cores, event.job)
    if job is None:
        return web.nothing_follows("no job waits, and this one is another worker's, or was cancelled or deleted")
    web.note(job=job.id, state=job.state, reason=job.reason, tries=job.tries, fence=job.fence)
    return web.reply(announcement.result(job, services.source))
