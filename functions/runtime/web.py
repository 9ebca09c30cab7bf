"""HTTP for every function: `serves` turns a handler into a function; the rest reads requests and makes answers."""

import json
from collections.abc import Callable, Mapping
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
KEY = "Idempotency-Key"
KEY_LENGTH = 255


class Function(Protocol):
    """What the framework calls. `routes` says which paths and methods it takes."""

    routes: Routes

    def __call__(self, request: Request) -> Response: ...


def serves(
    *methods: str,
    ready: Callable[[], None],
    counts: metrics.Counts | None = None,
    below: Routes | None = None,
    detail: Mapping[str, str] | None = None,
) -> Callable[[Handler], Function]:
    """Turns a handler into a function with health, readiness, routes, problems, and one line in the log per request.

    `methods` are those of the function's root, and `below` has those of its other paths, in which <name> stands for any
    one segment; the function's `routes` holds both. `ready` asks every store and raises Unavailable if one is away.
    `counts` counts rows for /_/metrics, and /_/ready tells `detail` too. The function's name is the handler's, with
    dashes.
    """
    declared: Routes = {"/": methods, **(below or {})}

    def decorate(handler: Handler) -> Function:
        name = deployed_name(handler.__name__)
        if flask.has_app_context():  # loaded by the framework, and not by a test or a tool
            outcome.take_over(flask.current_app, name)
            probes.mount(flask.current_app, name, ready, counts, detail or {})

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
    """The current request's id and trace: the caller's own, if it has sent them."""
    return outcome.entry().identity


def note(**values: Any) -> None:
    """Adds fields to this request's line in the log: ids, numbers, reasons; never a token or an address."""
    outcome.entry().fields.update(values)


def query(request: Request, *known: str) -> dict[str, str]:
    """The query's parameters, whatever bytes they hold. Raises Unknown, and BadRequest where one comes twice."""
    given: dict[str, str] = {}
    # Latin-1 keeps every byte as it is; media.text then finds out the encoding of each name and each value by itself.
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


def idempotency_key(request: Request) -> str | None:
    """The key that makes a repeat of this request safe, if there is one. Raises BadRequest."""
    key = request.headers.get(KEY)
    if key is not None and not (0 < len(key) <= KEY_LENGTH and key.isprintable()):
        raise BadRequest(f"{KEY} must be 1 to {KEY_LENGTH} printable characters", field=KEY)
    return key


def event(request: Request) -> Event:
    """The CloudEvent in the request; from here on the request belongs to the event's trace.

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


def parse_id(text: str, what: str) -> UUID:
    """The text as an id. Raises NotFound, which speaks of a `what`, if it is none: as for an id that nobody has."""
    try:
        return UUID(text)
    except ValueError as error:
        raise NotFound(f"there is no {what} of that id") from error


def read(request: Request, count: int) -> bytes:
    """The next bytes of the body, at most `count`; none at its end. Raises as connection.read does."""
    return connection.read(request, count)


def _small_body(request: Request) -> bytes:
    """The whole body. Raises TooLarge if it has more than JSON_LIMIT bytes, before reading it if it says its length."""
    if (request.content_length or 0) > JSON_LIMIT:
        raise TooLarge(f"the body must not be larger than {JSON_LIMIT} bytes")
    body = read(request, JSON_LIMIT + 1)
    if len(body) > JSON_LIMIT:
        raise TooLarge(f"the body must not be larger than {JSON_LIMIT} bytes")
    return body
