"""The dispatcher: takes events from queues, asks functions over HTTP, does what the answer means (as Knative's does).

2xx                                     ack
2xx with an event                       the event is published, then ack
404, 408, 409, 429, 5xx, no answer      again after a delay that the broker keeps; beyond the limit, dead letter
anything else, a reply none of ours     dead letter

Whatever replaces a delivery (reply, retry, dead letter) is confirmed by the broker before the delivery is acked:
a crash in between doubles an event, and a doubled event finds nothing to do.
"""

import logging
from base64 import b64encode
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import replace
from functools import partial
from threading import Event as Flag
from types import MappingProxyType
from typing import Any

import urllib3
from urllib3.exceptions import HTTPError, InvalidHeader

from events import envelope
from events.bridge import metrics
from events.bridge.broker import BrokerAway, BrokerError, Delivery, Message, Publisher, Refused, Subscriber
from events.bridge.settings import Route, Settings
from events.bridge.topology import DIRECT
from events.contract import Event, InvalidEvent
from serving.logs import fields

NO_ANSWER = 0  # in place of a status
RETRIABLE = {404, 408, 409, 429}
CONNECT = 5  # seconds
REPLY_LIMIT = 64 * 1024  # bytes
PAUSE = 1  # seconds between two tries to reach the broker
# Our notes on a message. Knative's names for why an event was given up; a function sees them as ce- headers.
ATTEMPT, ORIGIN = "attempt", "queue"
WHY = ("knativeerrordest", "knativeerrorcode", "knativeerrordata")

log = logging.getLogger(__name__)


class Failed(Exception):
    """The function did not do it."""

    def __init__(self, code: int, data: bytes, *, again: bool, retry_after: float | None = None) -> None:
        super().__init__(code)
        self.code = code  # HTTP status or NO_ANSWER
        self.data = data
        self.again = again
        self.retry_after = retry_after  # seconds


class Dispatcher:
    """Feeds every route from its queue, as many at once as its parallelism says."""

    def __init__(self, settings: Settings, publisher: Publisher, subscriber: Subscriber) -> None:
        self._topology = settings.topology
        self._retries = settings.retries
        self._publisher = publisher
        self._subscriber = subscriber
        self._running: set[Future[None]] = set()
        self._abandoned = Flag()
        self._http = urllib3.PoolManager(retries=False, maxsize=sum(route.parallelism for route in settings.routes))
        self._pools = {route: ThreadPoolExecutor(route.parallelism, route.function) for route in settings.routes}
        for route in settings.routes:
            # Prefetch equals parallelism: what waits here would age without anyone working on it.
            subscriber.subscribe(route.queue, route.parallelism, partial(self._hand_over, route))

    def drain(self, grace: float) -> None:
        """Takes no more, waits so long for what runs, and leaves the rest to the next bridge."""
        with suppress(BrokerError):  # Then nothing is delivered either.
            self._subscriber.pause()
        for pool in self._pools.values():
            pool.shutdown(wait=False, cancel_futures=True)
        wait(tuple(self._running), timeout=grace)
        self._abandoned.set()

    def _hand_over(self, route: Route, delivery: Delivery) -> None:
        job = self._pools[route].submit(self._deliver, route, delivery)
        self._running.add(job)
        job.add_done_callback(self._running.discard)

    def _deliver(self, route: Route, delivery: Delivery) -> None:
        try:
            self._handle(route, delivery)
        except BrokerError as error:
            # The delivery was lost or the bridge stops: the broker delivers it again.
            log.warning("delivery left to the broker", extra=fields(function=route.function, reason=str(error)))
        except Exception:
            log.exception("bug in the bridge", extra=fields(function=route.function, event=delivery.message.id))
            delivery.requeue()  # up to the queue's delivery limit, which ends in the dead letters

    def _handle(self, route: Route, delivery: Delivery) -> None:
        message = delivery.message
        try:
            event = envelope.from_message(message.content_type, message.headers, message.body)
        except InvalidEvent as error:
            self._pass_on(delivery, DIRECT, self._topology.parked, self._copy(route, message))
            return self._settle(route, delivery, "parked", event=message.id, reason=str(error))
        known = told(event) | {"attempt": _attempt(message)}
        try:
            reply = self._ask(route, event, message)
            if reply:
                self._publish(reply)
        except Failed as failure:
            outcome = self._give_back(route, delivery, failure)
            return self._settle(route, delivery, outcome, **known, code=failure.code)
        return self._settle(route, delivery, "replied" if reply else "done", **known, reply=reply and reply.type)

    def _ask(self, route: Route, event: Event, message: Message) -> Event | None:
        """The event it replies with, if any. Raises Failed."""
        headers, body = envelope.to_http(event)
        headers |= {f"ce-{name}": why for name in WHY if envelope.is_plain(why := message.headers.get(name))}
        try:
            with metrics.seconds.labels(route.function).time():
                answer, content = self._post(route, headers, body)
        except HTTPError as error:
            raise Failed(NO_ANSWER, type(error).__name__.encode(), again=True) from error
        if not 200 <= answer.status < 300:
            again = answer.status in RETRIABLE or answer.status >= 500
            raise Failed(answer.status, content, again=again, retry_after=_retry_after(answer))
        if not _carries_event(answer.headers):
            return None
        try:
            return envelope.from_http(answer.headers, content)
        except InvalidEvent as error:
            # The function has done its work and would say the same again.
            metrics.invalid_replies.labels(route.function).inc()
            raise Failed(answer.status, f"invalid reply: {error}".encode(), again=False) from error

    def _post(self, route: Route, headers: dict[str, str], body: bytes) -> tuple[urllib3.BaseHTTPResponse, bytes]:
        # A kept connection may be closed just as it is used again; that would look like no answer and cost a retry.
        headers = headers | {"Prefer": "reply", "Connection": "close"}
        limit = urllib3.Timeout(connect=CONNECT, read=route.timeout)
        once: dict[str, Any] = {"redirect": False, "preload_content": False, "timeout": limit}
        with self._http.request("POST", route.url, body=body, headers=headers, **once) as answer:
            return answer, answer.read(REPLY_LIMIT + 1)

    def _publish(self, reply: Event) -> None:
        """Owed even when the delivery is no longer ours: whoever gets it next may find nothing left to reply to."""
        try:
            self._insist(BrokerAway, lambda: True, self._topology.exchange, reply.type, structured(reply))
        except Refused as error:
            raise Failed(NO_ANSWER, str(error).encode(), again=True) from error
        metrics.published.labels(reply.type).inc()

    def _give_back(self, route: Route, delivery: Delivery, failure: Failed) -> str:
        """Sends a copy to where it is tried again or given up on, and says which. Raises BrokerAway."""
        message = delivery.message
        attempt = _attempt(message)
        if failure.again and attempt <= self._retries:
            later = self._topology.wait(attempt, failure.retry_after)
            self._pass_on(delivery, later, route.queue, self._copy(route, message, {ATTEMPT: attempt + 1}))
            return "retry"
        why = dict(zip(WHY, (route.url, str(failure.code), _extension(failure.data)), strict=True))
        # What is noted already was noted when the event was first given up on.
        note = {**why, **message.headers, ATTEMPT: 1}
        self._pass_on(delivery, DIRECT, route.beyond, self._copy(route, message, note))
        return "parked" if route.last else "dead"

    def _copy(self, route: Route, message: Message, note: Mapping[str, Any] = MappingProxyType({})) -> Message:
        """The same event with our notes on it; the work queue it belongs to is always noted."""
        origin = next((queue for queue in message.died_in if queue in self._topology.work), route.queue)
        return replace(message, headers={ORIGIN: origin, **message.headers, **note})

    def _pass_on(self, delivery: Delivery, exchange: str, key: str, copy: Message) -> None:
        """Raises BrokerAway when the delivery is no longer ours: its next holder passes it on then."""
        self._insist(BrokerError, lambda: delivery.held, exchange, key, copy)

    def _insist(
        self, trouble: type[BrokerError], worth_it: Callable[[], bool], exchange: str, key: str, message: Message
    ) -> None:
        """Publishes, as often as that trouble comes up and it is worth it. Raises BrokerError."""
        while worth_it() and not self._abandoned.is_set():
            try:
                return self._publisher.publish(exchange, key, message)
            except trouble:
                self._abandoned.wait(PAUSE)
        raise BrokerAway("the delivery was lost, or the bridge stops")

    def _settle(self, route: Route, delivery: Delivery, outcome: str, **known: Any) -> None:
        delivery.ack()
        metrics.deliveries.labels(route.function, outcome).inc()
        level = logging.INFO if outcome in ("done", "replied") else logging.WARNING
        log.log(level, "delivery", extra=fields(function=route.function, outcome=outcome, **known))


def structured(event: Event) -> Message:
    """As it travels on the exchange."""
    return Message(envelope.to_message(event), envelope.STRUCTURED, event.id)


def released(message: Message) -> tuple[str, Message]:
    """The work queue a parked event was given up on, and the event without our notes: it starts anew."""
    kept = {name: value for name, value in message.headers.items() if name not in (ATTEMPT, ORIGIN, *WHY)}
    return message.headers.get(ORIGIN) or message.died_in[-1], replace(message, headers=kept)


def told(event: Event) -> dict[str, Any]:
    """What the log says of an event."""
    trace = event.traceparent.split("-")[1:2] if event.traceparent else ()
    return {"event": event.id, "type": event.type, "job": event.subject, "trace": next(iter(trace), None)}


def _attempt(message: Message) -> int:
    """The number of this try; 1 also where others have left something under that name."""
    noted = message.headers.get(ATTEMPT)
    return noted if isinstance(noted, int) and noted > 0 else 1


def _retry_after(answer: urllib3.BaseHTTPResponse) -> float | None:
    try:
        return urllib3.Retry().get_retry_after(answer)
    except InvalidHeader:
        return None


def _carries_event(headers: Mapping[str, str]) -> bool:
    structured = headers.get("content-type", "").startswith("application/cloudevents")
    return structured or any(name.lower().startswith("ce-") for name in headers)


def _extension(data: bytes) -> str:
    """Bounded, and safe in a header."""
    return b64encode(data[:1024]).decode()
