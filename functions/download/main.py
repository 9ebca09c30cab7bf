"""Download: the owner's MP3, streamed from GridFS; by bearer token, or by a signed link that expires."""

from urllib.parse import quote
from uuid import UUID

from flask import Request, Response
from werkzeug.http import is_resource_modified

from functions import meters, web, wiring
from functions.model import media
from functions.model.errors import NotFound, RangeNotSatisfiable
from functions.model.jobs import Job

services = wiring.Services("download")


@web.serves("GET", ready=services.ready)
def download(request: Request) -> Response:
    web.query(request, "fid", "token")
    fid = web.one_id(request.args.get("fid", ""), "MP3")
    job = services.jobs.find_audio(fid, _owner(request, fid))
    if job is None or job.audio is None or job.audio_size is None:
        raise NotFound("there is no MP3 of that id, or it is not yours")
    web.note(job=job.id, user=job.owner)
    return _audio(request, job, job.audio, job.audio_size)


def _owner(request: Request, fid: UUID) -> UUID | None:
    """Who asks; None where a link signed for that MP3 asks."""
    token = request.args.get("token")
    if token:
        services.links.check(token, fid)
        return None
    return services.bearer.claims(request.headers.get("Authorization")).user


def _audio(request: Request, job: Job, audio: UUID, size: int) -> Response:
    response = Response(mimetype="audio/mpeg")
    response.set_etag(audio.hex)
    response.headers["Accept-Ranges"] = "bytes"
    response.headers["Cache-Control"] = "private, no-cache"
    response.headers["Content-Disposition"] = _disposition(media.audio_name(job.filename))
    if not is_resource_modified(request.environ, etag=audio.hex):
        response.status_code = 304
        return response
    start, stop = 0, size
    wanted = _range(request, audio, size)
    if wanted:
        start, stop = wanted
        response.status_code = 206
        response.headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
    if request.method != "HEAD":
        response.response = services.audios.read(audio, start, stop - start)
    response.content_length = stop - start
    web.note(bytes=stop - start)
    meters.count_bytes("out", stop - start)
    return response


def _range(request: Request, audio: UUID, size: int) -> tuple[int, int] | None:
    """The one range asked for, or None for the whole, which may also answer several at once (RFC 9110, 14.2)."""
    wanted = request.range
    if wanted is None or wanted.units != "bytes" or len(wanted.ranges) != 1:
        return None
    condition = request.if_range
    if (condition.date or condition.etag) and condition.etag != audio.hex:
        return None
    start, stop = wanted.ranges[0]
    if start < 0:  # that many from the end; of a shorter file all (RFC 9110, 14.1.2)
        start = max(0, size + start)
    if start >= size:
        raise RangeNotSatisfiable(size)
    return start, min(stop or size, size)


def _disposition(name: str) -> str:
    """RFC 6266: an ASCII name for old clients, the real one in filename*."""
    ascii_name = name.encode("ascii", "replace").decode().replace("?", "_").replace('"', "_").replace("\\", "_")
    return f"attachment; filename=\"{ascii_name}\"; filename*=UTF-8''{quote(name, safe='')}"
