"""The bridge's HTTP side: an event is the broker's before it is answered 202, and trouble has a clear answer."""

import json

import pytest
import requests

from events import contract, envelope
from tests.events.harness import Gate, Harness, answers, uploaded
from tests.events.wire import Wire
from tests.waiting import PATIENCE, until


def test_an_accepted_event_survives_the_bridge(harness: Harness) -> None:
    """Killed right after its 202, before anything was delivered; the next bridge delivers."""
    harness.convert.behave = Gate(answers(202))
    bridge = harness.bridge(CONVERT_PARALLELISM="1").ready()
    events = [uploaded() for _ in range(3)]
    assert [bridge.post(event).status_code for event in events] == [202] * 3
    bridge.kill()
    harness.convert.behave = answers(202)
    bridge.restart()
    until(lambda: {asked.event.id for asked in harness.convert.asked} == {event.id for event in events})


def test_an_event_in_structured_mode_is_taken_too(harness: Harness) -> None:
    """The other mode of the CloudEvents HTTP binding."""
    bridge = harness.bridge().ready()
    event = uploaded()
    headers = {"content-type": envelope.STRUCTURED}
    answer = requests.post(bridge.url, data=envelope.to_message(event), headers=headers, timeout=PATIENCE)
    assert answer.status_code == 202
    until(lambda: [asked.event for asked in harness.convert.asked] == [event])


@pytest.mark.parametrize("body", [b"", b"{oops", b"[]", b'{"job_id": 1}'])
def test_what_is_no_event_is_refused_without_an_echo(harness: Harness, body: bytes) -> None:
    """A problem that names what is wrong, and repeats no header."""
    bridge = harness.bridge().ready()
    headers, _ = envelope.to_http(uploaded())
    headers |= {"authorization": "Bearer s3cret"}
    answer = requests.post(bridge.url, data=body, headers=headers, timeout=PATIENCE)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"]
    assert "s3cret" not in answer.text
    assert "s3cret" not in json.dumps(bridge.lines())


def test_what_is_too_large_is_refused(harness: Harness) -> None:
    """An event holds ids, sizes and reasons, and has no need for 64 KiB."""
    bridge = harness.bridge().ready()
    headers, _ = envelope.to_http(uploaded())
    for body in (b" " * 70_000, iter([b" " * 35_000] * 2)):  # with its length and without
        assert requests.post(bridge.url, data=body, headers=headers, timeout=PATIENCE).status_code == 413


def test_other_addresses_and_methods_are_told_so(harness: Harness) -> None:
    """404 and 405, as problems."""
    bridge = harness.bridge()
    until(lambda: bridge.get("/_/health") == 200)
    assert [bridge.get("/nothing"), bridge.get("/")] == [404, 405]


def test_each_address_takes_what_it_says_it_takes(harness: Harness) -> None:
    """Whatever stands in Allow is not refused for its method, and whatever does not is (RFC 9110, 15.5.6)."""
    bridge = harness.bridge().ready()
    inner = {"GET", "HEAD"}
    for path, methods in {"/": {"POST"}, "/_/health": inner, "/_/ready": inner, "/_/metrics": inner}.items():
        for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"):
            answer = requests.request(method, bridge.url + path, timeout=PATIENCE)
            assert (answer.status_code == 405) == (method not in methods), (method, path)
            if answer.status_code == 405:
                assert set(answer.headers["Allow"].split(", ")) == methods


@pytest.mark.parametrize("path", ["/metrics", "/nothing", "/_/nothing"])
def test_elsewhere_is_nothing(harness: Harness, path: str) -> None:
    """What it counts was at /metrics once."""
    answer = requests.get(harness.bridge().ready().url + path, timeout=PATIENCE)
    assert (answer.status_code, answer.headers["Content-Type"]) == (404, "application/problem+json")


def test_without_its_broker_it_says_503_and_heals_by_itself(harness: Harness, wire: Wire) -> None:
    """Break: the wire to RabbitMQ is cut. Symptom: not ready, 503 with Retry-After, healthy. Recovery: by itself."""
    bridge = harness.bridge(AMQP_URL=harness.through(wire)).ready()
    wire.cut()
    until(lambda: bridge.get("/_/ready") == 503)
    answer = bridge.post(uploaded())
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    assert bridge.get("/_/health") == 200
    assert "bridge_queue_messages{" not in bridge.metrics()
    wire.restore()
    bridge.ready()
    assert bridge.post(uploaded()).status_code == 202
    until(lambda: harness.convert.asked)


def test_a_silent_broker_is_not_waited_for(harness: Harness, wire: Wire) -> None:
    """Break: the wire is stalled, not cut. Symptom: 503, though it says nothing. Recovery: by itself."""
    bridge = harness.bridge(AMQP_URL=harness.through(wire) + "?heartbeat=2").ready()
    wire.stall()
    assert bridge.post(uploaded()).status_code == 503
    wire.restore()
    bridge.ready()
    until(lambda: bridge.post(uploaded()).status_code == 202)


def test_an_event_without_a_queue_is_not_accepted(harness: Harness) -> None:
    """Break: the binding is gone. Symptom: 503, not a dropped event. Recovery: the binding is made anew."""
    bridge = harness.bridge().ready()
    harness.unbind(harness.env["VIDEO_QUEUE"], contract.VIDEO_UPLOADED)
    assert bridge.post(uploaded()).status_code == 503
    until(lambda: bridge.post(uploaded()).status_code == 202)
    until(lambda: harness.convert.asked)


def test_it_counts_what_it_does(harness: Harness) -> None:
    """Prometheus text, with deliveries by function and outcome and the length of every queue."""
    bridge = harness.bridge().ready()
    bridge.post(uploaded())
    until(lambda: bridge.outcomes("convert") == ["done"])
    metrics = bridge.metrics()
    assert f'bridge_published_total{{type="{contract.VIDEO_UPLOADED}"}} 1.0' in metrics
    assert 'bridge_deliveries_total{function="convert",outcome="done"} 1.0' in metrics
    assert f'bridge_queue_messages{{queue="{harness.topology.dead}"}} 0.0' in metrics
