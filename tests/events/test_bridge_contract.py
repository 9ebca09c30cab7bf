"""What each answer of a function means: Knative's dispatcher contract, against a real RabbitMQ."""

from base64 import b64decode
from itertools import pairwise

import pytest

from events import contract, envelope
from tests.events.harness import Answer, Gate, Harness, answers, reply, uploaded
from tests.waiting import until


def test_an_event_reaches_its_function_and_the_reply_the_next(harness: Harness) -> None:
    """Binary mode, asking for a reply; what convert replies is delivered to notify."""
    harness.convert.behave = reply
    bridge = harness.bridge().ready()
    event = uploaded()
    assert bridge.post(event).status_code == 202
    until(lambda: bridge.outcomes("notify") == ["done"])
    (asked,) = harness.convert.asked
    assert asked.event == event
    assert asked.headers["prefer"] == "reply"
    assert harness.notify.asked[0].event.type == contract.AUDIO_CONVERTED
    until(lambda: bridge.outcomes("convert") == ["replied"])
    (line,) = (line for line in bridge.lines() if line.get("function") == "convert")
    assert (line["event"], line["job"], line["attempt"]) == (event.id, event.subject, 1)
    assert line["trace"] in str(event.traceparent)


def test_2xx_without_an_event_is_done(harness: Harness) -> None:
    """The delivery is acked: another bridge does not get it again. Nothing follows."""
    bridge = harness.bridge().ready()
    first, second = uploaded(), uploaded()
    bridge.post(first)
    until(lambda: bridge.outcomes("convert") == ["done"])
    bridge.restart().ready().post(second)
    until(lambda: bridge.outcomes("convert") == ["done", "done"])
    assert [asked.event for asked in harness.convert.asked] == [first, second]
    assert not harness.notify.asked
    assert not harness.dead_letter.asked


@pytest.mark.parametrize("status", [301, 400, 401, 410, 415])
def test_a_refusal_is_a_dead_letter_at_once(harness: Harness, status: int) -> None:
    """The dead-letter function is told by whom, with which code and with which words the event was refused."""
    harness.convert.behave = lambda _: Answer(status, {"location": harness.notify.url}, b"not of ours")
    bridge = harness.bridge().ready()
    event = uploaded()
    bridge.post(event)
    until(lambda: bridge.outcomes("dead-letter") == ["done"])
    (asked,) = harness.dead_letter.asked
    assert asked.event == event
    assert asked.headers["ce-knativeerrorcode"] == str(status)
    assert asked.headers["ce-knativeerrordest"] == harness.convert.url
    assert b64decode(asked.headers["ce-knativeerrordata"]) == b"not of ours"
    assert len(harness.convert.asked) == 1
    assert not harness.notify.asked


@pytest.mark.parametrize("status", [404, 408, 409, 429, 500, 503])
def test_trouble_that_may_pass_is_tried_again(harness: Harness, status: int) -> None:
    """The second attempt succeeds, and its reply goes on."""
    first = answers(status, 200)
    harness.convert.behave = lambda asked: reply(asked) if first(asked).status == 200 else Answer(status)
    bridge = harness.bridge().ready()
    bridge.post(uploaded())
    until(lambda: harness.notify.asked)
    until(lambda: bridge.outcomes("convert") == ["retry", "replied"])
    assert not harness.dead_letter.asked


def test_a_function_that_is_away_is_tried_again(harness: Harness) -> None:
    """Nobody listens at its address, then somebody does."""
    port = harness.convert.close()
    bridge = harness.bridge().ready()
    bridge.post(uploaded())
    until(lambda: bridge.outcomes("convert") == ["retry"])
    harness.convert.start(port)
    until(lambda: bridge.outcomes("convert")[-1] == "done")


def test_attempts_are_spaced_and_limited(harness: Harness) -> None:
    """Each delay of the list, the last one again, then a dead letter; the broker keeps the event meanwhile."""
    harness.convert.behave = answers(503)
    bridge = harness.bridge(BRIDGE_RETRIES="3").ready()
    bridge.post(uploaded())
    until(lambda: harness.dead_letter.asked)
    until(lambda: bridge.outcomes("convert") == ["retry", "retry", "retry", "dead"])
    moments = [asked.at for asked in harness.convert.asked]
    gaps = [later - sooner for sooner, later in pairwise(moments)]
    assert [gap >= delay for gap, delay in zip(gaps, (0.2, 0.4, 0.4), strict=True)] == [True] * 3


def test_retry_after_is_honoured_up_to_the_longest_delay(harness: Harness) -> None:
    """A function that asks for an hour waits for the longest step, which comes before its turn."""
    harness.convert.behave = answers(503, 202, retry_after="3600")
    bridge = harness.bridge(BRIDGE_DELAYS="0.1 1.5").ready()
    bridge.post(uploaded())
    until(lambda: len(harness.convert.asked) == 2)
    first, second = harness.convert.asked
    assert second.at - first.at >= 1.5


def test_a_reply_that_is_no_event_is_a_dead_letter(harness: Harness) -> None:
    """It would be the same again, so it is not tried again; it is counted."""
    harness.convert.behave = lambda _: Answer(200, {"ce-id": "1"}, b"{}")
    bridge = harness.bridge().ready()
    bridge.post(uploaded())
    until(lambda: harness.dead_letter.asked)
    until(lambda: bridge.outcomes("convert") == ["dead"])
    assert 'bridge_invalid_replies_total{function="convert"} 1.0' in bridge.metrics()
    assert b"invalid reply" in b64decode(harness.dead_letter.asked[0].headers["ce-knativeerrordata"])


def test_the_reply_to_a_dead_letter_goes_on(harness: Harness) -> None:
    """What dead-letter replies is delivered to notify."""
    harness.convert.behave = answers(400)
    harness.dead_letter.behave = reply
    bridge = harness.bridge().ready()
    bridge.post(uploaded())
    until(lambda: harness.notify.asked)
    until(lambda: bridge.outcomes("dead-letter") == ["replied"])


def test_what_dead_letter_cannot_handle_is_parked_until_replayed(harness: Harness) -> None:
    """Its own attempts are bounded and end in the parked queue; replay starts the event anew where it failed."""
    harness.convert.behave = answers(400)
    harness.dead_letter.behave = answers(500)
    bridge = harness.bridge().ready()
    event = uploaded()
    bridge.post(event)
    until(lambda: bridge.outcomes("dead-letter") == ["retry", "retry", "parked"])
    until(lambda: harness.depth(harness.topology.parked) == 1)
    assert harness.parked()[0]["knativeerrorcode"] == "400"
    assert f'bridge_queue_messages{{queue="{harness.topology.parked}"}} 1.0' in bridge.metrics()

    harness.convert.behave = answers(503, 202)
    assert bridge.replay() == "1 parked event sent again\n"
    until(lambda: bridge.outcomes("convert") == ["dead", "retry", "done"])
    assert harness.convert.asked[-1].event == event
    assert "ce-knativeerrorcode" not in harness.convert.asked[-1].headers
    assert harness.depth(harness.topology.parked) == 0
    assert bridge.replay() == "0 parked events sent again\n"


def test_a_message_that_is_no_event_is_parked(harness: Harness) -> None:
    """No function could do anything with it, dead-letter included; the next event is not held up."""
    bridge = harness.bridge().ready()
    harness.message(b"{oops", harness.env["VIDEO_QUEUE"])
    bridge.post(uploaded())
    until(lambda: sorted(bridge.outcomes("convert")) == ["done", "parked"])
    until(lambda: harness.depth(harness.topology.parked) == 1)
    assert len(harness.convert.asked) == 1


def test_an_event_in_binary_mode_is_read_too(harness: Harness) -> None:
    """As Knative's RabbitMQ broker writes it: attributes in the headers."""
    event = uploaded()
    bridge = harness.bridge().ready()
    headers, body = envelope.to_http(event)
    harness.message(body, harness.env["VIDEO_QUEUE"], content_type="application/json", headers=headers)
    until(lambda: bridge.outcomes("convert") == ["done"])
    assert harness.convert.asked[0].event == event


def test_an_event_beyond_the_delivery_limit_is_a_dead_letter_not_lost(harness: Harness) -> None:
    """Deliveries that ended without an answer are counted by the broker; it sends the event where the bridge would."""
    bridge = harness.bridge().ready()
    bridge.kill()
    event = uploaded()
    harness.message(envelope.to_message(event), harness.env["VIDEO_QUEUE"])
    harness.deliver_in_vain(harness.env["VIDEO_QUEUE"])
    harness.dead_letter.behave = answers(400)
    bridge.restart().ready()
    until(lambda: harness.depth(harness.topology.parked) == 1)
    assert not harness.convert.asked
    assert harness.dead_letter.asked[0].event == event
    bridge.replay()
    until(lambda: [asked.event for asked in harness.convert.asked] == [event])


def test_parallelism_is_what_the_setting_says(harness: Harness) -> None:
    """Three at once and never more, whatever waits; each function has its own."""
    gate = harness.convert.behave = Gate(reply)
    bridge = harness.bridge(CONVERT_PARALLELISM="3").ready()
    for _ in range(7):
        bridge.post(uploaded())
    until(lambda: harness.convert.busy == 3)
    until(lambda: harness.depth(harness.env["VIDEO_QUEUE"]) == 4)
    gate.open()
    until(lambda: len(harness.notify.asked) == 7)
    assert harness.convert.busiest == 3
