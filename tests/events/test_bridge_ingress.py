"""The bridge's HTTP side: the broker has an event before it is answered 202, and any trouble has a clear answer."""

import json

import pytest
import requests

from events import contract, envelope
from tests.events.harness import Bridge, Gate, Harness, answers, uploaded
from tests.events.wire import Wire
from tests.waiting import PATIENCE, until


def test_an_accepted_event_survives_the_bridge(harness: Harness) -> None:
    """The bridge is killed right after its 202, with nothing finished yet; the next one delivers."""
    harness.convert.behave = Gate(answers(202))
    bridge = harness.bridge(CONVERT_PARALLELISM="1").ready()
    events = [uploaded() for _ in range(3)]
    assert [bridge.post(event).status_code for event in events] == [202] * 3
    bridge.kill()
    harness.convert.behave = answers(202)
    bridge.restart()
    until(lambda: {request.event.id for request in harness.convert.asked} == {event.id for event in events})


def test_an_event_in_structured_mode_is_taken_too(shared: Harness, bridge: Bridge) -> None:
    """The other mode of the CloudEvents HTTP binding."""
    event = uploaded()
    headers = {"content-type": envelope.STRUCTURED}
    answer = requests.post(bridge.url, data=envelope.to_message(event), headers=headers, timeout=PATIENCE)
    assert answer.status_code == 202
    until(lambda: bridge.outcomes("convert") == ["done"])
    assert [request.event for request in shared.convert.asked] == [event]


@pytest.mark.parametrize("body", [b"", b"{oops", b"[]", b'{"job_id": 1}'])
def test_what_is_no_event_is_refused_without_an_echo(bridge: Bridge, body: bytes) -> None:
    """The problem says what is wrong, and neither it nor the log repeats a header."""
    headers, _ = envelope.to_http(uploaded())
    headers |= {"authorization": "Bearer s3cret"}
    answer = requests.post(bridge.url, data=body, headers=headers, timeout=PATIENCE)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"]
    assert "s3cret" not in answer.text
    assert "s3cret" not in json.dumps(bridge.lines())


def test_what_is_too_large_is_refused(bridge: Bridge) -> None:
    """An event holds ids, sizes and reasons, and has no need for 64 KiB."""
    headers, _ = envelope.to_http(uploaded())
    for body in (b" " * 70_000, iter([b" " * 35_000] * 2)):  # with its length and without
        assert requests.post(bridge.url, data=body, headers=headers, timeout=PATIENCE).status_code == 413


def test_other_addresses_are_404_and_other_methods_405(bridge: Bridge) -> None:
    assert bridge.get("/_/health") == 200
    assert [bridge.get("/nothing"), bridge.get("/")] == [404, 405]


def test_each_address_takes_what_it_says_it_takes(bridge: Bridge) -> None:
    """The methods that `Allow` names are not answered 405, and all others are (RFC 9110, 15.5.6)."""
    inner = {"GET", "HEAD"}
    for path, methods in {"/": {"POST"}, "/_/health": inner, "/_/ready": inner, "/_/metrics": inner}.items():
        for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"):
            answer = requests.request(method, bridge.url + path, timeout=PATIENCE)
            assert (answer.status_code == 405) == (method not in methods), (method, path)
            if answer.status_code == 405:
                assert set(answer.headers["Allow"].split(", ")) == methods


@pytest.mark.parametrize("path", ["/metrics", "/nothing", "/_/nothing"])
def test_elsewhere_is_nothing(bridge: Bridge, path: str) -> None:
    """The metrics were at /metrics once."""
    answer = requests.get(bridge.url + path, timeout=PATIENCE)
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
    """Break: the wire is stalled, not cut. Symptom: 503, as soon as the broker has had its time to answer.
    Recovery: by itself.
    """
    bridge = harness.bridge(AMQP_URL=harness.through(wire) + "?heartbeat=2&blocked_connection_timeout=1").ready()
    wire.stall()
    assert bridge.post(uploaded()).status_code == 503
    wire.restore()
    bridge.ready()
    until(lambda: bridge.post(uploaded()).status_code == 202)


def test_an_event_without_a_queue_is_not_accepted(harness: Harness) -> None:
    """Break: the binding is gone. Symptom: 503, not a dropped event. Recovery: the binding is declared again."""
    bridge = harness.bridge().ready()
    harness.unbind(harness.env["VIDEO_QUEUE"], contract.VIDEO_UPLOADED)
    assert bridge.post(uploaded()).status_code == 503
    until(lambda: bridge.post(uploaded()).status_code == 202)
    until(lambda: harness.convert.asked)


def test_it_counts_what_it_does(harness: Harness) -> None:
    """As text for Prometheus: deliveries by function and outcome, and the length of every queue."""
    bridge = harness.bridge().ready()
    bridge.post(uploaded())
    until(lambda: bridge.outcomes("convert") == ["done"])
    metrics = bridge.metrics()
    assert f'bridge_published_total{{type="{contract.VIDEO_UPLOADED}"}} 1.0' in metrics
    assert 'bridge_deliveries_total{function="convert",outcome="done"} 1.0' in metrics
    assert f'bridge_queue_messages{{queue="{harness.topology.dead}"}} 0.0' in metrics
