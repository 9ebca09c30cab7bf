"""The ingress: takes events over HTTP, and answers 202 once the broker has confirmed them."""

import logging
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.wrappers import Request, Response

from events import envelope
from events.bridge import messages, metrics
from events.bridge.broker.errors import BrokerError
from events.bridge.broker.publisher import Publisher
from events.bridge.broker.subscriber import Subscriber
from events.bridge.topology import Topology
from events.contract import InvalidEvent
from serving import problems, tracing
from serving.logs import fields
from serving.problems import Kind
from serving.tracing import Identity

LIMIT = 64 * 1024  # bytes: an event holds ids, sizes and reasons
RETRY_AFTER = "2"  # seconds
WHY_LIMIT = 200  # characters: what is wrong with an event may name parts of it

log = logging.getLogger(__name__)


class Ingress:
    """The bridge's HTTP side, a WSGI application: POST events to /, ask for health, readiness and metrics below /_/."""

    def __init__(self, topology: Topology, publisher: Publisher, subscriber: Subscriber) -> None:
        self._topology = topology
        self._publisher = publisher
        self._subscriber = subscriber

    def __call__(self, environ: Any, start_response: Any) -> Any:
        identity = tracing.identity(environ)
        answer = self._answer(Request(environ), identity)
        answer.headers[tracing.REQUEST_ID] = identity.request_id
        return answer(environ, start_response)

    def _answer(self, request: Request, identity: Identity) -> Response:
        match request.method, request.path:
            case "POST", "/":
                return self._take(request, identity)
            case "GET" | "HEAD", "/_/health":
                return Response("OK\n")
            case "GET" | "HEAD", "/_/ready":
                ready = self._publisher.ready.is_set() and self._subscriber.ready.is_set()
                return Response("OK\n") if ready else _problem(problems.UNAVAILABLE, "not connected to the broker yet")
            case "GET" | "HEAD", "/_/metrics":
                return self._measure()
            case _, "/":
                return _not_allowed("POST", identity)
            case _, "/_/health" | "/_/ready" | "/_/metrics":
                return _not_allowed("GET, HEAD", identity)
        _note_refusal(problems.NOT_FOUND, identity)
        return _problem(problems.NOT_FOUND, "POST events to /")

    def _take(self, request: Request, identity: Identity) -> Response:
        try:
            event = envelope.from_http(dict(request.headers), _body(request))
            self._publisher.publish(self._topology.exchange, event.type, messages.carrying(event))
        except RequestEntityTooLarge:
            metrics.rejected.labels("too-large").inc()
            _note_refusal(problems.TOO_LARGE, identity)
            return _problem(problems.TOO_LARGE, f"an event has at most {LIMIT} bytes")
        except InvalidEvent as error:
            metrics.rejected.labels("invalid").inc()
            _note_refusal(problems.INVALID_EVENT, identity, str(error))
            return _problem(problems.INVALID_EVENT, str(error))
        except BrokerError as error:
            metrics.rejected.labels("broker").inc()
            log.warning("event not taken", extra=fields(**messages.log_fields(event), reason=str(error)))
            return _problem(problems.UNAVAILABLE, "the broker did not take the event: send it again")
        metrics.published.labels(event.type).inc()
        log.info("event taken", extra=fields(**messages.log_fields(event)))
        return Response(status=202)

    def _measure(self) -> Response:
        for queue in (*self._topology.work, self._topology.dead, self._topology.parked):
            try:
                metrics.depth.labels(queue).set(self._subscriber.depth(queue))
            except BrokerError:
                metrics.depth.clear()  # Better no number than an old one.
                break
        return Response(generate_latest(), content_type=CONTENT_TYPE_LATEST)


def _body(request: Request) -> bytes:
    """At most LIMIT bytes, also where the request does not say how many come. Raises RequestEntityTooLarge."""
    body = request.stream.read(LIMIT + 1)
    if len(body) > LIMIT:
        raise RequestEntityTooLarge
    return body


def _not_allowed(methods: str, identity: Identity) -> Response:
    _note_refusal(problems.METHOD_NOT_ALLOWED, identity)
    return _problem(problems.METHOD_NOT_ALLOWED, "POST events to /; the rest is for GET", Allow=methods)


def _note_refusal(kind: Kind, identity: Identity, why: str | None = None) -> None:
    """Of a stranger's request the log holds no more than the start of what is wrong with the event."""
    known = {"status": kind.status, "reason": kind.slug, "why": why and why[:WHY_LIMIT]}
    log.warning("request refused", extra=fields(**known, request=identity.request_id, trace=identity.trace_id))


def _problem(kind: Kind, detail: str, **headers: str) -> Response:
    if kind is problems.UNAVAILABLE:
        headers["Retry-After"] = RETRY_AFTER
    answer = problems.answer(kind, detail, headers)
    return Response(answer.body, answer.status, answer.headers)
