"""Upload: a video's bytes go to GridFS as they arrive, its job to Postgres, and an event tells convert to look at it.

The row is the truth. Once it stands the answer is 202, even where nobody took the event, for sweep sends that again.
"""

from uuid import uuid4

from flask import Request, Response

from functions.model import options
from functions.model.errors import AccountGone, BadRequest, Unprocessable
from functions.model.jobs import Job, NewJob
from functions.runtime import announcement, metrics, responses, web, wiring
from functions.upload import incoming

services = wiring.Services("upload")
# What a request gets that asks for nothing: MP3_QUALITY, and for the rest the options' own defaults.
DEFAULTS = options.Options().changed({"vbr": str(services.settings.mp3_quality)})
KEY = "Idempotency-Key"
KEY_LENGTH = 200


@web.serves("POST", ready=services.ready)
def upload(request: Request) -> Response:
    owner = services.bearer.claims(request.headers.get("Authorization")).user
    key = _idempotency_key(request)
    query = web.query(request, "filename", *options.NAMES)
    chosen = DEFAULTS.changed(query)
    settings = services.settings
    video = incoming.receive(request, query.get("filename"), settings.max_upload_bytes, settings.upload_seconds)
    file = uuid4()
    services.videos.write(file, video.pieces())
    job = _add(
        NewJob(
            id=uuid4(),
            owner=owner,
            fid=uuid4(),
            filename=video.filename,
            container=video.container.value,
            video=file,
            video_size=video.size,
            video_sha256=video.sha256,
            idempotency_key=key,
            options=chosen,
            traceparent=web.identity().traceparent,
            correlationid=web.identity().request_id,
        )
    )
    web.note(job=job.id, user=owner, bytes=video.size)
    metrics.count_bytes("in", video.size)
    announcement.announce(services, job)
    return responses.json(job.public(), 202, Location=f"/jobs/{job.id}")


def _add(new: NewJob) -> Job:
    """The job of this upload, or that of an earlier request with the same Idempotency-Key; then the new video goes.

    Raises AccountGone, and Unprocessable where the key stands for another upload. While Postgres is away it raises
    Unavailable and leaves the video, for the row may stand all the same; if it does not, sweep removes the orphan.
    """
    try:
        job = services.jobs.add(new)
    except AccountGone:
        services.videos.delete(new.video)
        raise
    if job is not None:
        return job
    services.videos.delete(new.video)
    earlier = services.jobs.by_key(new.owner, new.idempotency_key or "")
    if earlier is None or earlier.video_sha256 != new.video_sha256:
        raise Unprocessable(f"this {KEY} was used for another file; use a new one", field=KEY)
    if earlier.options != new.options:
        raise Unprocessable(f"this {KEY} was used with other options; use a new one", field=KEY)
    return earlier


def _idempotency_key(request: Request) -> str | None:
    key = request.headers.get(KEY)
    if key is not None and not (0 < len(key) <= KEY_LENGTH and key.isprintable()):
        raise BadRequest(f"{KEY} must be 1 to {KEY_LENGTH} printable characters", field=KEY)
    return key
