"""Jobs: their owner lists them, looks at one, cancels it, deletes it, tries it again, or makes another of its video."""

from uuid import UUID

from flask import Request, Response

from functions.jobs import again, listing, waveform
from functions.model.errors import Conflict, NotFound
from functions.model.jobs import Job, State
from functions.runtime import announcement, responses, web, wiring

services = wiring.Services("jobs")


@web.serves(
    "GET",
    "POST",
    below={
        "/<id>": ("GET", "DELETE"),
        "/<id>/cancel": ("POST",),
        "/<id>/retry": ("POST",),
        "/<id>/waveform": ("GET",),
    },
    ready=services.ready,
)
def jobs(request: Request) -> Response:
    owner = services.bearer.claims(request.headers.get("Authorization")).user
    web.note(user=owner)
    text, *action = request.path.strip("/").split("/")
    if not text and request.method == "POST":
        return _again(request, owner)
    if not text:
        return listing.page(services, request, web.query(request, "limit", "cursor"), owner)
    web.query(request)
    id_ = web.parse_id(text, "job")
    web.note(job=id_)
    match request.method, *action:
        case _, "cancel":
            return _cancel(id_, owner)
        case _, "retry":
            return _retry(id_, owner)
        case _, "waveform":
            return waveform.answer(services, request, _own(id_, owner))
        case "DELETE", *_:
            return _delete(id_, owner)
    return responses.document(request, _own(id_, owner).public())


def _again(request: Request, owner: UUID) -> Response:
    """A new job, or that of an earlier request with the same Idempotency-Key."""
    web.query(request)
    job, is_new = again.add(services, request, owner)
    web.note(job=job.id)
    announcement.announce(services, job)  # also for a repeat: a doubled event finds nothing to do
    return responses.accepted(job, replayed=not is_new)


def _cancel(id_: UUID, owner: UUID) -> Response:
    """The cancelled job, also where it was cancelled before: a repeat of the request changes nothing."""
    job = services.jobs.cancel(id_, owner) or _own(id_, owner)
    if job.state != State.CANCELLED:
        raise Conflict(f"the job is {job.state}; only one that has not ended can be cancelled", reason=job.state)
    web.note(state=job.state)
    return responses.json(job.public())


def _delete(id_: UUID, owner: UUID) -> Response:
    """Nothing, also where the job was deleted before and its row is still there."""
    if not services.jobs.delete(id_, owner):
        raise _unknown()
    web.note(state="deleted")
    return Response("", 204)


def _retry(id_: UUID, owner: UUID) -> Response:
    """The job, queued again."""
    job = services.jobs.retry(id_, owner)
    if job is None:
        found = _own(id_, owner)
        if found.state in (State.FAILED, State.CANCELLED):
            raise Conflict("the uploaded video is no longer kept; upload it again")
        raise Conflict(f"a job that is {found.state} cannot be tried again; only one that failed or was cancelled can")
    announcement.announce(services, job)
    return responses.accepted(job, replayed=False)


def _own(id_: UUID, owner: UUID) -> Job:
    job = services.jobs.find_own(id_, owner)
    if job is None:
        raise _unknown()
    return job


def _unknown() -> NotFound:
    return NotFound("you have no job of that id")
