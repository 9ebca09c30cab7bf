"""What becomes of every request to a function: an answer with the request's id, a line in the log, and a count."""

import logging
import time
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import flask
from flask import Response
from werkzeug.exceptions import HTTPException
from werkzeug.routing import Map

from functions.model import options
from functions.model.errors import NotFound, Problem
from functions.runtime import connection, metrics, responses
from serving import logs, problems, tracing
from serving.tracing import Identity

# Only these names of a problem's `field` are logged: others may be text that a stranger made up.
LOGGED_FIELDS = {
    *("body", "cursor", "email", "fid", "file", "filename", "limit", "lost", "name", "password", "token", "username"),
    *("Idempotency-Key", "part", "source", *options.NAMES),
}
NOWHERE = "there is nothing at this address"

log = logging.getLogger("functions")


def take_over(app: flask.Flask, name: str) -> None:
    """Makes the framework's application answer only our own addresses, and every error with a problem.

    `name` is the function's, as logs and metrics have it.
    """
    # A map of our own: Flask's begins with /static/, the files of any folder of that name, and answers //x in HTML.
    app.url_map = Map(merge_slashes=False)
    app.before_request(_begin)
    app.register_error_handler(Problem, lambda problem: recorded(refused(problem), name))
    app.register_error_handler(HTTPException, lambda _: recorded(refused(NotFound(NOWHERE)), name))
    app.register_error_handler(Exception, lambda error: recorded(broken(error, name), name))


@dataclass(slots=True)
class Entry:
    """The current request's line in the log, as far as it is known by now."""

    identity: Identity
    began: float  # by the monotonic clock
    fields: dict[str, Any]


def _begin() -> None:
    # In place of the framework's, which would read the whole body into memory (its read_request).
    flask.current_app.after_request_funcs[None] = [_name_request]
    connection.limit_idling(flask.request)
    flask.g.entry = Entry(tracing.identity(flask.request.environ), time.monotonic(), {})


def _name_request(response: Response) -> Response:
    response.headers[tracing.REQUEST_ID] = entry().identity.request_id
    return response


def entry() -> Entry:
    """The current request's entry."""
    found: Entry = flask.g.entry
    return found


class Broken(Problem):
    """The client learns only that it is our fault; what happened is in the log."""

    status, slug, title = problems.INTERNAL.status, problems.INTERNAL.slug, problems.INTERNAL.title

    def __init__(self) -> None:
        super().__init__(problems.OUR_FAULT)


def refused(problem: Problem) -> Response:
    """The problem as an answer. The log gets its kind, and nothing that the client has written."""
    fields = entry().fields
    fields["reason"] = problem.slug
    if problem.field in LOGGED_FIELDS:
        fields["field"] = problem.field
    if problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        fields["why"] = problem.detail  # it speaks of our own parts, and somebody has to mend them
    return responses.problem(problem)


def broken(error: Exception, function: str) -> Response:
    """The answer to a request on which our code broke; the traceback goes to the log alone."""
    known = entry().identity
    fields = logs.fields(function=function, request=known.request_id, trace=known.trace_id)
    log.error("it broke", exc_info=error, extra=fields)
    return refused(Broken())


def recorded(response: Response, function: str) -> Response:
    """The answer to this request, once it is counted and its outcome has its line in the log."""
    known, status = entry(), response.status_code
    fields = logs.fields(
        function=function,
        status=status,
        milliseconds=round((time.monotonic() - known.began) * 1000),
        request=known.identity.request_id,
        trace=known.identity.trace_id,
        **known.fields,
    )
    metrics.count_request(function, status)
    level = logging.ERROR if status >= HTTPStatus.INTERNAL_SERVER_ERROR else logging.INFO
    log.log(level, "%s %s", flask.request.method, function, extra=fields)
    return connection.linger(flask.request, response) if status >= HTTPStatus.BAD_REQUEST else response
