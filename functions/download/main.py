"""Download: audio is streamed from GridFS to its owner, or to whoever holds a signed link that has not expired."""

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from urllib.parse import quote
from uuid import UUID

from flask import Request, Response

from functions.download import content, ranges
from functions.download.content import Content
from functions.model.errors import NotFound
from functions.model.jobs import Job
from functions.runtime import metrics, preconditions, slots, web, wiring

services = wiring.Services("download")
downloads = slots.transfers(services.settings.transfers_per_user, "download")


@web.serves("GET", ready=services.ready)
def download(request: Request) -> Response:
    query = web.query(request, "fid", "token", "part")
    fid = web.parse_id(query.get("fid", ""), "audio")
    job = services.jobs.find_audio(fid, _owner(request, fid))
    if job is None:
        raise NotFound("there is no audio of that id, or it is not yours")
    web.note(job=job.id, user=job.owner)
    return _answer(request, job, content.of(job, query.get("part")))


def _owner(request: Request, fid: UUID) -> UUID | None:
    """The user whose token it is; None where the request brings a link signed for that audio."""
    token = request.args.get("token")
    if token:
        services.links.check(token, fid)
        return None
    return services.bearer.claims(request.headers.get("Authorization")).user


def _answer(request: Request, job: Job, found: Content) -> Response:
    here = preconditions.Representation(found.etag, _made(job))
    response = Response(mimetype=found.mime_type)
    response.set_etag(here.etag)
    response.last_modified = here.modified
    response.headers["Accept-Ranges"] = "bytes"
    response.headers["Cache-Control"] = "private, no-store"
    response.headers["Content-Disposition"] = _disposition(found.filename)
    if not preconditions.wanted(request.headers, here):
        response.status_code = 304
        return response
    if request.method == "HEAD":  # for which a Range means nothing (RFC 9110, 14.2)
        response.content_length = found.size
        return response
    part = ranges.part(request.headers.get("Range"), found.size) if preconditions.fits(request.headers, here) else None
    if part:
        response.status_code = 206
        response.headers["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{found.size}"
    sent = part or range(found.size)
    pieces = services.audios.read(found.file, found.start + sent.start, len(sent))
    response.response = _within_a_slot(job.owner, pieces, response)
    response.content_length = len(sent)
    web.note(bytes=len(sent))
    metrics.count_bytes("out", len(sent))
    return response


def _within_a_slot(owner: UUID, pieces: Iterator[bytes], response: Response) -> Iterator[bytes]:
    """The pieces; the owner's slot is held until they have been sent, or the response is closed before.

    Raises Throttled.
    """
    held = ExitStack()
    held.enter_context(downloads.of(owner))
    response.call_on_close(held.close)

    def sent() -> Iterator[bytes]:
        with held:
            yield from pieces

    return sent()


def _made(job: Job) -> datetime | None:
    """When the audio was made, in whole seconds as in HTTP dates.

    Never later than now, which it would be where Postgres' clock is ahead of ours (RFC 9110, 8.8.2.1).
    """
    return job.finished_at and min(job.finished_at, datetime.now(UTC)).replace(microsecond=0)


def _disposition(name: str) -> str:
    """The name to save it under (RFC 6266): the real one as filename*, and one in ASCII for old clients."""
    ascii_name = name.encode("ascii", "replace").decode().replace("?", "_").replace('"', "_").replace("\\", "_")
    return f"attachment; filename=\"{ascii_name}\"; filename*=UTF-8''{quote(name, safe='')}"
