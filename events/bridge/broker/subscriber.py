"""Consuming queues: what arrives is ours until we ack it."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from events.bridge.broker.connection import NoteLoss, PikaChannel, RecoveringChannel, RecoveringConnection
from events.bridge.broker.errors import BrokerAway
from events.bridge.broker.message import Message
from events.bridge.topology import Topology


@dataclass(frozen=True)
class Delivery:
    """A message that the broker gave to us and keeps until we ack it."""

    message: Message
    _connection: RecoveringConnection
    _channel: PikaChannel
    _tag: int

    @property
    def can_be_acked(self) -> bool:
        """False once the channel is closed: the broker has put the message back into its queue then."""
        return bool(self._channel.is_open)

    def ack(self) -> None:
        """Has the broker forget the message.

        Does nothing when the channel that delivered it is closed: a delivery tag means nothing on another channel, and
        the broker would close that one too (406).
        """
        self._settle(lambda: self._channel.basic_ack(self._tag))

    def requeue(self) -> None:
        """Puts the message back into its queue, where it counts against the queue's delivery limit."""
        self._settle(lambda: self._channel.basic_nack(self._tag, requeue=True))

    def _settle(self, settle: Callable[[], None]) -> None:
        with suppress(BrokerAway):  # The broker has taken the message back already.
            self._connection.submit(lambda: settle() if self.can_be_acked else None)


class Subscriber(RecoveringConnection):
    """Consumes queues, each on a channel of its own, so that a channel that is closed stops no other queue."""

    def __init__(self, url: str, topology: Topology, note_loss: NoteLoss) -> None:
        super().__init__(url, topology, "subscriber", note_loss)
        self._channels: list[RecoveringChannel] = []

    def subscribe(self, queue: str, prefetch: int, handle: Callable[[Delivery], None]) -> None:
        """Has `handle` called for each message of the queue, with at most `prefetch` of them not acked yet.

        Call it before start(). `handle` runs in the connection's thread: it must pass the delivery on to another thread
        and return at once, or heartbeats stop and the broker closes the connection.
        """

        def consume(channel: PikaChannel) -> None:
            def deliver(channel: PikaChannel, method: Any, properties: Any, body: bytes) -> None:
                handle(Delivery(Message.received(properties, body), self, channel, method.delivery_tag))

            channel.basic_qos(prefetch_count=prefetch)
            channel.basic_consume(queue, deliver)

        self._channels.append(RecoveringChannel(consume, consuming=True))

    def pause(self) -> None:
        """Ends all deliveries for good; those already here can still be acked.

        Raises BrokerError when the broker could not be told. Nothing is delivered then either.
        """
        channels, self._channels = self._channels, []
        open_ = [each.channel for each in channels if each.channel and each.channel.is_open]
        self.call(lambda: [channel.basic_cancel(tag) for channel in open_ for tag in channel.consumer_tags])
