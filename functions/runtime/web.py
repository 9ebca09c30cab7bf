"""A request's way through a function: what the HTTP of all has in common, so that a main says only its own."""

import json
import logging
import re
import secrets
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import wraps
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl
from uuid import UUID

import flask
from flask import Request, Response
from gunicorn.http.errors import ParseException
from werkzeug.exceptions import ClientDisconnected, HTTPException
from werkzeug.routing import Map

from events import envelope
from events.contract import Event, InvalidEvent
from functions.model import media
from functions.model.errors import BadRequest, NotFound, Problem, TooLarge, Twice, Unknown
from functions.runtime import metrics, probes, responses, routes
from serving import logs, problems

Handler = Callable[[Request], Response]

JSON_LIMIT = 64 * 1024  # bytes of a JSON body or an event
IDLE_SECONDS = 60.0  # how long a connection may stand still within a request
LINGER_SECONDS = 30.0  # how long an early answer waits for the rest of its request
LINGER_PIECE = 256 * 1024
TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")  # W3C Trace Context, 3.2
REQUEST_ID = re.compile(r"[!-~]{1,64}")
# What the stream of a body raises when a client hangs up, stands still, or breaks the rules of chunks.
BROKEN_OFF = (ClientDisconnected, OSError, ParseException)

log = logging.getLogger("functions")


def serves(
    *methods: str,
    ready: Callable[[], None],
    counts: metrics.Counts | None = None,
    below: Mapping[str, tuple[str, ...]] | None = None,
) -> Callable[[Handler], Handler]:
    """Makes a handler the function: health, readiness, methods, problems, one line in the log for each outcome.

    `methods` are those of the function's root; `below` has those of its other addresses, in which <name> stands for any
    one segment. `ready` asks every store and raises Unavailable where one is away; `counts` counts rows for
    /_/metrics. The handler's name is the function's.
    """
    taken = {"/": methods, **(below or {})}

    def decorate(handler: Handler) -> Handler:
        if flask.has_app_context():  # loaded by the framework, and not by a test or a tool
            _take_over(flask.current_app)
            probes.mount(flask.current_app, handler.__name__, ready, counts)

        @wraps(handler)
        def function(request: Request) -> Response:
            # The framework would read the whole body into memory afterwards (its read_request).
            flask.current_app.after_request_funcs.pop(None, None)
            began = time.monotonic()
            flask.g.fields = {}
            _never_wait_for_ever(request)
            try:
                routes.require(request, routes.methods(taken, request.path))
                response = handler(request)
            except Problem as trouble:
                if trouble.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                    note(why=trouble.detail)  # ours to mend, so the log tells why; what a stranger did wrong he is told
                response = responses.problem(trouble)
            except Exception as error:
                response = _broken(error)
            _record(handler.__name__, request, response, began)
            return _lingering(request, response)

        return function

    return decorate


def _take_over(app: flask.Flask) -> None:
    """Has the framework's application answer nothing but what is ours, and errors as problems."""
    # A map of our own: Flask's begins with /static/, the files of any folder of that name, and answers //x in HTML.
    app.url_map = Map(merge_slashes=False)
    app.register_error_handler(Problem, responses.problem)
    app.register_error_handler(HTTPException, lambda _: responses.problem(NotFound("there is nothing at this address")))
    app.register_error_handler(Exception, _broken)


class Broken(Problem):
    """The detail is for whoever asked; what it was stands in the log."""

    status, slug, title, _detail = problems.BROKEN

    def __init__(self) -> None:
        super().__init__(self._detail)


def _broken(error: Exception) -> Response:
    name = flask.current_app.name
    log.error("it broke", exc_info=error, extra=logs.fields(function=name, trace=trace_id(flask.request)))
    return responses.problem(Broken())


def note(**values: Any) -> None:
    """Adds fields to this request's line in the log: ids, numbers, reasons; never a token or an address."""
    flask.g.fields.update(values)


def query(request: Request, *known: str) -> dict[str, str]:
    """The query's parameters, whatever bytes they hold. Raises Unknown, and BadRequest where one comes twice."""
    given: dict[str, str] = {}
    # As Latin-1 every byte is a letter and comes back as it was: what it means is found out for each text by itself.
    pairs = parse_qsl(request.query_string.decode("latin-1"), keep_blank_values=True, encoding="latin-1")
    for name, value in ((media.text(word.encode("latin-1")) for word in pair) for pair in pairs):
        if name not in known:
            raise Unknown("query parameter", name, known)
        if name in given:
            raise Twice("query", name)
        given[name] = value
    return given


def json_body(request: Request, *known: str) -> dict[str, Any]:
    """The JSON object of the body. Raises BadRequest, TooLarge, and Unknown for a member of another name."""
    try:
        body = json.loads(_small_body(request), object_pairs_hook=_each_once)
    except (ValueError, RecursionError) as error:
        raise BadRequest("the body must be a JSON object", field="body") from error
    if not isinstance(body, dict):
        raise BadRequest("the body must be a JSON object", field="body")
    for name in body:
        if name not in known:
            raise Unknown("member", name, known)
    return body


def _each_once(members: list[tuple[str, Any]]) -> dict[str, Any]:
    given = dict(members)
    if len(given) < len(members):
        names = [name for name, _ in members]
        raise Twice("body", next(name for name in names if names.count(name) > 1))
    return given


def event(request: Request) -> Event:
    """The CloudEvent that was delivered. Raises BadRequest where it is none of ours."""
    try:
        arrived = envelope.from_http(dict(request.headers), _small_body(request))
    except InvalidEvent as error:
        raise BadRequest(str(error)) from error
    note(event=arrived.id, type=arrived.type, job=arrived.job)
    return arrived


def reply(event: Event) -> Response:
    """An event that follows from the one delivered, in binary mode."""
    headers, body = envelope.to_http(event)
    note(reply=event.type)
    return Response(body, 200, headers)


def nothing_follows(why: str) -> Response:
    """Taken, and no event follows: no `ce-` header tells the dispatcher so."""
    note(why=why)
    return Response("", 202)


def one_id(text: str, what: str) -> UUID:
    """Raises NotFound where the text is no id: an id nobody has and a text that is none are the same to who asks."""
    try:
        return UUID(text)
    except ValueError as error:
        raise NotFound(f"there is no {what} of that id") from error


def traceparent(request: Request) -> str:
    """The caller's trace context, or a new one."""
    given = request.headers.get("traceparent", "")
    return given if TRACEPARENT.fullmatch(given) else f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"


def request_id(request: Request) -> str | None:
    """The caller's name for the request, where it is one that every header and log can carry."""
    given = request.headers.get("X-Request-Id", "")
    return given if REQUEST_ID.fullmatch(given) else None


def trace_id(request: Request) -> str | None:
    found = TRACEPARENT.fullmatch(request.headers.get("traceparent", request.headers.get("ce-traceparent", "")))
    return found[1] if found else None


def read(request: Request, count: int) -> bytes:
    """The next bytes of the body, at most that many; none at its end. Raises BadRequest where it breaks off."""
    try:
        return request.stream.read(count)
    except BROKEN_OFF as error:
        raise BadRequest("the request broke off, or its chunks cannot be read; send it again") from error


def _small_body(request: Request) -> bytes:
    if (request.content_length or 0) > JSON_LIMIT:
        raise TooLarge(f"the body must not be larger than {JSON_LIMIT} bytes")
    body = read(request, JSON_LIMIT + 1)
    if len(body) > JSON_LIMIT:
        raise TooLarge(f"the body must not be larger than {JSON_LIMIT} bytes")
    return body


def _record(function: str, request: Request, response: Response, began: float) -> None:
    level = logging.ERROR if response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR else logging.INFO
    fields = logs.fields(
        function=function,
        status=response.status_code,
        milliseconds=round((time.monotonic() - began) * 1000),
        trace=trace_id(request),
        **flask.g.fields,
    )
    metrics.count_request(function, response.status_code)
    log.log(level, "%s %s", request.method, function, extra=fields)


def _never_wait_for_ever(request: Request) -> None:
    """A client that neither sends nor reads for a while is gone: without this it would hold one of our threads."""
    connection = request.environ.get("gunicorn.socket")
    if connection is not None:
        connection.settimeout(IDLE_SECONDS)


def _lingering(request: Request, response: Response) -> Response:
    """Reads the rest of the request, bounded, after the answer has left.

    Closing while the other side still sends makes the kernel drop the answer: nginx then says 502.
    """
    if response.status_code < HTTPStatus.BAD_REQUEST:
        return response

    def linger() -> None:
        until = time.monotonic() + LINGER_SECONDS
        with suppress(BadRequest, ValueError):  # who asked has hung up: what we waited for
            while read(request, LINGER_PIECE) and time.monotonic() < until:
                pass

    response.call_on_close(linger)
    return response
