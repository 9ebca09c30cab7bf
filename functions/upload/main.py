"""Upload: a video's bytes go to GridFS as they arrive, its job to Postgres, and an event tells convert to look at it.

The row is the truth: once it is stored the answer is 202, even if nobody took the event, because sweep sends it again.
"""

from uuid import UUID, uuid4

from flask import Request, Response

from functions.model import options
from functions.model.errors import AccountGone, Unprocessable
from functions.model.jobs import Job, NewJob
from functions.runtime import announcement, metrics, responses, slots, web, wiring
from functions.upload import incoming

services = wiring.Services("upload")
policy = incoming.Policy(
    defaults=services.default_options,
    most_bytes=services.settings.max_upload_bytes,
    seconds=services.settings.upload_seconds,
)
uploads = slots.transfers(services.settings.transfers_per_user, "upload")


@web.serves("POST", ready=services.ready)
def upload(request: Request) -> Response:
    owner = services.bearer.claims(request.headers.get("Authorization")).user
    with uploads.of(owner):
        return _accept(request, owner)


def _accept(request: Request, owner: UUID) -> Response:
    key = web.idempotency_key(request)
    video = incoming.receive(request, web.query(request, "filename", *options.NAMES), policy)
    id_, file_id = uuid4(), uuid4()
    services.videos.write(file_id, video.pieces())
    job, is_new = _add(
        NewJob(
            id=id_,
            owner=owner,
            fid=id_,
            filename=video.filename,
            container=video.container.value,
            video=file_id,
            video_size=video.size,  # known, like the hash, only now that every byte has passed
            video_sha256=video.sha256,
            idempotency_key=key,
            options=video.options,
            traceparent=web.identity().traceparent,
            correlationid=web.identity().request_id,
            cover=video.cover,
        )
    )
    web.note(job=job.id, user=owner, bytes=video.size)
    metrics.count_bytes("in", video.size)
    announcement.announce(services, job)  # also for a repeated request: a doubled event finds nothing to do
    return responses.accepted(job, replayed=not is_new)


def _add(new: NewJob) -> tuple[Job, bool]:
    """Adds the job. If an earlier request had the same Idempotency-Key, gives its job and deletes the new video.

    Raises AccountGone, and Unprocessable if the key was used for another upload. If Postgres does not answer it raises
    Unavailable and keeps the video, because the row may have been stored; if it was not, the video is an orphan.
    """
    try:
        job = services.jobs.add(new)
    except AccountGone:
        services.videos.delete(new.video)
        raise
    if job is not None:
        return job, True
    services.videos.delete(new.video)
    earlier = services.jobs.by_key(new.owner, new.idempotency_key or "")
    if earlier is None or earlier.origin or earlier.video_sha256 != new.video_sha256:
        raise Unprocessable(f"this {web.KEY} was used for something else; use a new one", field=web.KEY)
    if not new.options.is_repeat_of(earlier.options) or services.jobs.cover(earlier.id) != new.cover:
        raise Unprocessable(f"this {web.KEY} was used with other options; use a new one", field=web.KEY)
    return earlier, False
