"""Connections to RabbitMQ that reopen by themselves, and what they declare on it."""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from dataclasses import dataclass
from threading import Event, Thread
from typing import Any, TypeVar

import pika
from pika.exceptions import AMQPError, ChannelClosedByBroker

from events.bridge.broker.errors import BrokerAway, BrokerError, translated
from events.bridge.topology import Topology
from serving.logs import fields

T = TypeVar("T")
PikaChannel = Any  # pika is untyped
NoteLoss = Callable[[], None]  # called, in the connection's thread, when the broker has lost work queues

# Seconds. The broker's URL may say otherwise, by its parameters `heartbeat` and `blocked_connection_timeout`.
HEARTBEAT = 10  # every HEARTBEAT + 5 pika hangs up if nothing has arrived since its last look
PATIENCE = 10  # for any answer of the broker; so long it may also hold publishing up when its memory or disk is short

POLL_INTERVAL = 1  # seconds between two checks that every channel is open
NOT_FOUND = 404  # AMQP 0-9-1, 1.2
FIRST_PAUSE, LAST_PAUSE = 0.2, 1.0  # seconds between a lost connection and the next one; doubled while none opens

log = logging.getLogger(__name__)


class RecoveringConnection:
    """One connection and its channels, owned by a thread of its own, which opens again whatever breaks.

    Only that thread touches pika, because a blocking connection of pika's must not be shared by threads. Other threads
    hand their work to it with `call` and `submit`.
    """

    def __init__(self, url: str, topology: Topology, name: str, note_loss: NoteLoss) -> None:
        self._parameters = parameters(url)
        self._topology = topology
        self._note_loss = note_loss
        self._channels: Sequence[RecoveringChannel] = ()
        self._connection: Any = None
        self._unfinished: set[Future[Any]] = set()
        self._closing = Event()
        self._name = name
        self.ready = Event()  # set while connected, with every channel open

    def start(self) -> None:
        """Starts the thread. It connects, and if it cannot, it keeps trying."""
        # Not made in __init__: Python 3.13.0 cannot start a thread that was made before a fork, and gunicorn forks.
        self._thread = Thread(target=self._run, name=self._name, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Disconnects once all work submitted before is done, such as acks. What is not acked returns to its queue."""
        with suppress(BrokerError):
            self.call(self._closing.set)
        self._closing.set()
        self._thread.join(timeout=PATIENCE)

    def call(self, work: Callable[[], T]) -> T:
        """Runs `work` in the connection's thread and returns its result.

        Raises BrokerAway when that takes longer than the broker has to answer, or what `work` raises: BrokerError.
        """
        future = self.submit(work)
        try:
            return future.result(self._parameters.blocked_connection_timeout)
        except (CancelledError, TimeoutError) as error:
            future.cancel()
            raise BrokerAway("the connection to the broker was lost, or the broker is silent: try again") from error

    def submit(self, work: Callable[[], T]) -> Future[T]:
        """Has `work` run in the connection's thread without waiting for it. Raises BrokerAway when not connected."""
        future: Future[T] = Future()

        def run() -> None:
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(work())
                except Exception as error:  # whoever waits for the future gets it
                    future.set_exception(translated(error))

        self._unfinished.add(future)
        future.add_done_callback(self._unfinished.discard)
        try:
            self._connection.add_callback_threadsafe(run)
        except (AMQPError, AttributeError, OSError) as error:  # closed; never opened (None); being closed right now
            future.cancel()
            raise BrokerAway("no connection to the broker: see that it runs and that AMQP_URL is right") from error
        return future

    def depth(self, queue: str) -> int:
        """How many messages of the queue are ready: those that were delivered and not acked are not counted.

        Raises BrokerError.
        """

        def ask() -> int:
            with self._connection.channel() as channel:
                return int(channel.queue_declare(queue, passive=True).method.message_count)

        return self.call(ask)

    def _run(self) -> None:
        pause = FIRST_PAUSE
        while not self._closing.is_set():
            try:
                self._connect_and_serve()
            except Exception as error:  # on a broken socket pika also raises AssertionError and IndexError
                pause = FIRST_PAUSE if self.ready.is_set() else min(pause * 2, LAST_PAUSE)
                log.warning(
                    "broker away", extra=fields(connection=self._name, reason=str(translated(error)), pause=pause)
                )
            finally:
                self.ready.clear()
                self._disconnect()
            self._closing.wait(pause)

    def _connect_and_serve(self) -> None:
        self._connection = pika.BlockingConnection(self._parameters)
        while not self._closing.is_set():
            lost = [channel.recover(self._connection, self._topology) for channel in self._channels]
            if any(lost):
                log.warning("work queues were missing, and are made anew", extra=fields(connection=self._name))
                self._note_loss()
            self.ready.set()
            self._connection.process_data_events(time_limit=POLL_INTERVAL)

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        with suppress(Exception):  # It may be broken already; to be rid of it is all we want.
            connection.close()
        for future in tuple(self._unfinished):
            future.cancel()


@dataclass
class RecoveringChannel:
    """One channel of a connection, opened again when the broker has closed it or has taken its consumer away.

    The broker takes a consumer away when the queue is deleted and (RabbitMQ 4.3) when a delivery was not acked in time.
    """

    set_up: Callable[[PikaChannel], Any]  # done once after each opening
    consuming: bool = False  # whether set_up subscribes a consumer, without which the channel is of no use
    channel: PikaChannel = None

    def recover(self, connection: Any, topology: Topology) -> bool:
        """Opens the channel on this connection, unless it is open and has its consumer.

        Whether work queues had to be made, because they are new or the broker has lost them.
        """
        channel = self.channel
        if channel and channel.connection is connection and channel.is_open:
            if channel.consumer_tags or not self.consuming:
                return False
            channel.close()
            # A queue that is declared too soon after it was deleted keeps its old consumers, which get nothing any more
            # (seen with RabbitMQ 3.10).
            connection.sleep(POLL_INTERVAL)
        lost = not all(_has_queue(connection, name) for name in topology.work)
        self.channel = connection.channel()
        declare(self.channel, topology)
        self.set_up(self.channel)
        return lost


def _has_queue(connection: Any, queue: str) -> bool:
    try:
        with connection.channel() as channel:  # of its own, for the broker closes it where there is none
            channel.queue_declare(queue, passive=True)
    except ChannelClosedByBroker as error:
        if error.reply_code != NOT_FOUND:
            raise
        return False
    return True


def declare(channel: PikaChannel, topology: Topology) -> None:
    """Makes those exchanges, queues and bindings that are missing.

    Where one by that name exists with other arguments, the broker closes the channel (406, PRECONDITION_FAILED).
    """
    channel.exchange_declare(topology.exchange, "topic", durable=True)
    for queue in topology.queues():
        channel.queue_declare(queue.name, durable=True, arguments=dict(queue.arguments))
        if queue.fanout:
            channel.exchange_declare(queue.fanout, "fanout", durable=True)
            channel.queue_bind(queue.name, queue.fanout)
        for key in queue.keys:
            channel.queue_bind(queue.name, topology.exchange, key)


def parameters(url: str) -> pika.URLParameters:
    """The URL's, with our limits where it sets none: by default pika would wait for ever."""
    parameters = pika.URLParameters(url)
    parameters.heartbeat = HEARTBEAT if parameters.heartbeat is None else parameters.heartbeat
    parameters.blocked_connection_timeout = parameters.blocked_connection_timeout or PATIENCE
    return parameters
