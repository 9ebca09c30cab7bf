"""Upload: a video's bytes go to GridFS as they arrive, its job to Postgres, and an event tells convert to look at it.

The row is the truth: once it is stored the answer is 202, even if nobody took the event, because sweep sends it again.
"""

from uuid import uuid4

from flask import Request, Response

from functions.model import options
from functions.model.errors import AccountGone, BadRequest, Unprocessable
from functions.model.jobs import Job, NewJob
from functions.runtime import announcement, metrics, responses, web, wiring
from functions.upload import incoming

services = wiring.Services("upload")
# The options of a request that asks for none: MP3_QUALITY, and the options' own defaults for the rest.
DEFAULTS = options.Options(vbr=services.settings.mp3_quality)
KEY = "Idempotency-Key"
KEY_LENGTH = 200


@web.serves("POST", ready=services.ready)
def upload(request: Request) -> Response:
    owner = services.bearer.claims(request.headers.get("Authorization")).user
    key = _idempotency_key(request)
    query = web.query(request, "filename", *options.NAMES)
    chosen = DEFAULTS.asked(query)
    settings = services.settings
    video = incoming.receive(request, query.get("filename"), settings.max_upload_bytes, settings.upload_seconds)
    file_id = uuid4()
    services.videos.write(file_id, video.pieces())
    job = _add(
        NewJob(
            id=uuid4(),
            owner=owner,
            fid=uuid4(),
            filename=video.filename,
            container=video.container.value,
            video=file_id,
            video_size=video.size,  # known, like the hash, only now that every byte has passed
            video_sha256=video.sha256,
            idempotency_key=key,
            options=chosen,
            traceparent=web.identity().traceparent,
            correlationid=web.identity().request_id,
        )
    )
    web.note(job=job.id, user=owner, bytes=video.size)
    metrics.count_bytes("in", video.size)
    announcement.announce(services, job)  # also for a repeated request: a doubled event finds nothing to do
    return responses.json(job.public(), 202, Location=f"/jobs/{job.id}")


def _add(new: NewJob) -> Job:
    """Adds the job. If an earlier request had the same Idempotency-Key, returns its job and deletes the new video.

    Raises AccountGone, and Unprocessable if the key was used for another upload. If Postgres does not answer it raises
    Unavailable and keeps the video, because the row may have been stored; if it was not, the video is an orphan.
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
