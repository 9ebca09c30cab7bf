"""Request in, answer out: what the HTTP of all functions has in common, so that a main says only its own."""

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
from werkzeug.routing import Map, Rule

from events import envelope, journal
from events.contract import Event, InvalidEvent
from functions import meters
from functions.model import media
from functions.model.errors import (
    BadRequest,
    MethodNotAllowed,
    NotFound,
    Problem,
    TooLarge,
    Twice,
    Unavailable,
    Unknown,
)
from functions.readiness import Readiness

Handler = Callable[[Request], Response]

JSON_LIMIT = 64 * 1024  # bytes of a JSON body or an event
IDLE_SECONDS = 60.0  # how long a connection may stand still within a request
LINGER_SECONDS = 30.0  # how long an early answer waits for the rest of its request
LINGER_PIECE = 256 * 1024
PROBLEM_TYPE = "urn:videotomp3:problem:"
TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")  # W3C Trace Context, 3.2
REQUEST_ID = re.compile(r"[!-~]{1,64}")
# What the stream of a body raises when a client hangs up, stands still, or breaks the rules of chunks.
BROKEN_OFF = (ClientDisconnected, OSError, ParseException)
PROBLEM_HEADER = 2048  # bytes of a problem that goes into a header: nginx takes 4096 for all of them

log = logging.getLogger("functions")


def serves(
    *methods: str,
    ready: Callable[[], None],
    census: meters.Census | None = None,
    below: Mapping[str, tuple[str, ...]] | None = None,
) -> Callable[[Handler], Handler]:
    """Makes a handler the function: health, readiness, methods, problems, one line in the journal for each outcome.

    `methods` are those of the function's root; `below` has those of its other addresses, in which <name> stands for any
    one segment. `ready` asks every store and raises Unavailable where one is away; `census` counts rows for
    /_/metrics. The handler's name is the function's.
    """
    addresses = {"/": methods, **(below or {})}

    def decorate(handler: Handler) -> Handler:
        _mount(handler.__name__, ready, census)

        @wraps(handler)
        def function(request: Request) -> Response:
            # The framework would read the whole body into memory afterwards (its read_request).
            flask.current_app.after_request_funcs.pop(None, None)
            began = time.monotonic()
            flask.g.fields = {}
            _never_wait_for_ever(request)
            try:
                _only(request, _methods(addresses, request.path))
                response = handler(request)
            except Problem as trouble:
                if trouble.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                    note(why=trouble.detail)  # ours to mend, so the log tells why; what a stranger did wrong he is told
                response = problem(trouble)
            except Exception as error:
                response = _broken(error)
            _record(handler.__name__, request, response, began)
            return _lingering(request, response)

        return function

    return decorate


def _mount(name: str, ready: Callable[[], None], census: meters.Census | None) -> None:
    """Adds /_/health, /_/ready, /_/stores and /_/metrics to the application that is loading this function."""
    if not flask.has_app_context():
        return  # loaded by a test or a tool, not by the framework
    app = flask.current_app
    readiness = Readiness(ready)

    def told(trouble: Unavailable | None) -> Response:
        return problem(trouble) if trouble else answer({"function": name, "ready": True})

    inner: dict[str, Callable[[], Response]] = {
        "health": lambda: answer({"function": name}),
        "ready": lambda: told(readiness.trouble_until_first_answer()),
        "stores": lambda: told(readiness.trouble_now()),
        "metrics": lambda: Response(meters.page(census), mimetype="text/plain; version=0.0.4"),
    }

    def ask(what: str) -> Response:
        _only(flask.request, ("GET",))
        return inner[what]()

    # A map of our own: Flask's begins with /static/, the files of any folder of that name, and answers //x in HTML.
    app.url_map = Map(merge_slashes=False)
    for what in inner:
        # For all methods: those that a route lacks would fall to the framework's route for everything else.
        app.url_map.add(Rule(f"/_/{what}", endpoint="inner", defaults={"what": what}))
    app.view_functions["inner"] = ask
    app.register_error_handler(Problem, problem)
    app.register_error_handler(HTTPException, lambda _: problem(NotFound("there is nothing at this address")))
    app.register_error_handler(Exception, _broken)


class Broken(Problem):
    status, slug, title = 500, "internal", "Something broke"


def _broken(error: Exception) -> Response:
    name = flask.current_app.name
    log.error("it broke", exc_info=error, extra=journal.fields(function=name, trace=trace_id(flask.request)))
    return problem(Broken("this is our fault; it is in the journal"))


def _methods(addresses: Mapping[str, tuple[str, ...]], path: str) -> tuple[str, ...]:
    """Those of the address that this path is. Raises NotFound."""
    given = path.strip("/").split("/")
    for address, methods in addresses.items():
        own = address.strip("/").split("/")
        if len(own) == len(given) and all(
            each.startswith("<") or each == segment for each, segment in zip(own, given, strict=True)
        ):
            return methods
    raise NotFound(f"there is nothing at this address; there is at {', '.join(addresses)}")


def _only(request: Request, methods: tuple[str, ...]) -> None:
    """Raises MethodNotAllowed; HEAD is allowed wherever GET is (RFC 9110, 9.3.2)."""
    allowed = ("GET", "HEAD", *(each for each in methods if each != "GET")) if "GET" in methods else methods
    if request.method not in allowed:
        raise MethodNotAllowed(allowed)


def note(**values: Any) -> None:
    """Adds fields to this request's line in the journal: ids, numbers, reasons; never a token or an address."""
    flask.g.fields.update(values)


def answer(body: dict[str, Any] | list[Any], status: int = 200, **headers: str) -> Response:
    made = Response(json.dumps(body), status, mimetype="application/json")
    made.headers.extend({name.replace("_", "-"): value for name, value in headers.items()})
    made.headers["Cache-Control"] = "no-store"
    return made


def problem(trouble: Problem) -> Response:
    """RFC 9457: the same shape for every error.

    Where it is short, a header repeats it: the gateway, which replaces errors that are not ours, can keep no body.
    """
    body = {
        "type": PROBLEM_TYPE + trouble.slug,
        "title": trouble.title,
        "status": trouble.status,
        "detail": trouble.detail,
        "field": trouble.field,
        "reason": trouble.reason,
    }
    made = answer({name: value for name, value in body.items() if value is not None}, trouble.status)
    made.mimetype = "application/problem+json"
    text = made.get_data(as_text=True)
    if len(text) <= PROBLEM_HEADER:
        made.headers["Problem"] = text
    made.headers.extend(trouble.headers)
    return made


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
    fields = journal.fields(
        function=function,
        status=response.status_code,
        milliseconds=round((time.monotonic() - began) * 1000),
        trace=trace_id(request),
        **flask.g.fields,
    )
    meters.count_request(function, response.status_code)
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
