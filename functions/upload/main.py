"""Upload: a video's bytes go to GridFS as they arrive, its job to Postgres, and an event tells convert to look.

The row is the truth: once it stands the answer is 202, whether or not anybody took the event (sweep sends it again).
"""

from uuid import UUID, uuid4

from flask import Request, Response

from functions.model.errors import BadRequest, Unauthorized, Unprocessable
from functions.model.jobs import Job, NewJob
from functions.runtime import announcement, metrics, responses, web, wiring
from functions.upload import incoming

services = wiring.Services("upload")
KEY_LENGTH = 200


@web.serves("POST", ready=services.ready)
def upload(request: Request) -> Response:
    owner = services.bearer.claims(request.headers.get("Authorization")).user
    key = _idempotency_key(request)
    named = web.query(request, "filename").get("filename")
    video = incoming.receive(request, named, services.settings.max_upload_bytes, services.settings.upload_seconds)
    file_id = uuid4()
    services.videos.write(file_id, video.pieces())
    job = _add(request, owner, key, video, file_id)
    web.note(job=job.id, user=owner, bytes=video.size)
    metrics.count_bytes("in", video.size)
    announcement.announce(services, job, "/functions/upload")
    return responses.json(job.public(), 202, Location=f"/jobs/{job.id}")


def _add(request: Request, owner: UUID, key: str | None, video: incoming.IncomingVideo, file_id: UUID) -> Job:
    """The job of this upload, or the one that its idempotency key has made before."""
    id_ = uuid4()
    new = NewJob(
        id=id_,
        owner=owner,
        fid=uuid4(),
        filename=video.filename,
        container=video.container.value,
        video=file_id,
        video_size=video.size,
        video_sha256=video.sha256,
        idempotency_key=key,
        traceparent=web.traceparent(request),
        correlationid=web.request_id(request) or str(id_),
    )
    try:
        job = services.jobs.add(new)
    except Unauthorized:
        services.videos.delete(file_id)
        raise
    if job is not None:
        return job
    services.videos.delete(file_id)
    earlier = services.jobs.by_key(owner, key or "")
    if earlier is None or earlier.video_sha256 != video.sha256:
        raise Unprocessable("this Idempotency-Key was used for another file; use a new one", field="Idempotency-Key")
    return earlier


def _idempotency_key(request: Request) -> str | None:
    key = request.headers.get("Idempotency-Key")
    if key is not None and not (0 < len(key) <= KEY_LENGTH and key.isprintable()):
        raise BadRequest(f"Idempotency-Key must be 1 to {KEY_LENGTH} printable characters", field="Idempotency-Key")
    return key
