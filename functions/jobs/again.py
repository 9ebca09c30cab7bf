"""Converting again: a new job for the video of another one, which is not sent again."""

from dataclasses import replace
from uuid import UUID, uuid4

from flask import Request

from functions.model.errors import BadRequest, Conflict, NotFound, Unprocessable
from functions.model.jobs import Job, NewJob
from functions.model.options import NAMES, UPLOADED
from functions.runtime import web
from functions.runtime.wiring import Services

COPIED = ("owner", "filename", "container", "video", "video_size", "video_sha256")  # to a job of the same video


def add(services: Services, request: Request, owner: UUID) -> tuple[Job, bool]:
    """The job, and whether this request has made it and not an earlier one with the same Idempotency-Key.

    Its cover is the one that was uploaded for the other job, unless another is asked for. Raises BadRequest, NotFound,
    Conflict if the video is no longer kept, and Unprocessable for options that are not taken.
    """
    key = web.idempotency_key(request)
    body = web.json_body(request, "source", *NAMES)
    if not isinstance(source := body.get("source"), str):
        raise BadRequest("source must be the id of one of your jobs", field="source")
    origin = services.jobs.find_own(web.parse_id(source, "job"), owner)
    if origin is None:
        raise NotFound("you have no job of that id", field="source")
    options = services.default_options.asked(body)
    if origin.options.cover == UPLOADED and body.get("cover") is None:
        options = replace(options, cover=UPLOADED)
    id_, identity = uuid4(), web.identity()
    new = NewJob(
        **{column: getattr(origin, column) for column in COPIED},
        id=id_,
        fid=id_,
        idempotency_key=key,
        options=options,
        traceparent=identity.traceparent,
        correlationid=identity.request_id,
    )
    job = services.jobs.add_again(new, origin.id)
    return (job, True) if job else (_earlier(services, new), False)


def _earlier(services: Services, new: NewJob) -> Job:
    """The job that an earlier request with the same key has made, if that asked for the same."""
    job = services.jobs.by_key(new.owner, new.idempotency_key) if new.idempotency_key else None
    if job is None:
        raise Conflict("the uploaded video is no longer kept; upload it again")
    if job.video_sha256 != new.video_sha256 or not new.options.is_repeat_of(job.options):
        raise Unprocessable(f"this {web.KEY} was used for something else; use a new one", field=web.KEY)
    return job
