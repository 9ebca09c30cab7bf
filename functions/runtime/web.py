"""What HTTP is to every function: `serves` makes a handler a function; the rest reads requests and makes answers."""

import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from http import HTTPStatus
from typing import Any, Protocol, cast
from urllib.parse import parse_qsl
from uuid import UUID

import flask
from flask import Request, Response
from werkzeug.exceptions import HTTPException
from werkzeug.routing import Map

from events import envelope
from events.contract import Event, InvalidEvent
from functions.model import media
from functions.model.errors import BadRequest, NotFound, Problem, TooLarge, Twice, Unknown
from functions.runtime import connection, metrics, probes, responses, routes
from functions.runtime.routes import Routes
from functions.runtime.settings import deployed_name
from serving import logs, problems, tracing
from serving.tracing import Identity

Handler = Callable[[Request], Response]

JSON_LIMIT = 64 * 1024  # bytes of a JSON body or an event
# Parts of a request that a problem may name in the log. A problem may also name what a stranger made up.
LOGGED_FIELDS = frozenset(
    {"before", "body", "email", "fid", "file", "filename", "name", "password", "token", "username", "Idempotency-Key"}
)

NOWHERE = "there is nothing at this address"

log = logging.getLogger("functions")


class Function(Protocol):
    """What the framework calls, and what can be asked which routes it has."""

    routes: Routes

    def __call__(self, request: Request) -> Response: ...


def serves(
    *methods: str,
    ready: Callable[[], None],
    counts: metrics.Counts | None = None,
    below: Routes | None = None,
) -> Callable[[Handler], Function]:
    """Makes a handler the function: health, readiness, routes, problems, and one line in the log for each outcome.

    `methods` are those of the function's root, and `below` has those of its other paths, in which <name> stands for any
    one segment; both can be read again from the function's `routes`. `ready` asks every store and raises Unavailable
    where one is away. `counts` counts rows for /_/metrics. The function is known by the handler's name, with dashes.
    """
    declared: Routes = {"/": methods, **(below or {})}

    def decorate(handler: Handler) -> Function:
        name = deployed_name(handler.__name__)
        if flask.has_app_context():  # loaded by the framework, and not by a test or a tool
            _take_over(flask.current_app, name)
            probes.mount(flask.current_app, name, ready, counts)

        @wraps(handler)
        def function(request: Request) -> Response:
            try:
                routes.require(request, routes.methods(declared, request.path))
                response = handler(request)
            except Problem as problem:
                response = _refused(problem)
            except Exception as error:
                response = _broken(error, name)
            return _recorded(response, name)

        made = cast(Function, function)
        made.routes = declared
        return made

    return decorate


def _take_over(app: flask.Flask, name: str) -> None:
    """Has the framework's application answer nothing but what is ours, and every error as a problem."""
    # A map of our own: Flask's begins with /static/, the files of any folder of that name, and answers //x in HTML.
    app.url_map = Map(merge_slashes=False)
    app.before_request(_begin)
    app.register_error_handler(Problem, lambda problem: _recorded(_refused(problem), name))
    app.register_error_handler(HTTPException, lambda _: _recorded(_refused(NotFound(NOWHERE)), name))
    app.register_error_handler(Exception, lambda error: _recorded(_broken(error, name), name))


@dataclass(slots=True)
class Entry:
    """What the log will say of the present request; it grows while the request is worked on."""

    identity: Identity
    began: float  # by the monotonic clock
    fields: dict[str, Any]


def _begin() -> None:
    # In place of the framework's, which would read the whole body into memory (its read_request).
    flask.current_app.after_request_funcs[None] = [_name_request]
    connection.limit_idling(flask.request)
    flask.g.entry = Entry(tracing.identity(flask.request.environ), time.monotonic(), {})


def _name_request(response: Response) -> Response:
    response.headers[tracing.REQUEST_ID] = _entry().identity.request_id
    return response


def _entry() -> Entry:
    found: Entry = flask.g.entry
    return found


def identity() -> Identity:
    """The present request's id and trace: the caller's, where it has named them."""
    return _entry().identity


def note(**values: Any) -> None:
    """Adds fields to this request's line in the log: ids, numbers, reasons; never a token or an address."""
    _entry().fields.update(values)


class Broken(Problem):
    """Whoever asked learns only that it is our fault; what happened stands in the log."""

    status, slug, title = problems.INTERNAL.status, problems.INTERNAL.slug, problems.INTERNAL.title

    def __init__(self) -> None:
        super().__init__(problems.OUR_FAULT)


def _refused(problem: Problem) -> Response:
    """The problem as an answer; why it was given goes to the log, without the words of whoever asked."""
    note(reason=problem.slug)
    if problem.field in LOGGED_FIELDS:
        note(field=problem.field)
    if problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        note(why=problem.detail)  # it speaks of our own parts, and somebody has to mend them
    return responses.problem(problem)


def _broken(error: Exception, function: str) -> Response:
    known = identity()
    fields = logs.fields(function=function, request=known.request_id, trace=known.trace_id)
    log.error("it broke", exc_info=error, extra=fields)
    return _refused(Broken())


def _recorded(response: Response, function: str) -> Response:
    """The answer to this request, once it is counted and its outcome has its line in the log."""
    entry, status = _entry(), response.status_code
    fields = logs.fields(
        function=function,
        status=status,
        milliseconds=round((time.monotonic() - entry.began) * 1000),
        request=entry.identity.request_id,
        trace=entry.identity.trace_id,
        **entry.fields,
    )
    metrics.count_request(function, status)
    level = logging.ERROR if status >= HTTPStatus.INTERNAL_SERVER_ERROR else logging.INFO
    log.log(level, "%s %s", flask.request.method, function, extra=fields)
    return connection.linger(flask.request, response) if status >= HTTPStatus.BAD_REQUEST else response


def query(request: Request, *known: str) -> dict[str, str]:
    """The query's parameters, whatever bytes they hold. Raises Unknown, and BadRequest where one comes twice."""
    given: dict[str, str] = {}
    # As Latin-1 every byte is a letter and comes back as it was; media.text then finds the encoding of each text alone.
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
    """The CloudEvent that was delivered; from here on this request belongs to the event's trace.

    Raises BadRequest where it is no event of ours.
    """
    try:
        arrived = envelope.from_http(dict(request.headers), _small_body(request))
    except InvalidEvent as error:
        raise BadRequest(str(error)) from error
    _entry().identity = identity().within(arrived.traceparent)
    note(event=arrived.id, type=arrived.type, job=arrived.job)
    return arrived


def reply(event: Event) -> Response:
    """An event that follows from the one delivered, in binary mode."""
    headers, body = envelope.to_http(event)
    note(reply=event.type)
    return Response(body, 200, headers)


def nothing_follows(why: str) -> Response:
    """The event was taken and no other follows from it: an answer without `ce-` headers tells the dispatcher so."""
    note(why=why)
    return Response("", 202)


def one_id(text: str, what: str) -> UUID:
    """The id that the text is. Raises NotFound where it is none, as if it were an id that nobody has."""
    try:
        return UUID(text)
    except ValueError as error:
        raise NotFound(f"there is no {what} of that id") from error


def read(request: Request, count: int) -> bytes:
    """The next bytes of the body, at most `count`; none at its end. Raises BadRequest where it breaks off."""
    return connection.read(request, count)


def _small_body(request: Request) -> bytes:
    """The whole body, which must not be larger than JSON_LIMIT. Raises TooLarge, unread where it says its length."""
    if (request.content_length or 0) > JSON_LIMIT:
        raise TooLarge(f"the body must not be larger than {JSON_LIMIT} bytes")
    body = read(request, JSON_LIMIT + 1)
    if len(body) > JSON_LIMIT:
        raise TooLarge(f"the body must not be larger than {JSON_LIMIT} bytes")
    return body
