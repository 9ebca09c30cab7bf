"""Converting again: a new job for the video of another one, which is not sent again."""

from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

from flask import Request

from functions.model.errors import BadRequest, Conflict, NotFound, Problem, Throttled, Unprocessable
from functions.model.jobs import Again, Job
from functions.model.options import NAMES, UPLOADED, Options
from functions.runtime import web
from functions.runtime.wiring import Services

MOST = 100  # jobs of one owner that were made in this way and have not ended: they cost their owner next to nothing
RETRY_AFTER = 60  # seconds, for the header of that name


def add(services: Services, request: Request, owner: UUID) -> tuple[Job, bool]:
    """The job, and whether this request has made it and not an earlier one with the same Idempotency-Key.

    Raises BadRequest and Unprocessable for what cannot be asked, NotFound if the owner has no such job, Conflict if its
    video is no longer kept, and Throttled if the owner has too many of these jobs.
    """
    key = web.idempotency_key(request)
    body = web.json_body(request, "source", *NAMES)
    identity = web.identity()
    new = Again(
        id=uuid4(),
        owner=owner,
        origin=_origin(body),
        idempotency_key=key,
        options=_options(services.default_options, body),
        traceparent=identity.traceparent,
        correlationid=identity.request_id,
    )
    if job := services.jobs.add_again(new, MOST):
        return job, True
    if job := services.jobs.by_key(owner, key) if key else None:
        if job.origin != new.origin or not new.options.is_repeat_of(job.options):
            raise Unprocessable(f"this {web.KEY} was used for something else; use a new one", field=web.KEY)
        return job, False
    raise _refusal(new, services.jobs.find_own(new.origin, owner))


def _origin(body: dict[str, Any]) -> UUID:
    if body.get("source") is None:
        raise BadRequest("say which job to convert again: `source` is its id", field="source")
    try:
        return UUID(body["source"])
    except (AttributeError, ValueError) as error:  # UUID() has the first for what is no text
        raise Unprocessable("`source` must be the id of one of your jobs", field="source") from error


def _options(defaults: Options, body: dict[str, Any]) -> Options:
    """What is asked for. JSON holds no picture, but the one that was uploaded with the other job can be asked for."""
    if body.get("cover") == UPLOADED:
        return replace(defaults.asked(body | {"cover": None}), cover=UPLOADED)
    return defaults.asked(body)


def _refusal(new: Again, origin: Job | None) -> Problem:
    """Why there is no new job."""
    if origin is None:
        return NotFound("you have no job of that id", field="source")
    if origin.video is None:
        return Conflict("the uploaded video is no longer kept; upload it again", field="source")
    if new.options.cover == UPLOADED != origin.options.cover:
        return Unprocessable("no cover was uploaded with that job", field="cover")
    return Throttled(f"you have {MOST} such conversions that have not ended; wait for one", retry_after=RETRY_AFTER)
