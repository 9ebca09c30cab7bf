"""One request to a function about an event, and what the answer means (the same as to Knative's dispatcher).

answer                               what becomes of the event
2xx                                  it is done
2xx with an event                    it is done, and the event in the answer follows
404, 408, 409, 429, 5xx, no answer   it is tried again; when its attempts are used up, it is a dead letter
any other status                     it is a dead letter at once
2xx with an event that is invalid    the same
"""

from collections.abc import Mapping
from typing import Any

import urllib3
from urllib3.exceptions import HTTPError, InvalidHeader

from events import envelope
from events.bridge import metrics
from events.bridge.settings import Route
from events.contract import Event, InvalidEvent

NO_ANSWER = 0  # stands where an answer's status would
SUCCESS = range(200, 300)
RETRIABLE = {NO_ANSWER, 404, 408, 409, 429, *range(500, 1000)}

CONNECT_TIMEOUT = 5  # seconds
REPLY_LIMIT = 64 * 1024  # bytes


class Failed(Exception):
    """The function did not handle the event. The event is tried again or becomes a dead letter: see `retriable`."""

    def __init__(self, status: int, answer: bytes, retry_after: float | None = None) -> None:
        super().__init__(status)
        self.status = status  # of HTTP, or NO_ANSWER
        self.answer = answer  # its body, or what is wrong with it
        self.retry_after = retry_after  # seconds that the function asked for

    @property
    def retriable(self) -> bool:
        """Whether a later attempt may succeed."""
        return self.status in RETRIABLE


class FunctionClient:
    """Posts events to functions."""

    def __init__(self, connections: int) -> None:
        self._http = urllib3.PoolManager(retries=False, maxsize=connections)

    def post(self, route: Route, event: Event, headers: Mapping[str, str]) -> Event | None:
        """Posts the event in binary mode, with those headers besides, and returns the event that comes back, if any.

        Raises Failed.
        """
        binary, body = envelope.to_http(event)
        try:
            with metrics.seconds.labels(route.function).time():
                answer, content = self._request(route, {**binary, **headers}, body)
        except HTTPError as error:
            raise Failed(NO_ANSWER, type(error).__name__.encode()) from error
        if answer.status not in SUCCESS:
            raise Failed(answer.status, content, _retry_after(answer))
        if not _carries_event(answer.headers):
            return None
        try:
            return envelope.from_http(answer.headers, content)
        except InvalidEvent as error:
            # Not to be tried again: the function has done its work, and would answer the same.
            metrics.invalid_replies.labels(route.function).inc()
            raise Failed(answer.status, f"invalid reply: {error}".encode()) from error

    def _request(self, route: Route, headers: dict[str, str], body: bytes) -> tuple[urllib3.BaseHTTPResponse, bytes]:
        # A connection that is kept may be closed by the function just as we use it again. That would look like no
        # answer, and cost an attempt.
        headers = {**headers, "Prefer": "reply", "Connection": "close"}
        options: dict[str, Any] = {
            "redirect": False,
            "preload_content": False,
            "timeout": urllib3.Timeout(connect=CONNECT_TIMEOUT, read=route.timeout),
        }
        with self._http.request("POST", route.url, body=body, headers=headers, **options) as answer:
            return answer, answer.read(REPLY_LIMIT + 1)


def _retry_after(answer: urllib3.BaseHTTPResponse) -> float | None:
    try:
        return urllib3.Retry().get_retry_after(answer)
    except InvalidHeader:
        return None


def _carries_event(headers: Mapping[str, str]) -> bool:
    structured = headers.get("content-type", "").startswith("application/cloudevents")
    return structured or any(name.lower().startswith("ce-") for name in headers)
