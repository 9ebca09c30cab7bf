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
from serving import problems
from serving.logs import fields

LIMIT = 64 * 1024  # bytes: an event holds ids, sizes and reasons
RETRY_AFTER = "2"  # seconds

log = logging.getLogger(__name__)


class Ingress:
    """The bridge's HTTP side, a WSGI application: POST events to /, ask for health, readiness and metrics below /_/."""

    def __init__(self, topology: Topology, publisher: Publisher, subscriber: Subscriber) -> None:
        self._topology = topology
        self._publisher = publisher
        self._subscriber = subscriber

    def __call__(self, environ: Any, start_response: Any) -> Any:
        return self._answer(Request(environ))(environ, start_response)

    def _answer(self, request: Request) -> Response:
        match request.method, request.path:
            case "POST", "/":
                return self._take(request)
            case "GET" | "HEAD", "/_/health":
                return Response("OK\n")
            case "GET" | "HEAD", "/_/ready":
                ready = self._publisher.ready.is_set() and self._subscriber.ready.is_set()
                return Response("OK\n") if ready else _unavailable("not connected to the broker yet")
            case "GET" | "HEAD", "/_/metrics":
                return self._measure()
            case _, "/":
                return _not_allowed("POST")
            case _, "/_/health" | "/_/ready" | "/_/metrics":
                return _not_allowed("GET, HEAD")
        return _problem(404, "not-found", "POST events to /")

    def _take(self, request: Request) -> Response:
        try:
            event = envelope.from_http(dict(request.headers), _body(request))
            self._publisher.publish(self._topology.exchange, event.type, messages.carrying(event))
        except RequestEntityTooLarge:
            metrics.rejected.labels("too-large").inc()
            return _problem(413, "too-large", f"an event has at most {LIMIT} bytes")
        except InvalidEvent as error:
            metrics.rejected.labels("invalid").inc()
            log.warning("event refused", extra=fields(reason=str(error)))
            return _problem(400, "invalid-event", str(error))
        except BrokerError as error:
            metrics.rejected.labels("broker").inc()
            log.warning("event not taken", extra=fields(**messages.log_fields(event), reason=str(error)))
            return _unavailable("the broker did not take the event: send it again")
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


def _unavailable(detail: str) -> Response:
    answer = _problem(503, "unavailable", detail)
    answer.headers["Retry-After"] = RETRY_AFTER
    return answer


def _not_allowed(methods: str) -> Response:
    answer = _problem(405, "method-not-allowed", "POST events to /; the rest is for GET")
    answer.headers["Allow"] = methods
    return answer


def _problem(status: int, slug: str, detail: str) -> Response:
    return Response(problems.document(status, slug, None, detail), status, content_type=problems.MIMETYPE)
