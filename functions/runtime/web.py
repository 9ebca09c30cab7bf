"""What HTTP is to every function: `serves` makes a handler a function; the rest reads requests and makes answers."""

import json
from collections.abc import Callable
from functools import wraps
from typing import Any, Protocol, cast
from urllib.parse import parse_qsl
from uuid import UUID

import flask
from flask import Request, Response

from events import envelope
from events.contract import Event, InvalidEvent
from functions.model import media
from functions.model.errors import BadRequest, NotFound, Problem, TooLarge, Twice, Unknown
from functions.runtime import connection, metrics, outcome, probes, routes
from functions.runtime.routes import Routes
from functions.runtime.settings import deployed_name
from serving.tracing import Identity

Handler = Callable[[Request], Response]

JSON_LIMIT = 64 * 1024  # bytes of a JSON body or an event


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
            outcome.take_over(flask.current_app, name)
            probes.mount(flask.current_app, name, ready, counts)

        @wraps(handler)
        def function(request: Request) -> Response:
            try:
                routes.require(request, routes.methods(declared, request.path))
                response = handler(request)
            except Problem as problem:
                response = outcome.refused(problem)
            except Exception as error:
                response = outcome.broken(error, name)
            return outcome.recorded(response, name)

        made = cast(Function, function)
        made.routes = declared
        return made

    return decorate


def identity() -> Identity:
    """The present request's id and trace: the caller's, where it has named them."""
    return outcome.entry().identity


def note(**values: Any) -> None:
    """Adds fields to this request's line in the log: ids, numbers, reasons; never a token or an address."""
    outcome.entry().fields.update(values)


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
    outcome.entry().identity = identity().within(arrived.traceparent)
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
