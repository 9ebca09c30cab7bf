"""Jobs: their owner lists them, looks at one, cancels it, deletes it, tries it again, or makes another of its video."""

import re
from dataclasses import replace
from urllib.parse import urlencode
from uuid import UUID, uuid4

from flask import Request, Response

from functions.jobs import cursor
from functions.model.errors import BadRequest, Conflict, NotFound, Unprocessable
from functions.model.jobs import Job, NewJob, State
from functions.model.options import NAMES, UPLOADED
from functions.runtime import announcement, responses, web, wiring

services = wiring.Services("jobs")
PAGE = "50"  # jobs, where the request does not say how many
COPIED = ("owner", "filename", "container", "video", "video_size", "video_sha256")  # to a job of the same video
LIMIT = re.compile(r"[1-9][0-9]?|100")


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
        return _list(web.query(request, "limit", "cursor"), owner)
    web.query(request)
    id_ = web.parse_id(text, "job")
    web.note(job=id_)
    match request.method, *action:
        case "POST", "cancel":
            return _cancel(id_, owner)
        case "POST", "retry":
            return _retry(id_, owner)
        case "DELETE", *_:
            return _delete(id_, owner)
        case _, "waveform":
            return _waveform(id_, owner)
    return responses.json(_own(id_, owner).public())


def _list(query: dict[str, str], owner: UUID) -> Response:
    """One page, the newest job first; `next` is where the following page is, or null."""
    limit = query.get("limit", PAGE)
    if not LIMIT.fullmatch(limit):
        raise BadRequest("limit must be a whole number from 1 to 100", field="limit")
    after = cursor.read(query["cursor"]) if "cursor" in query else None
    found = services.jobs.list_own(
        owner, int(limit) + 1, after
    )  # if one more comes than the page takes, there is another page
    page = found[: int(limit)]
    more = urlencode({"limit": limit, "cursor": cursor.after(page[-1])}) if len(found) > len(page) else None
    return responses.json({"jobs": [job.public() for job in page], "next": f"/jobs?{more}" if more else None})


def _again(request: Request, owner: UUID) -> Response:
    """A new job for the video of another one, which is not sent again."""
    key = web.idempotency_key(request)
    body = web.json_body(request, "source", *NAMES)
    if not isinstance(source := body.get("source"), str):
        raise BadRequest("source must be the id of one of your jobs", field="source")
    origin = _own(web.parse_id(source, "job"), owner)
    chosen = services.default_options.asked(body)
    if origin.options.cover == UPLOADED and body.get("cover") is None:
        chosen = replace(chosen, cover=UPLOADED)
    job, is_new = _add(
        NewJob(
            **{column: getattr(origin, column) for column in COPIED},
            id=(id_ := uuid4()),
            fid=id_,
            idempotency_key=key,
            options=chosen,
            traceparent=web.identity().traceparent,
            correlationid=web.identity().request_id,
        ),
        origin,
    )
    web.note(job=job.id, user=owner)
    announcement.announce(services, job)
    return responses.accepted(job, replayed=not is_new)


def _add(new: NewJob, origin: Job) -> tuple[Job, bool]:
    """Adds the job; gives that of an earlier request with the same Idempotency-Key if there is one.

    Raises Unprocessable if the key was used for something else, and Conflict if the video is no longer kept.
    """
    job = services.jobs.add_again(new, origin.id)
    if job is not None:
        return job, True
    earlier = services.jobs.by_key(new.owner, new.idempotency_key) if new.idempotency_key else None
    if earlier is None:
        raise Conflict("the uploaded video is no longer kept; upload it again", reason="video_gone")
    if (earlier.video_sha256, earlier.options) != (new.video_sha256, new.options):
        raise Unprocessable(f"this {web.KEY} was used for something else; use a new one", field=web.KEY)
    return earlier, False


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
    return responses.accepted(job, replayed=False)


def _waveform(id_: UUID, owner: UUID) -> Response:
    """The peaks of the audio, from 0 to 1, and how long each lasts. It never changes as long as the audio does not."""
    job = _own(id_, owner)
    if job.state != State.DONE:
        raise Conflict(f"the job is {job.state}; there is a waveform once it is done", reason=job.state)
    peaks = services.jobs.waveform(id_)
    if peaks is None:
        raise NotFound("this job's audio was made before there were waveforms")
    seconds = (job.duration or 0.0) / len(peaks)
    return responses.json({"peaks": [round(peak / 255, 3) for peak in peaks], "seconds_per_peak": round(seconds, 6)})


def _own(id_: UUID, owner: UUID) -> Job:
    job = services.jobs.find_own(id_, owner)
    if job is None:
        raise _unknown()
    return job


def _unknown() -> NotFound:
    return NotFound("you have no job of that id")
