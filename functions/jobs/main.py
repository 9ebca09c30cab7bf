"""Jobs: their owner lists them, looks at one, cancels it, deletes it or tries it again."""

import re
from urllib.parse import urlencode
from uuid import UUID

from flask import Request, Response

from functions.jobs import cursor
from functions.model.errors import BadRequest, Conflict, NotFound
from functions.model.jobs import Job, State
from functions.runtime import announcement, responses, web, wiring

services = wiring.Services("jobs")
PAGE = "50"  # jobs, where the request does not say how many
LIMIT = re.compile(r"[1-9][0-9]?|100")


@web.serves(
    "GET",
    below={"/<id>": ("GET", "DELETE"), "/<id>/cancel": ("POST",), "/<id>/retry": ("POST",)},
    ready=services.ready,
)
def jobs(request: Request) -> Response:
    owner = services.bearer.claims(request.headers.get("Authorization")).user
    web.note(user=owner)
    text, *action = request.path.strip("/").split("/")
    if not text:
        return _list(web.query(request, "limit", "cursor"), owner)
    web.query(request)
    id_ = web.one_id(text, "job")
    web.note(job=id_)
    match request.method, *action:
        case "POST", "cancel":
            return _cancel(id_, owner)
        case "POST", "retry":
            return _retry(id_, owner)
        case "DELETE", *_:
            return _delete(id_, owner)
    return responses.json(_own(id_, owner).public())


def _list(query: dict[str, str], owner: UUID) -> Response:
    """One page, the newest job first; `next` is where the following page is, or null."""
    limit = query.get("limit", PAGE)
    if not LIMIT.fullmatch(limit):
        raise BadRequest("limit must be a whole number from 1 to 100", field="limit")
    after = cursor.read(query["cursor"]) if "cursor" in query else None
    found = services.jobs.list_own(owner, int(limit) + 1, after)  # the one too many says that there is another page
    page = found[: int(limit)]
    more = urlencode({"limit": limit, "cursor": cursor.after(page[-1])}) if len(found) > len(page) else None
    return responses.json({"jobs": [job.public() for job in page], "next": f"/jobs?{more}" if more else None})


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
    job = services.jobs.retry(id_, owner)
    if job is None:
        found = _own(id_, owner)
        if found.state in (State.FAILED, State.CANCELLED):
            raise Conflict("the uploaded video is no longer kept; upload it again")
        raise Conflict(f"a job that is {found.state} cannot be tried again; only one that failed or was cancelled can")
    announcement.announce(services, job)
    return responses.json(job.public(), 202, Location=f"/jobs/{job.id}")


def _own(id_: UUID, owner: UUID) -> Job:
    job = services.jobs.find_own(id_, owner)
    if job is None:
        raise _unknown()
    return job


def _unknown() -> NotFound:
    return NotFound("you have no job of that id")
