"""Connections, publishing, deliveries and moves against a real RabbitMQ."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from uuid import uuid4

import pytest

from emulator.ports import reserve_port
from events.bridge.broker.connection import RecoveringConnection
from events.bridge.broker.errors import BrokerAway, Refused, Unroutable
from events.bridge.broker.message import Message
from events.bridge.broker.publisher import Publisher
from events.bridge.broker.subscriber import Delivery, Subscriber
from events.bridge.broker.transfer import move
from events.bridge.topology import DIRECT, Topology
from tests.events.harness import Harness
from tests.events.wire import Wire
from tests.waiting import PATIENCE, until

HELLO = Message(b"hello", "text/plain", "1")


def unnoticed() -> None:
    """For a test that loses nothing."""


@contextmanager
def running(connection: RecoveringConnection) -> Iterator[None]:
    connection.start()
    try:
        assert connection.ready.wait(PATIENCE)
        yield
    finally:
        connection.close()


@pytest.fixture
def publisher(harness: Harness) -> Iterator[Publisher]:
    publisher = Publisher(harness.env["AMQP_URL"], harness.topology, unnoticed)
    with running(publisher):
        yield publisher


@pytest.fixture
def topology(harness: Harness) -> Topology:
    return harness.topology


def test_a_message_keeps_what_it_carries(harness: Harness, publisher: Publisher, topology: Topology) -> None:
    """It is persistent and keeps its id, type and headers, but for those that the broker itself has added (x-…)."""
    publisher.publish(DIRECT, topology.parked, Message(b"hello", "text/plain", "1", {"attempt": 2, "x-death": []}))
    with harness.channel() as channel:
        _, properties, body = channel.basic_get(topology.parked)
        assert (properties.delivery_mode, properties.message_id) == (2, "1")
        assert Message.received(properties, body) == Message(b"hello", "text/plain", "1", {"attempt": 2})


def test_a_message_without_a_queue_is_an_error(publisher: Publisher, topology: Topology) -> None:
    """The broker would confirm and drop it. The next message is published as usual."""
    with pytest.raises(Unroutable):
        publisher.publish(DIRECT, f"{topology.exchange}.nowhere", HELLO)
    assert passes(publisher, topology)


def test_a_message_the_broker_refuses_is_an_error(harness: Harness, publisher: Publisher, topology: Topology) -> None:
    """A full queue with the overflow reject-publish answers nack, not ack."""
    full = f"{topology.exchange}.full"
    with harness.channel() as channel:
        channel.queue_declare(full, exclusive=True, arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
        publisher.publish(DIRECT, full, HELLO)
        with pytest.raises(Refused):
            publisher.publish(DIRECT, full, HELLO)
    publisher.publish(DIRECT, topology.parked, HELLO)


def test_a_broker_that_is_away_is_an_error_at_once(topology: Topology) -> None:
    """The error says what to look for, and keeps the URL's password to itself."""
    publisher = Publisher(f"amqp://someone:s3cret@127.0.0.1:{reserve_port()}/", topology, unnoticed)
    publisher.start()
    with pytest.raises(BrokerAway, match="AMQP_URL") as caught:
        publisher.publish(DIRECT, topology.parked, HELLO)
    assert "s3cret" not in str(caught.value)
    publisher.close()


def test_a_publish_cut_off_is_an_error_at_once(harness: Harness, topology: Topology, wire: Wire) -> None:
    """Break: the wire is cut. Symptom: the message counts as lost. Recovery: it connects again by itself."""
    publisher = Publisher(harness.through(wire), topology, unnoticed)
    with running(publisher):
        wire.cut()
        with pytest.raises(BrokerAway):
            publisher.publish(DIRECT, topology.parked, HELLO)
        wire.restore()
        until(lambda: passes(publisher, topology))


def test_work_queues_that_are_not_there_are_noticed_once(harness: Harness, topology: Topology, wire: Wire) -> None:
    """Break: a work queue is gone when a connection opens. Recovery: it is made, and somebody is told."""
    noticed: list[str] = []
    publisher = Publisher(harness.through(wire), topology, lambda: noticed.append("lost"))
    with running(publisher):
        assert noticed == ["lost"]
        for lost in ((), (harness.env["MP3_QUEUE"],), ()):
            wire.cut()
            until(lambda: not publisher.ready.is_set())
            with harness.channel() as channel:
                for queue in lost:
                    channel.queue_delete(queue)
            wire.restore()
            until(lambda: passes(publisher, topology))
    assert noticed == ["lost", "lost"]


def test_an_ack_of_a_lost_channel_is_dropped(harness: Harness, topology: Topology, wire: Wire) -> None:
    """Break: the wire is cut between delivery and ack. Symptom: the message comes again. Recovery: the late ack of the
    first delivery leaves the new channel alone, and the second ack counts.
    """
    deliveries: SimpleQueue[Delivery] = SimpleQueue()
    subscriber = Subscriber(harness.through(wire), topology, unnoticed)
    subscriber.subscribe(topology.parked, 1, deliveries.put)
    with running(subscriber):
        harness.put(b"hello", topology.parked)
        first = deliveries.get(timeout=PATIENCE)
        wire.cut()
        until(lambda: not first.can_be_acked)
        wire.restore()
        second = deliveries.get(timeout=PATIENCE)
        first.ack()
        second.ack()
        harness.put(b"again", topology.parked)
        third = deliveries.get(timeout=PATIENCE)
        assert (second.message.body, third.message.body) == (b"hello", b"again")
        third.ack()
    assert harness.depth(topology.parked) == 0


def test_a_paused_subscriber_can_still_ack(harness: Harness, topology: Topology) -> None:
    """It gets no more deliveries, and the ack of an earlier one is sent before the connection is closed."""
    deliveries: SimpleQueue[Delivery] = SimpleQueue()
    subscriber = Subscriber(harness.env["AMQP_URL"], topology, unnoticed)
    subscriber.subscribe(topology.parked, 1, deliveries.put)
    with running(subscriber):
        harness.put(b"hello", topology.parked)
        delivery = deliveries.get(timeout=PATIENCE)
        subscriber.pause()
        harness.put(b"later", topology.parked)
        delivery.ack()
    assert deliveries.empty()
    assert harness.depth(topology.parked) == 1


def test_another_queue_by_that_name_is_explained(
    harness: Harness, topology: Topology, caplog: pytest.LogCaptureFixture
) -> None:
    """Such as the classic queue that the original system declares: the log says what to do."""
    with harness.channel() as channel:
        channel.queue_declare(harness.env["VIDEO_QUEUE"], durable=True)
    publisher = Publisher(harness.env["AMQP_URL"], topology, unnoticed)
    with caplog.at_level(logging.WARNING, logger="events.bridge.broker"):
        publisher.start()
        until(lambda: [record for record in caplog.records if "delete or rename it" in str(vars(record).get("fields"))])
    publisher.close()


def test_moved_messages_arrive_before_they_leave(harness: Harness, topology: Topology) -> None:
    """When one cannot be published, those before it have moved, and it stays with those after it."""
    harness.declare()
    for body in (b"1", b"2", b"3"):
        harness.put(body, topology.parked)

    def target(message: Message) -> tuple[str, Message]:
        return (topology.dead if message.body != b"2" else f"nowhere-{uuid4()}"), message

    with pytest.raises(Unroutable):
        move(harness.env["AMQP_URL"], topology, topology.parked, target)
    until(lambda: (harness.depth(topology.dead), harness.depth(topology.parked)) == (1, 2))


def test_moving_ends_when_somebody_else_has_emptied_the_queue(harness: Harness, topology: Topology) -> None:
    """Such as a second operator, who replays at the same time. What was moved is counted."""
    harness.declare()
    for body in (b"1", b"2", b"3"):
        harness.put(body, topology.parked)

    def target(message: Message) -> tuple[str, Message]:
        with harness.channel() as channel:
            channel.queue_purge(topology.parked)
        return topology.dead, message

    assert move(harness.env["AMQP_URL"], topology, topology.parked, target) == 1
    until(lambda: (harness.depth(topology.dead), harness.depth(topology.parked)) == (1, 0))


def passes(publisher: Publisher, topology: Topology) -> bool:
    try:
        publisher.publish(DIRECT, topology.parked, HELLO)
    except BrokerAway:
        return False
    return True
