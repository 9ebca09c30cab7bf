"""RabbitMQ: links that stay up, publishing that is confirmed, deliveries that are acked. The only user of pika.

BrokerError
├── BrokerAway       no connection, or none any more: whether the message arrived is not known
└── Refused          the broker answered no; nothing was stored
    └── Unroutable   … because no queue is bound for it
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Event, Thread
from typing import Any, TypeVar

import pika
from pika.exceptions import AMQPError, ChannelClosedByBroker, ConnectionClosedByBroker, NackError, UnroutableError

from events.bridge.topology import DIRECT, Topology
from serving.logs import fields

T = TypeVar("T")
Channel = Any  # pika is untyped

HEARTBEAT = 10  # seconds: pika looks every 5 seconds more, and so notices a silent broker within twice that
BLOCKED = 10  # seconds the broker may hold publishing up (its memory or disk is short) before we hang up and say so
CONFIRM = 10  # seconds until a message that is not confirmed counts as lost
TICK = 1  # seconds between two looks at whether every channel still stands
FIRST_PAUSE, LAST_PAUSE = 0.2, 1.0  # seconds between attempts to connect

log = logging.getLogger(__name__)


class BrokerError(Exception):
    """The broker did not do what it was asked; the message says what to do."""


class BrokerAway(BrokerError):
    """Try again: links heal by themselves."""


class Refused(BrokerError):
    """A queue is full or unavailable."""


class Unroutable(Refused):
    """The bindings are declared anew before the next message."""


@dataclass(frozen=True)
class Message:
    """What travels, apart from the way it takes."""

    body: bytes
    content_type: str | None
    id: str | None
    headers: Mapping[str, Any] = field(default_factory=dict)
    died_in: tuple[str, ...] = ()  # queues that dead-lettered it, the latest first

    @classmethod
    def received(cls, properties: pika.BasicProperties, body: bytes) -> "Message":
        # The broker's own notes (x-…) stay behind: a copied x-death can look like a cycle, and those it drops.
        headers = properties.headers or {}
        ours = {name: value for name, value in headers.items() if not name.startswith("x-")}
        died_in = tuple(death["queue"] for death in headers.get("x-death", ()))
        return cls(body, properties.content_type, properties.message_id, ours, died_in)

    @property
    def properties(self) -> pika.BasicProperties:
        return pika.BasicProperties(
            content_type=self.content_type,
            message_id=self.id,
            headers=dict(self.headers),
            delivery_mode=pika.DeliveryMode.Persistent,
        )


class Link:
    """One connection with a channel per lane, kept by a thread that does nothing else; what breaks is opened again.

    Only that thread touches pika: a blocking connection is not for sharing. Others hand it their calls.
    """

    def __init__(self, url: str, topology: Topology, name: str) -> None:
        self._parameters = _parameters(url)
        self._topology = topology
        self._lanes: Sequence[_Lane] = ()
        self._connection: Any = None
        self._calls: set[Future[Any]] = set()
        self._closing = Event()
        self._name = name
        self.ready = Event()

    def start(self) -> None:
        # Made only now: Python 3.13.0 starts no thread that was made before a fork, and gunicorn forks.
        self._thread = Thread(target=self._keep, name=self._name, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Sends what was handed over, acks above all, and hangs up: deliveries still at hand go back."""
        with suppress(BrokerError):
            self.call(self._closing.set)
        self._closing.set()
        self._thread.join(timeout=CONFIRM)

    def call(self, work: Callable[[], T], timeout: float = CONFIRM) -> T:
        """Runs it in the connection's thread and waits for the outcome. Raises BrokerError."""
        call = self.cast(work)
        try:
            return call.result(timeout)
        except (CancelledError, TimeoutError) as error:
            call.cancel()
            raise BrokerAway("the connection to the broker was lost, or the broker is silent: try again") from error

    def cast(self, work: Callable[[], T]) -> Future[T]:
        """The same without waiting. Raises BrokerAway."""
        call: Future[T] = Future()

        def run() -> None:
            if call.set_running_or_notify_cancel():
                try:
                    call.set_result(work())
                except Exception as error:  # it belongs to the caller
                    call.set_exception(_ours(error))

        self._calls.add(call)
        call.add_done_callback(self._calls.discard)
        try:
            self._connection.add_callback_threadsafe(run)
        except (AMQPError, AttributeError, OSError) as error:  # closed, none yet, closing just now
            call.cancel()
            raise BrokerAway("no connection to the broker: see that it runs and that AMQP_URL is right") from error
        return call

    def depth(self, queue: str) -> int:
        """Messages that lie ready in the queue. Raises BrokerError."""

        def ask() -> int:
            with self._connection.channel() as channel:
                return int(channel.queue_declare(queue, passive=True).method.message_count)

        return self.call(ask)

    def _keep(self) -> None:
        pause = FIRST_PAUSE
        while not self._closing.is_set():
            try:
                self._hold()
            except Exception as error:  # pika meets broken wires with AssertionError and IndexError too
                pause = FIRST_PAUSE if self.ready.is_set() else min(pause * 2, LAST_PAUSE)
                log.warning("broker away", extra=fields(link=self._name, reason=str(_ours(error)), pause=pause))
            finally:
                self.ready.clear()
                self._let_go()
            self._closing.wait(pause)

    def _hold(self) -> None:
        self._connection = pika.BlockingConnection(self._parameters)
        while not self._closing.is_set():
            for lane in self._lanes:
                lane.keep(self._connection, self._topology)
            self.ready.set()
            self._connection.process_data_events(time_limit=TICK)

    def _let_go(self) -> None:
        connection, self._connection = self._connection, None
        with suppress(Exception):  # Gone is what was wanted.
            connection.close()
        for call in tuple(self._calls):
            call.cancel()


class Publisher(Link):
    """Publishes with confirms, apart from the link that consumes: the broker may hold publishing up, never an ack."""

    def __init__(self, url: str, topology: Topology, name: str = "publisher") -> None:
        super().__init__(url, topology, name)
        self._lane = _Lane(lambda channel: channel.confirm_delivery())
        self._lanes = (self._lane,)

    def publish(self, exchange: str, key: str, message: Message) -> None:
        """Returns once the broker has the message on disk. Raises BrokerError."""
        self.call(lambda: self._publish(exchange, key, message))

    def _publish(self, exchange: str, key: str, message: Message) -> None:
        channel = self._lane.channel
        try:
            # Without mandatory the broker confirms a message for which there is no queue, and drops it.
            channel.basic_publish(exchange, key, message.body, message.properties, mandatory=True)
        except UnroutableError:
            # The lane is set up again, with every queue and binding, but not at once (see _Lane).
            self._connection.call_later(TICK, lambda: channel.is_open and channel.close())
            raise


@dataclass(frozen=True)
class Delivery:
    """A message that is ours until we ack it."""

    message: Message
    _link: Link
    _channel: Channel
    _tag: int

    @property
    def held(self) -> bool:
        """False: the channel is gone, and with it the message went back to its queue."""
        return bool(self._channel.is_open)

    def ack(self) -> None:
        """Done with it. The ack goes to the channel that delivered or nowhere: a newer one would be closed by it."""
        self._settle(lambda: self._channel.basic_ack(self._tag))

    def requeue(self) -> None:
        """Back to the queue; its delivery limit counts that."""
        self._settle(lambda: self._channel.basic_nack(self._tag, requeue=True))

    def _settle(self, settle: Callable[[], None]) -> None:
        with suppress(BrokerAway):  # Then the broker has taken the message back already.
            self._link.cast(lambda: settle() if self.held else None)


class Subscriber(Link):
    """Consumes queues, each on a channel of its own, so that what closes one leaves the others alone."""

    def __init__(self, url: str, topology: Topology, name: str = "subscriber") -> None:
        super().__init__(url, topology, name)
        self._lanes: list[_Lane] = []

    def subscribe(self, queue: str, prefetch: int, handle: Callable[[Delivery], None]) -> None:
        """Call before start(). The handler runs in the connection's thread: it hands the delivery on and returns."""

        def consume(channel: Channel) -> None:
            def deliver(channel: Channel, method: Any, properties: Any, body: bytes) -> None:
                handle(Delivery(Message.received(properties, body), self, channel, method.delivery_tag))

            channel.basic_qos(prefetch_count=prefetch)
            channel.basic_consume(queue, deliver)

        self._lanes.append(_Lane(consume, consuming=True))

    def pause(self) -> None:
        """No more deliveries; those at hand can still be acked. Raises BrokerError, and then too there are no more."""
        lanes, self._lanes = self._lanes, []
        open_ = [lane.channel for lane in lanes if lane.channel and lane.channel.is_open]
        self.call(lambda: [channel.basic_cancel(tag) for channel in open_ for tag in channel.consumer_tags])


@dataclass
class _Lane:
    """One channel of a link, opened again when the broker closed it or took its consumer away.

    It takes a consumer when the queue is deleted and (RabbitMQ 4.3) when a delivery was not acked in time. A queue that
    is declared again too soon after it was deleted keeps its old consumers, which get nothing any more (RabbitMQ 3.10).
    """

    setup: Callable[[Channel], Any]
    consuming: bool = False
    channel: Channel = None

    def keep(self, connection: Any, topology: Topology) -> None:
        channel = self.channel
        if channel and channel.connection is connection and channel.is_open:
            if channel.consumer_tags or not self.consuming:
                return
            channel.close()
            connection.sleep(TICK)
        self.channel = connection.channel()
        declare(self.channel, topology)
        self.setup(self.channel)


def declare(channel: Channel, topology: Topology) -> None:
    """Makes what is missing; what stands already must be the same."""
    channel.exchange_declare(topology.exchange, "topic", durable=True)
    for queue in topology.queues():
        channel.queue_declare(queue.name, durable=True, arguments=dict(queue.arguments))
        if queue.fanout:
            channel.exchange_declare(queue.fanout, "fanout", durable=True)
            channel.queue_bind(queue.name, queue.fanout)
        for key in queue.keys:
            channel.queue_bind(queue.name, topology.exchange, key)


def move(url: str, topology: Topology, source: str, target: Callable[[Message], tuple[str, Message]]) -> int:
    """Moves what lies in the queue now to other queues; each message is confirmed there before it is acked here.

    Returns how many there were. Raises BrokerError; what was not moved by then stays.
    """
    try:
        with pika.BlockingConnection(_parameters(url)) as connection:
            channel = connection.channel()
            declare(channel, topology)
            channel.confirm_delivery()
            count = int(channel.queue_declare(source, passive=True).method.message_count)
            for _ in range(count):
                method, properties, body = channel.basic_get(source)
                queue, message = target(Message.received(properties, body))
                channel.basic_publish(DIRECT, queue, message.body, message.properties, mandatory=True)
                channel.basic_ack(method.delivery_tag)
            return count
    except (AMQPError, OSError) as error:
        raise _ours(error) from error


def _parameters(url: str) -> pika.URLParameters:
    """What the URL does not say is set here: pika's own defaults wait for ever."""
    parameters = pika.URLParameters(url)
    parameters.heartbeat = HEARTBEAT if parameters.heartbeat is None else parameters.heartbeat
    parameters.blocked_connection_timeout = parameters.blocked_connection_timeout or BLOCKED
    return parameters


def _ours(error: Exception) -> Exception:
    """Every error of pika becomes one of ours on the spot."""
    match error:
        case UnroutableError():
            return Unroutable("no queue is bound for this message: its bindings are declared anew, try again")
        case NackError():
            return Refused("the broker refused the message: look for full or unavailable queues")
        case ChannelClosedByBroker() if error.reply_code == 406:
            return BrokerAway(f"the broker has something else by that name, delete or rename it: {error.reply_text}")
        case ConnectionClosedByBroker() if error.reply_code == 541:
            return BrokerAway("the broker broke over our call (541): see its log, and look for queues without a leader")
        case AMQPError() | OSError():
            return BrokerAway(f"the connection to the broker failed ({type(error).__name__}): see that it runs")
    return error
