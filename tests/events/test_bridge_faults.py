"""The bridge under faults. Each docstring names the break, the symptom and the recovery."""

import signal

import psutil

from events import contract
from tests.events.stage import Gate, Stage, answers, reply, uploaded
from tests.events.wire import Wire
from tests.waiting import PATIENCE, until

HEARTBEAT = b"\x08\0\0\0\0\0\0\xce"  # the whole frame (AMQP 0-9-1, 4.2.7)


def test_a_killed_bridge_loses_no_delivery(stage: Stage) -> None:
    """Break: kill -9 while convert works. Symptom: its answer reaches nobody. Recovery: the next bridge asks again."""
    gate = stage.convert.behave = Gate(reply)
    bridge = stage.bridge().ready()
    event = uploaded()
    bridge.post(event)
    until(lambda: stage.convert.busy)
    bridge.kill()
    stage.convert.behave = reply
    bridge.restart()
    until(lambda: stage.notify.asked)
    gate.open()
    assert [asked.event for asked in stage.convert.asked] == [event, event]


def test_a_retry_survives_the_bridge(stage: Stage) -> None:
    """Break: kill -9 between two attempts. Symptom: none. Recovery: the broker kept the event and its count."""
    stage.convert.behave = answers(503, 202)
    bridge = stage.bridge(BRIDGE_DELAYS="2").ready()
    bridge.post(uploaded())
    until(lambda: bridge.outcomes("convert") == ["retry"])
    bridge.restart()
    until(lambda: bridge.outcomes("convert") == ["retry", "done"])
    assert [line["attempt"] for line in bridge.lines() if line.get("function") == "convert"] == [1, 2]
    first, second = stage.convert.asked
    assert second.at - first.at >= 2


def test_a_stopping_bridge_finishes_what_it_holds(stage: Stage) -> None:
    """Break: SIGTERM while convert works. Symptom: nothing new starts. Recovery: reply and ack go out, then it ends."""
    gate = stage.convert.behave = Gate(reply)
    bridge = stage.bridge(CONVERT_PARALLELISM="1").ready()
    held, waiting = uploaded(), uploaded()
    bridge.post(held)
    until(lambda: stage.convert.busy)
    bridge.post(waiting)
    bridge.terminate()
    until(lambda: bridge.get("/_/health") is None)
    gate.open()
    assert bridge.process.wait(PATIENCE) == 0
    until(lambda: bridge.outcomes("convert") == ["replied"])
    assert [asked.event for asked in stage.convert.asked] == [held]
    assert stage.depth(stage.env["VIDEO_QUEUE"]) == 1
    bridge.restart()
    until(lambda: [asked.event for asked in stage.convert.asked] == [held, waiting])


def test_a_stopping_bridge_waits_no_longer_than_its_grace(stage: Stage) -> None:
    """Break: SIGTERM while a function hangs. Symptom: the bridge ends anyway. Recovery: the next one asks again."""
    gate = stage.convert.behave = Gate(answers(202))
    bridge = stage.bridge(BRIDGE_GRACE="1").ready()
    bridge.post(uploaded())
    until(lambda: stage.convert.busy)
    bridge.terminate()
    bridge.process.wait(PATIENCE)
    stage.convert.behave = answers(202)
    bridge.restart()
    until(lambda: bridge.outcomes("convert") == ["done"])
    gate.open()
    assert len(stage.convert.asked) == 2


def test_a_worker_does_not_outlive_its_killed_master(stage: Stage) -> None:
    """Break: kill -9 of the master alone. Symptom: none. Recovery: the worker ends, its port is free for the next."""
    gate = stage.convert.behave = Gate(answers(202))
    bridge = stage.bridge().ready()
    bridge.post(uploaded())
    until(lambda: stage.convert.busy)
    (worker,) = psutil.Process(bridge.process.pid).children()
    bridge.process.send_signal(signal.SIGKILL)
    bridge.process.wait()
    until(lambda: not worker.is_running())
    gate.open()


def test_heartbeats_do_not_wait_for_a_function(stage: Stage, wire: Wire) -> None:
    """Break: convert takes many heartbeats. Symptom: none. Recovery: none needed, the connection stands."""
    gate = stage.convert.behave = Gate(reply)
    bridge = stage.bridge(AMQP_URL=stage.through(wire) + "?heartbeat=1").ready()
    bridge.post(uploaded())
    until(lambda: stage.convert.busy)
    beats: list[int] = []
    wire.hear = lambda data: beats.append(data.count(HEARTBEAT))
    until(lambda: sum(beats) > 30)
    gate.open()
    until(lambda: stage.notify.asked)
    assert len(stage.convert.asked) == 1
    assert not [line for line in bridge.lines() if line["message"] == "broker away"]


def test_an_answer_that_outlives_the_connection_still_counts(stage: Stage, wire: Wire) -> None:
    """Break: the wire is cut while convert works. Symptom: the event comes again, and the function leaves it alone.
    Recovery: the first answer's reply is published all the same; its ack harms nobody.
    """
    gate = Gate(reply)
    stage.convert.behave = lambda asked: gate(asked) if len(stage.convert.asked) == 1 else answers(202)(asked)
    bridge = stage.bridge(AMQP_URL=stage.through(wire), CONVERT_PARALLELISM="2").ready()
    bridge.post(uploaded())
    until(lambda: stage.convert.busy)
    wire.cut()
    until(lambda: bridge.get("/_/ready") == 503)
    gate.open()
    wire.restore()
    until(lambda: stage.notify.asked)
    until(lambda: sorted(bridge.outcomes("convert")) == ["done", "replied"])
    bridge.post(uploaded())
    until(lambda: len(stage.convert.asked) == 3)


def test_a_reply_nobody_takes_is_not_lost(stage: Stage) -> None:
    """Break: the reply's binding is gone. Symptom: the broker returns the reply, so the event is not acked.
    Recovery: the binding is made anew, the event tried again, and the same reply goes out.
    """
    stage.convert.behave = reply
    bridge = stage.bridge(BRIDGE_DELAYS="2").ready()
    stage.unbind(stage.env["MP3_QUEUE"], contract.AUDIO_CONVERTED)
    bridge.post(uploaded())
    until(lambda: stage.notify.asked)
    until(lambda: bridge.outcomes("convert") == ["retry", "replied"])


def test_a_lost_consumer_is_subscribed_again(stage: Stage) -> None:
    """Break: the queue is deleted. Symptom: the broker cancels its consumer. Recovery: both are made anew."""
    bridge = stage.bridge().ready()
    with stage.channel() as channel:
        channel.queue_delete(stage.env["VIDEO_QUEUE"])
    until(lambda: bridge.post(uploaded()).status_code == 202)
    until(lambda: stage.convert.asked)


def test_two_bridges_share_the_work(stage: Stage) -> None:
    """Break: one of two is stopped under load. Symptom: none, none comes twice. Recovery: the other goes on."""
    stage.convert.behave = reply
    leaving, staying = stage.bridge().ready(), stage.bridge().ready()
    events = [uploaded() for _ in range(40)]
    for event in events:
        staying.post(event)
        if event is events[20]:
            leaving.terminate()
    assert leaving.process.wait(PATIENCE) == 0
    until(lambda: len(stage.notify.asked) == 40)
    assert sorted(asked.event.id for asked in stage.convert.asked) == sorted(event.id for event in events)
