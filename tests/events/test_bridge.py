"""The bridge against a real RabbitMQ: what comes in, where it goes, what each answer of a function means."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from events import contract
from tests.events.stage import Stage, reply, until, uploaded


@pytest.fixture
def stage(amqp_url: str, tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(amqp_url, tmp_path)
    yield stage
    stage.close()


def test_an_event_reaches_its_function_and_the_reply_the_next(stage: Stage) -> None:
    """Binary mode, asking for a reply; what convert replies is delivered to notify."""
    stage.convert.behave = reply
    bridge = stage.bridge().ready()
    event = uploaded()
    assert bridge.post(event).status_code == 202
    until(lambda: stage.notify.asked)
    (asked,) = stage.convert.asked
    assert asked.event == event
    assert asked.headers["prefer"] == "reply"
    assert stage.notify.asked[0].event.type == contract.AUDIO_CONVERTED
    until(lambda: bridge.outcomes("notify") == ["done"])
    assert bridge.outcomes("convert") == ["replied"]
