"""What `make fuzz` has found, each as a test."""

from dataclasses import replace

import pytest

from events import envelope
from events.contract import InvalidEvent
from tests.events.harness import uploaded


@pytest.mark.parametrize("structured", [True, False])
def test_an_event_whose_id_no_message_can_have_is_refused(*, structured: bool) -> None:
    """The broker refused it, which looked like trouble that passes: whoever had sent it was told to send it again."""
    for length, fits in ((255, True), (256, False)):
        event = replace(uploaded(), id="x" * length)
        headers, body = envelope.to_http(event)
        if structured:
            headers, body = {"content-type": envelope.STRUCTURED}, envelope.to_message(event)
        if fits:
            assert envelope.from_http(headers, body) == event
        else:
            with pytest.raises(InvalidEvent, match="255"):
                envelope.from_http(headers, body)
