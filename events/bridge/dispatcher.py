"""The dispatcher: takes events from the work queues, posts them to functions, and does what their answers mean.

Whatever takes the place of a delivery (a reply, a retry, a dead letter) is confirmed by the broker before the delivery
is acked. A crash in between doubles an event, and a doubled event finds nothing to do.
"""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from enum import StrEnum
from functools import partial
from typing import Any

from events.bridge import messages, metrics
from events.bridge.broker.errors import BrokerAway, BrokerError, Refused
from events.bridge.broker.message import Message
from events.bridge.broker.publisher import Publisher
from events.bridge.broker.subscriber import Delivery, Subscriber
from events.bridge.function_client import NO_ANSWER, Failed, FunctionClient
from events.bridge.settings import Route, Settings
from events.bridge.topology import DIRECT
from events.contract import Event, InvalidEvent
from serving.logs import fields

PAUSE = 1  # seconds until a message that the broker did not take is published again

log = logging.getLogger(__name__)


class Outcome(StrEnum):
    """How a delivery ended, as logs and metrics say it."""

    DONE = "done"  # the function has handled the event, and nothing follows
    REPLIED = "replied"  # the function has handled the event, and the event that it replied with is published
    RETRY = "retry"  # the event lies in a delay queue until its next attempt
    DEAD_LETTER = "dead-letter"  # the function was given up on; the dead-letter function gets the event
    PARKED = "parked"  # nobody can handle the event; it waits for an operator's replay


class Dispatcher:
    """Feeds each function from its queue, with as many requests at once as its route's parallelism says."""

    def __init__(self, settings: Settings, publisher: Publisher, subscriber: Subscriber) -> None:
        self._topology = settings.topology
        self._retries = settings.retries
        self._publisher = publisher
        self._subscriber = subscriber
        self._functions = FunctionClient(connections=sum(route.parallelism for route in settings.routes))
        self._threads = {route: ThreadPoolExecutor(route.parallelism, route.function) for route in settings.routes}
        self._running: set[Future[None]] = set()
        self._stopped = threading.Event()
        for route in settings.routes:
            # Prefetch equals parallelism: a delivery beyond that would wait here unacked while another bridge is idle.
            subscriber.subscribe(route.queue, route.parallelism, partial(self._accept, route))

    def drain(self, grace: float) -> None:
        """Takes no more deliveries and waits up to `grace` seconds for those that run.

        What is not finished by then is not acked, so the broker gives it to the next bridge.
        """
        with suppress(BrokerError):  # Without a connection nothing is delivered either.
            self._subscriber.pause()
        for threads in self._threads.values():
            threads.shutdown(wait=False, cancel_futures=True)
        wait(tuple(self._running), timeout=grace)
        self._stopped.set()

    def _accept(self, route: Route, delivery: Delivery) -> None:
        """Runs in the connection's thread, so it leaves the work to a thread of the route."""
        running = self._threads[route].submit(self._process, route, delivery)
        self._running.add(running)
        running.add_done_callback(self._running.discard)

    def _process(self, route: Route, delivery: Delivery) -> None:
        try:
            self._dispatch(route, delivery)
        except BrokerError as error:
            # The connection was lost or the bridge stops. The delivery is not acked, so it is delivered again.
            log.warning("delivery left to the broker", extra=fields(function=route.function, reason=str(error)))
        except Exception:
            log.exception("bug in the bridge", extra=fields(function=route.function, event=delivery.message.id))
            delivery.requeue()  # Beyond the queue's delivery limit the broker makes it a dead letter.

    def _dispatch(self, route: Route, delivery: Delivery) -> None:
        """Posts the event to the function, does what the answer means, and only then acks the delivery."""
        message = delivery.message
        try:
            event = messages.event_in(message)
        except InvalidEvent as error:
            self._replace(route, delivery, DIRECT, self._topology.parked, message)
            return self._finish(route, delivery, Outcome.PARKED, event=message.id, reason=str(error))
        known = messages.log_fields(event) | {"attempt": messages.attempt_of(message)}
        try:
            reply = self._functions.post(route, event, messages.failure_in(message))
            if reply:
                self._publish_reply(reply)
        except Failed as failure:
            outcome = self._retry_or_give_up(route, delivery, failure)
            return self._finish(route, delivery, outcome, **known, code=failure.status)
        if reply:
            return self._finish(route, delivery, Outcome.REPLIED, **known, reply=reply.type)
        return self._finish(route, delivery, Outcome.DONE, **known)

    def _publish_reply(self, reply: Event) -> None:
        """Raises Failed when the broker refuses the reply, and BrokerAway when the bridge stops before it is confirmed.

        Keeps trying though the delivery may be lost meanwhile: whoever gets the event next may find its work done and
        reply nothing.
        """
        try:
            message = messages.carrying(reply)
            self._publish_until_confirmed(self._topology.exchange, reply.type, message, retry_on=BrokerAway)
        except Refused as error:
            raise Failed(NO_ANSWER, str(error).encode()) from error
        metrics.published.labels(reply.type).inc()

    def _retry_or_give_up(self, route: Route, delivery: Delivery, failure: Failed) -> Outcome:
        """Puts the event into a delay queue, or into the queue for those that were given up. Raises BrokerAway."""
        message = delivery.message
        attempt = messages.attempt_of(message)
        if failure.retriable and attempt <= self._retries:
            exchange = self._topology.delay_exchange(attempt, failure.retry_after)
            self._replace(route, delivery, exchange, route.queue, messages.for_retry(message))
            return Outcome.RETRY
        dead_letter = messages.for_dead_letter(message, route.url, failure.status, failure.answer)
        self._replace(route, delivery, DIRECT, route.dead_letter_queue, dead_letter)
        return Outcome.PARKED if route.last else Outcome.DEAD_LETTER

    def _replace(self, route: Route, delivery: Delivery, exchange: str, key: str, message: Message) -> None:
        """Publishes what takes the place of the delivery, with a note of the work queue it belongs to.

        Raises BrokerAway when the delivery can no longer be acked: it is delivered again, and replaced then.
        """
        noted = messages.with_origin(message, route.queue, self._topology.work)
        self._publish_until_confirmed(
            exchange, key, noted, retry_on=BrokerError, still_wanted=lambda: delivery.can_be_acked
        )

    def _publish_until_confirmed(
        self,
        exchange: str,
        key: str,
        message: Message,
        *,
        retry_on: type[BrokerError],
        still_wanted: Callable[[], bool] = lambda: True,
    ) -> None:
        """Publishes the message, and again after each error `retry_on`, until the broker confirms it.

        Raises any other BrokerError at once, and BrokerAway when the message is no longer wanted or the bridge stops.
        """
        while still_wanted() and not self._stopped.is_set():
            try:
                return self._publisher.publish(exchange, key, message)
            except retry_on:
                self._stopped.wait(PAUSE)
        raise BrokerAway("the delivery was lost, or the bridge stops")

    def _finish(self, route: Route, delivery: Delivery, outcome: Outcome, **known: Any) -> None:
        """Acks the delivery, and counts and logs how it ended."""
        delivery.ack()
        metrics.deliveries.labels(route.function, outcome).inc()
        level = logging.INFO if outcome in {Outcome.DONE, Outcome.REPLIED} else logging.WARNING
        log.log(level, "delivery", extra=fields(function=route.function, outcome=outcome, **known))
