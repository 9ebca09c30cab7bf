"""Jobs: what became of my videos; cancel one, delete one, try one again."""

from datetime import UTC, datetime
from uuid import UUID

from flask import Request, Response

from functions.model.errors import BadRequest, Conflict, NotFound
from functions.model.jobs import CANCELLED, FAILED, Job
from functions.runtime import announcement, responses, web, wiring

services = wiring.Services("jobs")
PAGE = 50


@web.serves("GET", below={"/<id>": ("GET", "DELETE"), "/<id>/retry": ("POST",)}, ready=services.ready)
def jobs(request: Request) -> Response:
    owner = services.bearer.claims(request.headers.get("Authorization")).user
    web.note(user=owner)
    web.query(request, "before")
    text, *more = request.path.strip("/").split("/")
    if not text:
        return _list(request, owner)
    id_ = web.one_id(text, "job")
    if more:
        return _retry(id_, owner)
    if request.method == "DELETE":
        return _remove(id_, owner)
    return responses.json(_own(id_, owner).public())


def _list(request: Request, owner: UUID) -> Response:
    """The newest first; `next` is the `before` of the following page."""
    before = request.args.get("before")
    try:
        since = datetime.fromisoformat(before).astimezone(UTC) if before else None
    except (ValueError, OverflowError) as error:
        raise BadRequest("before must be the `next` of an earlier page", field="before") from error
    page = services.jobs.list_own(owner, since, PAGE)
    body: dict[str, object] = {"jobs": [job.public() for job in page]}
    if len(page) == PAGE:
        body["next"] = page[-1].created_at.isoformat().replace("+00:00", "Z")  # a plus in an address is a space
    return responses.json(body)


def _remove(id_: UUID, owner: UUID) -> Response:
    """Cancels what is not finished; hides what is."""
    cancelled = services.jobs.cancel(id_, owner)
    if cancelled is not None:
        web.note(job=id_, state=CANCELLED)
        return responses.json(cancelled.public())
    if services.jobs.delete(id_, owner) is None:
        raise _unknown()
    web.note(job=id_, state="deleted")
    return Response("", 204)


def _retry(id_: UUID, owner: UUID) -> Response:
    job = services.jobs.retry(id_, owner)
    if job is None:
        found = _own(id_, owner)
        if found.state in (FAILED, CANCELLED):
            raise Conflict("the uploaded video is no longer kept; upload it again")
        raise Conflict(f"a job that is {found.state} cannot be tried again; only one that failed or was cancelled can")
    web.note(job=id_)
    announcement.announce(services, job)
    return responses.json(job.public(), 202, Location=f"/jobs/{job.id}")


def _own(id_: UUID, owner: UUID) -> Job:
    job = services.jobs.find_own(id_, owner)
    if job is None:
        raise _unknown()
    return job


def _unknown() -> NotFound:
    return NotFound("you have no job of that id")
