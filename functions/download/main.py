"""Download: the MP3 is streamed from GridFS to its owner, or to whoever holds a signed link that has not expired."""

from datetime import UTC, datetime
from urllib.parse import quote
from uuid import UUID

from flask import Request, Response

from functions.download import ranges
from functions.model import media
from functions.model.errors import Conflict, Gone, NotFound
from functions.model.jobs import Job, State
from functions.runtime import metrics, preconditions, web, wiring

services = wiring.Services("download")
NOT_READY = {
    State.QUEUED: "the job is queued; ask /jobs/{id} until it is done",
    State.CONVERTING: "the job is converting; ask /jobs/{id} until it is done",
    State.FAILED: "the job has failed; /jobs/{id} says why",
    State.CANCELLED: "the job was cancelled; POST /jobs/{id}/retry takes it up again",
}


@web.serves("GET", ready=services.ready)
def download(request: Request) -> Response:
    web.query(request, "fid", "token")
    fid = web.one_id(request.args.get("fid", ""), "MP3")
    job = services.jobs.find_audio(fid, _owner(request, fid))
    if job is None:
        raise NotFound("there is no MP3 of that id, or it is not yours")
    web.note(job=job.id, user=job.owner)
    return _answer(request, job, *_audio(job))


def _owner(request: Request, fid: UUID) -> UUID | None:
    """The user whose token it is; None where the request brings a link signed for that MP3."""
    token = request.args.get("token")
    if token:
        services.links.check(token, fid)
        return None
    return services.bearer.claims(request.headers.get("Authorization")).user


def _audio(job: Job) -> tuple[UUID, int]:
    """The MP3's file, and its size in bytes. Raises Conflict while there is none, Gone once it has expired."""
    if job.state == State.EXPIRED:
        raise Gone("the MP3 was kept for its time and is removed; upload the video again", reason=State.EXPIRED)
    if job.state != State.DONE or job.audio is None or job.audio_size is None:
        raise Conflict(NOT_READY[job.state].format(id=job.id), reason=job.state)
    return job.audio, job.audio_size


def _answer(request: Request, job: Job, audio: UUID, size: int) -> Response:
    here = preconditions.Representation(audio.hex, _made(job))
    response = Response(mimetype=job.options.encoding.mime_type)
    response.set_etag(here.etag)
    response.last_modified = here.modified
    response.headers["Accept-Ranges"] = "bytes"
    response.headers["Cache-Control"] = "private, no-cache"
    response.headers["Content-Disposition"] = _disposition(media.audio_name(job.filename, job.options.encoding))
    if not preconditions.wanted(request.headers, here):
        response.status_code = 304
        return response
    if request.method == "HEAD":  # for which a Range means nothing (RFC 9110, 14.2)
        response.content_length = size
        return response
    part = ranges.part(request.headers.get("Range"), size) if preconditions.fits(request.headers, here) else None
    if part:
        response.status_code = 206
        response.headers["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{size}"
    sent = part or range(size)
    response.response = services.audios.read(audio, sent.start, len(sent))
    response.content_length = len(sent)
    web.note(bytes=len(sent))
    metrics.count_bytes("out", len(sent))
    return response


def _made(job: Job) -> datetime | None:
    """When the MP3 was made, in whole seconds as in HTTP dates.

    Never later than now, which it would be where Postgres' clock is ahead of ours (RFC 9110, 8.8.2.1).
    """
    return job.finished_at and min(job.finished_at, datetime.now(UTC)).replace(microsecond=0)


def _disposition(name: str) -> str:
    """The name to save it under (RFC 6266): the real one as filename*, and one in ASCII for old clients."""
    ascii_name = name.encode("ascii", "replace").decode().replace("?", "_").replace('"', "_").replace("\\", "_")
    return f"attachment; filename=\"{ascii_name}\"; filename*=UTF-8''{quote(name, safe='')}"
