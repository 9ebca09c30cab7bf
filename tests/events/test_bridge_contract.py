"""What each answer of a function means, as for Knative's dispatcher. Against a real RabbitMQ."""

from base64 import b64decode
from itertools import pairwise

import pytest

from events import contract, envelope
from tests.events.harness import Answer, Bridge, Gate, Harness, answers, reply, uploaded
from tests.waiting import until


def test_an_event_reaches_its_function_and_the_reply_the_next(shared: Harness, bridge: Bridge) -> None:
    """The request is in binary mode and asks for a reply; what convert replies is delivered to notify."""
    shared.convert.behave = reply
    event = uploaded()
    assert bridge.post(event).status_code == 202
    until(lambda: bridge.outcomes("notify") == ["done"])
    (request,) = shared.convert.asked
    assert request.event == event
    assert request.headers["prefer"] == "reply"
    assert shared.notify.asked[0].event.type == contract.AUDIO_CONVERTED
    until(lambda: bridge.outcomes("convert") == ["replied"])
    (line,) = (line for line in bridge.lines() if line.get("function") == "convert")
    assert (line["event"], line["job"], line["attempt"]) == (event.id, event.subject, 1)
    assert line["trace"] in str(event.traceparent)


def test_2xx_without_an_event_is_done(harness: Harness) -> None:
    """The delivery is acked, so a bridge that starts later does not get it again."""
    bridge = harness.bridge().ready()
    first, second = uploaded(), uploaded()
    bridge.post(first)
    until(lambda: bridge.outcomes("convert") == ["done"])
    bridge.restart().ready().post(second)
    until(lambda: bridge.outcomes("convert") == ["done", "done"])
    assert [request.event for request in harness.convert.asked] == [first, second]
    assert not harness.notify.asked
    assert not harness.dead_letter.asked


@pytest.mark.parametrize("status", [301, 400, 401, 410, 415])
def test_a_refusal_is_a_dead_letter_at_once(shared: Harness, bridge: Bridge, status: int) -> None:
    """The dead-letter function learns which URL refused the event, with which status and with which words."""
    shared.convert.behave = lambda _: Answer(status, {"location": shared.notify.url}, b"not of ours")
    event = uploaded()
    bridge.post(event)
    until(lambda: bridge.outcomes("dead-letter") == ["done"])
    until(lambda: bridge.outcomes("convert") == ["dead-letter"])
    (request,) = shared.dead_letter.asked
    assert request.event == event
    assert request.headers["ce-knativeerrorcode"] == str(status)
    assert request.headers["ce-knativeerrordest"] == shared.convert.url
    assert b64decode(request.headers["ce-knativeerrordata"]) == b"not of ours"
    assert len(shared.convert.asked) == 1
    assert not shared.notify.asked


@pytest.mark.parametrize("status", [404, 408, 409, 429, 500, 503])
def test_trouble_that_may_pass_is_tried_again(shared: Harness, bridge: Bridge, status: int) -> None:
    """The second attempt succeeds, and its reply is delivered."""
    first = answers(status, 200)
    shared.convert.behave = lambda request: reply(request) if first(request).status == 200 else Answer(status)
    bridge.post(uploaded())
    until(lambda: bridge.outcomes("notify") == ["done"])
    until(lambda: bridge.outcomes("convert") == ["retry", "replied"])
    assert not shared.dead_letter.asked


def test_a_function_that_is_away_is_tried_again(harness: Harness) -> None:
    """At first nobody listens at its address, then it does."""
    port = harness.convert.close()
    bridge = harness.bridge().ready()
    bridge.post(uploaded())
    until(lambda: bridge.outcomes("convert") == ["retry"])
    harness.convert.start(port)
    until(lambda: bridge.outcomes("convert")[-1] == "done")


def test_attempts_are_spaced_and_limited(harness: Harness) -> None:
    """After each attempt the next delay of the list, at its end the last one again; then the event is a dead letter."""
    harness.convert.behave = answers(503)
    bridge = harness.bridge(BRIDGE_RETRIES="3").ready()
    bridge.post(uploaded())
    until(lambda: harness.dead_letter.asked)
    until(lambda: bridge.outcomes("convert") == ["retry", "retry", "retry", "dead-letter"])
    moments = [request.at for request in harness.convert.asked]
    gaps = [later - sooner for sooner, later in pairwise(moments)]
    assert [gap >= delay for gap, delay in zip(gaps, (0.2, 0.4, 0.4), strict=True)] == [True] * 3


def test_retry_after_is_honoured_up_to_the_longest_delay(harness: Harness) -> None:
    """A function that asks for an hour gets the longest delay, though the first one would be its turn."""
    harness.convert.behave = answers(503, 202, retry_after="3600")
    bridge = harness.bridge(BRIDGE_DELAYS="0.1 1.5").ready()
    bridge.post(uploaded())
    until(lambda: len(harness.convert.asked) == 2)
    first, second = harness.convert.asked
    assert second.at - first.at >= 1.5


def test_a_reply_that_is_no_event_is_a_dead_letter(harness: Harness) -> None:
    """The function would answer the same again, so the event is not tried again. Such replies are counted."""
    harness.convert.behave = lambda _: Answer(200, {"ce-id": "1"}, b"{}")
    bridge = harness.bridge().ready()
    bridge.post(uploaded())
    until(lambda: harness.dead_letter.asked)
    until(lambda: bridge.outcomes("convert") == ["dead-letter"])
    assert 'bridge_invalid_replies_total{function="convert"} 1.0' in bridge.metrics()
    assert b"invalid reply" in b64decode(harness.dead_letter.asked[0].headers["ce-knativeerrordata"])


def test_the_reply_to_a_dead_letter_is_delivered(shared: Harness, bridge: Bridge) -> None:
    """To notify, as if convert had replied it."""
    shared.convert.behave = answers(400)
    shared.dead_letter.behave = reply
    bridge.post(uploaded())
    until(lambda: bridge.outcomes("notify") == ["done"])
    until(lambda: bridge.outcomes("dead-letter") == ["replied"])
    until(lambda: bridge.outcomes("convert") == ["dead-letter"])


def test_what_dead_letter_cannot_handle_is_parked_until_replayed(harness: Harness) -> None:
    """Its own attempts are limited too; then the event is parked. A replay sends it to convert as if it were new."""
    harness.convert.behave = answers(400)
    harness.dead_letter.behave = answers(500)
    bridge = harness.bridge().ready()
    event = uploaded()
    bridge.post(event)
    until(lambda: bridge.outcomes("dead-letter") == ["retry", "retry", "parked"])
    until(lambda: harness.depth(harness.topology.parked) == 1)
    assert harness.parked()[0]["knativeerrorcode"] == "400"
    metrics = bridge.metrics()
    assert f'bridge_queue_messages{{queue="{harness.topology.parked}"}} 1.0' in metrics
    assert 'bridge_deliveries_total{function="convert",outcome="dead-letter"} 1.0' in metrics
    assert 'bridge_deliveries_total{function="dead-letter",outcome="parked"} 1.0' in metrics

    harness.convert.behave = answers(503, 202)
    assert bridge.replay() == "1 parked event sent again\n"
    until(lambda: bridge.outcomes("convert") == ["dead-letter", "retry", "done"])
    assert harness.convert.asked[-1].event == event
    assert "ce-knativeerrorcode" not in harness.convert.asked[-1].headers
    assert harness.depth(harness.topology.parked) == 0
    assert bridge.replay() == "0 parked events sent again\n"


def test_a_message_that_is_no_event_is_parked(harness: Harness) -> None:
    """No function could handle it, not even dead-letter. The next event of the queue is delivered all the same."""
    bridge = harness.bridge().ready()
    harness.put(b"{oops", harness.env["VIDEO_QUEUE"])
    bridge.post(uploaded())
    until(lambda: sorted(bridge.outcomes("convert")) == ["done", "parked"])
    until(lambda: harness.depth(harness.topology.parked) == 1)
    assert len(harness.convert.asked) == 1


def test_an_event_in_binary_mode_is_read_too(shared: Harness, bridge: Bridge) -> None:
    """Knative's RabbitMQ broker writes events so: their attributes in the headers."""
    event = uploaded()
    headers, body = envelope.to_http(event)
    shared.put(body, shared.env["VIDEO_QUEUE"], content_type="application/json", headers=headers)
    until(lambda: bridge.outcomes("convert") == ["done"])
    assert shared.convert.asked[0].event == event


def test_an_event_beyond_the_delivery_limit_is_a_dead_letter_not_lost(harness: Harness) -> None:
    """The broker counts deliveries that were not acked. Beyond the limit it makes the event a dead letter by itself."""
    bridge = harness.bridge().ready()
    bridge.kill()
    event = uploaded()
    harness.put(envelope.to_message(event), harness.env["VIDEO_QUEUE"])
    harness.exhaust_delivery_limit(harness.env["VIDEO_QUEUE"])
    harness.dead_letter.behave = answers(400)
    bridge.restart().ready()
    until(lambda: harness.depth(harness.topology.parked) == 1)
    assert not harness.convert.asked
    assert harness.dead_letter.asked[0].event == event
    bridge.replay()
    until(lambda: [request.event for request in harness.convert.asked] == [event])


def test_parallelism_is_what_the_setting_says(harness: Harness) -> None:
    """Three requests at once and never more, though seven events wait."""
    gate = harness.convert.behave = Gate(reply)
    bridge = harness.bridge(CONVERT_PARALLELISM="3").ready()
    for _ in range(7):
        bridge.post(uploaded())
    until(lambda: harness.convert.busy == 3)
    until(lambda: harness.depth(harness.env["VIDEO_QUEUE"]) == 4)
    gate.open()
    until(lambda: len(harness.notify.asked) == 7)
    assert harness.convert.busiest == 3
