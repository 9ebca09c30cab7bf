"""What the bridge's HTTP side refuses is a problem like any other, and its log says what was refused and why."""

from typing import Any

import pytest
import requests

from events import envelope
from tests.events.harness import Harness, uploaded
from tests.functions.harness import problem
from tests.waiting import PATIENCE, until

HEADERS, _ = envelope.to_http(uploaded())
REFUSALS: dict[str, tuple[dict[str, Any], int, str]] = {
    "no such address": ({"method": "GET", "path": "/hush"}, 404, "not-found"),
    "no such method": ({"method": "PUT", "path": "/"}, 405, "method-not-allowed"),
    "too large": ({"method": "POST", "path": "/", "data": b"hush" * 20_000, "headers": HEADERS}, 413, "too-large"),
    "no event": ({"method": "POST", "path": "/", "data": b"hush", "headers": HEADERS}, 400, "invalid-event"),
}


@pytest.mark.parametrize(("request_", "status", "slug"), REFUSALS.values(), ids=REFUSALS)
def test_a_refusal_has_its_line_in_the_log_by_the_request_s_id(
    request_: dict[str, Any], status: int, slug: str, harness: Harness
) -> None:
    """Without a word of the request beyond the name of what is wrong with an event."""
    bridge = harness.bridge().ready()
    headers = {**request_.get("headers", {}), "X-Request-Id": "r1"}
    answer = requests.request(
        request_["method"],
        bridge.url + request_["path"],
        data=request_.get("data"),
        headers=headers,
        timeout=PATIENCE,
    )
    assert problem(answer, status, slug)["title"]
    assert answer.headers["X-Request-Id"] == "r1"
    [line] = until(lambda: [each for each in bridge.lines() if each["message"] == "request refused"])
    assert (line["status"], line["reason"], line["request"]) == (status, slug, "r1")
    assert len(line["trace"]) == 32
    assert "hush" not in str(bridge.lines())
