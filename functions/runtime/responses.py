"""What leaves a function: JSON, or a problem."""

from json import dumps
from typing import Any

from flask import Response

from functions.model.errors import Problem
from serving import problems

PROBLEM_HEADER = 2048  # bytes of a problem that goes into a header: nginx takes 4096 for all of them


def json(body: dict[str, Any] | list[Any], status: int = 200, **headers: str) -> Response:
    return _made(dumps(body), status, "application/json", {name.replace("_", "-"): headers[name] for name in headers})


def problem(trouble: Problem) -> Response:
    """RFC 9457: the same shape for every error.

    Where it is short, a header repeats it: the gateway, which replaces errors that are not ours, can keep no body.
    """
    text = problems.document(
        trouble.status, trouble.slug, trouble.title, trouble.detail, field=trouble.field, reason=trouble.reason
    )
    copy = {"Problem": text} if len(text) <= PROBLEM_HEADER else {}
    return _made(text, trouble.status, problems.MIMETYPE, copy | trouble.headers)


def _made(text: str, status: int, mimetype: str, headers: dict[str, str]) -> Response:
    return Response(text, status, {"Cache-Control": "no-store"} | headers, mimetype)
