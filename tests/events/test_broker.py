"""Links, publishing and deliveries against a real RabbitMQ."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from uuid import uuid4

import pytest

from events.bridge.broker import BrokerAway, Delivery, Link, Message, Publisher, Refused, Subscriber, Unroutable, move
from events.bridge.topology import DIRECT, Topology
from tests.events.harness import Harness, free_port
from tests.events.wire import Wire
from tests.waiting import PATIENCE, until

HELLO = Message(b"hello", "text/plain", "1")


@contextmanager
def running(link: Link) -> Iterator[None]:
    link.start()
    try:
        assert link.ready.wait(PATIENCE)
        yield
    finally:
        link.close()


@pytest.fixture
def publisher(harness: Harness) -> Iterator[Publisher]:
    publisher = Publisher(harness.env["AMQP_URL"], harness.topology)
    with running(publisher):
        yield publisher


@pytest.fixture
def topology(harness: Harness) -> Topology:
    return harness.topology


def test_a_message_keeps_what_it_carries(harness: Harness, publisher: Publisher, topology: Topology) -> None:
    """Persistent, with id, type and headers; the broker's own notes do not travel on."""
    publisher.publish(DIRECT, topology.parked, Message(b"hello", "text/plain", "1", {"attempt": 2, "x-death": []}))
    with harness.channel() as channel:
        _, properties, body = channel.basic_get(topology.parked)
        assert (properties.delivery_mode, properties.message_id) == (2, "1")
        assert Message.received(properties, body) == Message(b"hello", "text/plain", "1", {"attempt": 2})


def test_a_message_without_a_queue_is_an_error(publisher: Publisher, topology: Topology) -> None:
    """The broker would confirm and drop it. The channel is made anew, and the next message passes."""
    with pytest.raises(Unroutable):
        publisher.publish(DIRECT, f"{topology.exchange}.nowhere", HELLO)
    assert passes(publisher, topology)


def test_a_message_the_broker_refuses_is_an_error(harness: Harness, publisher: Publisher, topology: Topology) -> None:
    """A full queue that rejects answers nack, not ack."""
    full = f"{topology.exchange}.full"
    with harness.channel() as channel:
        channel.queue_declare(full, exclusive=True, arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
        publisher.publish(DIRECT, full, HELLO)
        with pytest.raises(Refused):
            publisher.publish(DIRECT, full, HELLO)
    publisher.publish(DIRECT, topology.parked, HELLO)


def test_a_broker_that_is_away_is_an_error_at_once(topology: Topology) -> None:
    """Nothing listens there; the message says what to look for, and nothing of the URL's password."""
    publisher = Publisher(f"amqp://someone:s3cret@127.0.0.1:{free_port()}/", topology)
    publisher.start()
    with pytest.raises(BrokerAway, match="AMQP_URL") as caught:
        publisher.publish(DIRECT, topology.parked, HELLO)
    assert "s3cret" not in str(caught.value)
    publisher.close()


def test_a_publish_cut_off_is_an_error_at_once(harness: Harness, topology: Topology, wire: Wire) -> None:
    """Break: the wire is cut. Symptom: the message counts as lost. Recovery: the link connects by itself."""
    publisher = Publisher(harness.through(wire), topology)
    with running(publisher):
        wire.cut()
        with pytest.raises(BrokerAway):
            publisher.publish(DIRECT, topology.parked, HELLO)
        wire.restore()
        until(lambda: passes(publisher, topology))


def test_an_ack_of_a_lost_channel_is_dropped(harness: Harness, topology: Topology, wire: Wire) -> None:
    """Break: the wire is cut between delivery and ack. Symptom: the message comes again. Recovery: the late ack of the
    first delivery leaves the new channel alone, and the second ack counts.
    """
    deliveries: SimpleQueue[Delivery] = SimpleQueue()
    subscriber = Subscriber(harness.through(wire), topology)
    subscriber.subscribe(topology.parked, 1, deliveries.put)
    with running(subscriber):
        harness.message(b"hello", topology.parked)
        first = deliveries.get(timeout=PATIENCE)
        wire.cut()
        until(lambda: not first.held)
        wire.restore()
        second = deliveries.get(timeout=PATIENCE)
        first.ack()
        second.ack()
        harness.message(b"again", topology.parked)
        third = deliveries.get(timeout=PATIENCE)
        assert (second.message.body, third.message.body) == (b"hello", b"again")
        third.ack()
    assert harness.depth(topology.parked) == 0


def test_a_paused_subscriber_can_still_ack(harness: Harness, topology: Topology) -> None:
    """No more deliveries, and what was at hand is settled before the link is closed."""
    deliveries: SimpleQueue[Delivery] = SimpleQueue()
    subscriber = Subscriber(harness.env["AMQP_URL"], topology)
    subscriber.subscribe(topology.parked, 1, deliveries.put)
    with running(subscriber):
        harness.message(b"hello", topology.parked)
        delivery = deliveries.get(timeout=PATIENCE)
        subscriber.pause()
        harness.message(b"later", topology.parked)
        delivery.ack()
    assert deliveries.empty()
    assert harness.depth(topology.parked) == 1


def test_another_queue_by_that_name_is_explained(
    harness: Harness, topology: Topology, caplog: pytest.LogCaptureFixture
) -> None:
    """The original system's classic queue in our way: the log says what to do."""
    with harness.channel() as channel:
        channel.queue_declare(harness.env["VIDEO_QUEUE"], durable=True)
    publisher = Publisher(harness.env["AMQP_URL"], topology)
    with caplog.at_level(logging.WARNING, logger="events.bridge.broker"):
        publisher.start()
        until(lambda: [record for record in caplog.records if "delete or rename it" in str(vars(record).get("fields"))])
    publisher.close()


def test_moved_messages_arrive_before_they_leave(harness: Harness, topology: Topology) -> None:
    """Where one cannot go, those before it have moved and it stays."""
    harness.declare()
    for body in (b"1", b"2", b"3"):
        harness.message(body, topology.parked)

    def target(message: Message) -> tuple[str, Message]:
        return (topology.dead if message.body != b"2" else f"nowhere-{uuid4()}"), message

    with pytest.raises(Unroutable):
        move(harness.env["AMQP_URL"], topology, topology.parked, target)
    until(lambda: (harness.depth(topology.dead), harness.depth(topology.parked)) == (1, 2))


def passes(publisher: Publisher, topology: Topology) -> bool:
    try:
        publisher.publish(DIRECT, topology.parked, HELLO)
    except BrokerAway:
        return False
    return True
