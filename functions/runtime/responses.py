"""What leaves a function: JSON, or a problem."""

from hashlib import blake2b
from json import dumps
from typing import TYPE_CHECKING, Any

from flask import Request, Response

from functions.model.errors import Problem
from functions.runtime.preconditions import Representation, wanted
from serving import problems

if TYPE_CHECKING:
    from functions.model.jobs import Job


def json(body: dict[str, Any] | list[Any], status: int = 200, **headers: str) -> Response:
    """The body as JSON, which no cache keeps. In the name of a header an underscore stands for a dash."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(dumps(body), status, {"Cache-Control": "no-store", **named}, "application/json")


def document(request: Request, body: dict[str, Any]) -> Response:
    """The body as JSON, or 304 where the client has it already: whoever polls reads it again only when it changed."""
    text = dumps(body)
    here = Representation(blake2b(text.encode(), digest_size=16).hexdigest())
    headers = {"Cache-Control": "private, no-cache", "ETag": f'"{here.etag}"', "Vary": "Authorization"}
    if not wanted(request.headers, here):
        return Response(status=304, headers=headers)
    return Response(text, 200, headers, "application/json")


def accepted(job: "Job", *, replayed: bool) -> Response:
    """A job that was added; `replayed` if that was an earlier request with the same Idempotency-Key."""
    answer = json(job.public(), 202, Location=f"/jobs/{job.id}")
    if replayed:
        answer.headers["Idempotent-Replayed"] = "true"
    return answer


def problem(trouble: Problem) -> Response:
    """The problem document of RFC 9457 with its status and headers: one shape for every error."""
    kind = problems.Kind(trouble.status, trouble.slug, trouble.title)
    answer = problems.answer(kind, trouble.detail, trouble.headers, field=trouble.field, reason=trouble.reason)
    return Response(answer.body, answer.status, answer.headers)
