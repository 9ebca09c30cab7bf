"""The bridge under faults. Each docstring says what breaks, what is seen of it and how it heals."""

import signal

import pika
import psutil

from events import contract, envelope
from tests.events.harness import Gate, Harness, answers, reply, uploaded
from tests.events.wire import Wire
from tests.waiting import PATIENCE, has_ended, until

HEARTBEAT = b"\x08\0\0\0\0\0\0\xce"  # the whole frame (AMQP 0-9-1, 4.2.7)


def test_a_killed_bridge_loses_no_delivery(harness: Harness) -> None:
    """Break: kill -9 while convert works. Symptom: its answer is lost. Recovery: the next bridge posts it again."""
    gate = harness.convert.behave = Gate(reply)
    bridge = harness.bridge().ready()
    event = uploaded()
    bridge.post(event)
    until(lambda: harness.convert.busy)
    bridge.kill()
    harness.convert.behave = reply
    bridge.restart()
    until(lambda: harness.notify.asked)
    gate.open()
    assert [request.event for request in harness.convert.asked] == [event, event]


def test_a_retry_survives_the_bridge(harness: Harness) -> None:
    """Break: kill -9 between two attempts. Symptom: none. Recovery: the event and its count lay on the broker."""
    harness.convert.behave = answers(503, 202)
    bridge = harness.bridge(BRIDGE_DELAYS="2").ready()
    bridge.post(uploaded())
    until(lambda: bridge.outcomes("convert") == ["retry"])
    bridge.restart()
    until(lambda: bridge.outcomes("convert") == ["retry", "done"])
    assert [line["attempt"] for line in bridge.lines() if line.get("function") == "convert"] == [1, 2]
    first, second = harness.convert.asked
    assert second.at - first.at >= 2


def test_a_broker_without_queues_is_followed_by_a_call_of_sweep(harness: Harness, wire: Wire) -> None:
    """Break: RabbitMQ comes back without its queues. Symptom: the events in them are gone. Recovery: the bridge makes
    new ones, and asks sweep for what was sent before, until that answers.
    """
    bridge = harness.bridge(AMQP_URL=harness.through(wire)).ready()
    until(lambda: len(harness.sweep.asked) == 1)  # they are new
    harness.sweep.behave = answers(503, 200)
    wire.cut()
    until(lambda: bridge.get("/_/ready") == 503)
    with harness.channel() as channel:
        channel.queue_delete(harness.env["VIDEO_QUEUE"])
    wire.restore()
    until(lambda: len(harness.sweep.asked) == 3)
    asked = [float(request.path.removeprefix("/?lost=")) for request in harness.sweep.asked]
    assert asked[2] > asked[1] + 0.9  # it is how long ago that was
    event = uploaded()
    bridge.post(event)
    until(lambda: [request.event for request in harness.convert.asked] == [event])


def test_a_bridge_that_starts_anew_asks_for_nothing(harness: Harness) -> None:
    """Nor one that was cut off: the broker has kept what it held."""
    bridge = harness.bridge().ready()
    until(lambda: len(harness.sweep.asked) == 1)
    bridge.restart().ready()
    event = uploaded()
    bridge.post(event)
    until(lambda: [request.event for request in harness.convert.asked] == [event])
    assert len(harness.sweep.asked) == 1


def test_an_upgrade_loses_nothing_that_lies_in_an_older_delay_queue(harness: Harness) -> None:
    """Break: a bridge is replaced by one that does not know the delay queue an event lies in. Symptom: none.
    Recovery: the broker moves it back when its time is over. Names were `….wait.…` in earlier versions; a changed
    BRIDGE_DELAYS leaves queues behind in the same way.
    """
    older = f"{harness.topology.exchange}.wait.300ms"
    arguments = {
        "x-queue-type": "quorum",
        "x-delivery-limit": 1_000_000,
        "x-dead-letter-exchange": "",
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
        "x-message-ttl": 300,
    }
    event = uploaded()
    with harness.channel() as channel:
        channel.confirm_delivery()
        channel.queue_declare(older, durable=True, arguments=arguments)
        channel.exchange_declare(older, "fanout", durable=True)
        channel.queue_bind(older, older)
        properties = pika.BasicProperties(headers={"attempt": 2})
        body = envelope.to_message(event)
        harness.declare()
        channel.basic_publish(older, harness.env["VIDEO_QUEUE"], body, properties, mandatory=True)
        bridge = harness.bridge()
        until(lambda: bridge.outcomes("convert") == ["done"])
        channel.queue_delete(older)
        channel.exchange_delete(older)
    assert [request.event for request in harness.convert.asked] == [event]
    (line,) = (line for line in bridge.lines() if line.get("function") == "convert")
    assert line["attempt"] == 2


def test_a_stopping_bridge_finishes_what_it_holds(harness: Harness) -> None:
    """Break: SIGTERM while convert works. Symptom: nothing new starts. Recovery: reply and ack go out, then it ends."""
    gate = harness.convert.behave = Gate(reply)
    bridge = harness.bridge(CONVERT_PARALLELISM="1").ready()
    held, waiting = uploaded(), uploaded()
    bridge.post(held)
    until(lambda: harness.convert.busy)
    bridge.post(waiting)
    bridge.terminate()
    until(lambda: bridge.get("/_/health") is None)
    gate.open()
    assert bridge.process.wait(PATIENCE) == 0
    until(lambda: bridge.outcomes("convert") == ["replied"])
    assert [request.event for request in harness.convert.asked] == [held]
    assert harness.depth(harness.env["VIDEO_QUEUE"]) == 1
    bridge.restart()
    until(lambda: [request.event for request in harness.convert.asked] == [held, waiting])


def test_a_stopping_bridge_waits_no_longer_than_its_grace(harness: Harness) -> None:
    """Break: SIGTERM while a function hangs. Symptom: the bridge ends anyway. Recovery: the next one posts it again."""
    gate = harness.convert.behave = Gate(answers(202))
    bridge = harness.bridge(BRIDGE_GRACE="1").ready()
    bridge.post(uploaded())
    until(lambda: harness.convert.busy)
    bridge.terminate()
    bridge.process.wait(PATIENCE)
    harness.convert.behave = answers(202)
    bridge.restart()
    until(lambda: bridge.outcomes("convert") == ["done"])
    gate.open()
    assert len(harness.convert.asked) == 2


def test_a_worker_does_not_outlive_its_killed_master(harness: Harness) -> None:
    """Break: kill -9 of the master alone. Symptom: none. Recovery: the worker ends, its port is free for the next."""
    gate = harness.convert.behave = Gate(answers(202))
    bridge = harness.bridge().ready()
    bridge.post(uploaded())
    until(lambda: harness.convert.busy)
    (worker,) = psutil.Process(bridge.process.pid).children()
    bridge.process.send_signal(signal.SIGKILL)
    bridge.process.wait()
    until(lambda: has_ended(worker))
    gate.open()


def test_heartbeats_do_not_wait_for_a_function(harness: Harness, wire: Wire) -> None:
    """Break: convert takes many heartbeats. Symptom: none. Recovery: none needed, the connection stands."""
    gate = harness.convert.behave = Gate(reply)
    bridge = harness.bridge(AMQP_URL=harness.through(wire) + "?heartbeat=1").ready()
    bridge.post(uploaded())
    until(lambda: harness.convert.busy)
    beats: list[int] = []
    wire.on_data = lambda data: beats.append(data.count(HEARTBEAT))
    until(lambda: sum(beats) > 30)
    gate.open()
    until(lambda: harness.notify.asked)
    assert len(harness.convert.asked) == 1
    assert not [line for line in bridge.lines() if line["message"] == "broker away"]


def test_an_answer_that_outlives_the_connection_still_counts(harness: Harness, wire: Wire) -> None:
    """Break: the wire is cut while convert works. Symptom: the event comes again, and the function leaves it alone.
    Recovery: the first answer's reply is published all the same, and its late ack is dropped.
    """
    gate = Gate(reply)
    harness.convert.behave = lambda request: gate(request) if len(harness.convert.asked) == 1 else answers(202)(request)
    bridge = harness.bridge(AMQP_URL=harness.through(wire), CONVERT_PARALLELISM="2").ready()
    bridge.post(uploaded())
    until(lambda: harness.convert.busy)
    wire.cut()
    until(lambda: bridge.get("/_/ready") == 503)
    gate.open()
    wire.restore()
    until(lambda: harness.notify.asked)
    until(lambda: sorted(bridge.outcomes("convert")) == ["done", "replied"])
    bridge.post(uploaded())
    until(lambda: len(harness.convert.asked) == 3)


def test_a_reply_nobody_takes_is_not_lost(harness: Harness) -> None:
    """Break: the reply's binding is gone. Symptom: the broker returns the reply, so the event is tried again.
    Recovery: the binding is declared again, and the next attempt's reply goes out.
    """
    harness.convert.behave = reply
    bridge = harness.bridge(BRIDGE_DELAYS="2").ready()
    harness.unbind(harness.env["MP3_QUEUE"], contract.AUDIO_CONVERTED)
    bridge.post(uploaded())
    until(lambda: harness.notify.asked)
    until(lambda: bridge.outcomes("convert") == ["retry", "replied"])


def test_a_lost_consumer_is_subscribed_again(harness: Harness) -> None:
    """Break: the queue is deleted. Symptom: the broker cancels its consumer. Recovery: the bridge makes both again."""
    bridge = harness.bridge().ready()
    with harness.channel() as channel:
        channel.queue_delete(harness.env["VIDEO_QUEUE"])
    until(lambda: bridge.post(uploaded()).status_code == 202)
    until(lambda: harness.convert.asked)


def test_two_bridges_share_the_work(harness: Harness) -> None:
    """Break: one of two is stopped under load. Symptom: none, no event comes twice. Recovery: the other goes on."""
    harness.convert.behave = reply
    leaving, staying = harness.bridge().ready(), harness.bridge().ready()
    events = [uploaded() for _ in range(40)]
    for event in events:
        staying.post(event)
        if event is events[20]:
            leaving.terminate()
    assert leaving.process.wait(PATIENCE) == 0
    until(lambda: len(harness.notify.asked) == 40)
    assert sorted(request.event.id for request in harness.convert.asked) == sorted(event.id for event in events)
