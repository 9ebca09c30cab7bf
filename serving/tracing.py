"""Which request this is: the id that its client may quote, and the trace that its events carry on."""

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

REQUEST_ID = "X-Request-Id"  # on every request that our gateway passes on, and on every answer
_TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")  # W3C Trace Context, 3.2.2
_REQUEST_ID = re.compile(r"[!-~]{1,64}")  # what every header and log line can carry


@dataclass(frozen=True)
class Identity:
    """Of one request."""

    request_id: str
    traceparent: str

    @property
    def trace_id(self) -> str:
        """32 hexadecimal digits: the part of `traceparent` that every step of one trace shares."""
        return self.traceparent[3:35]

    def within(self, traceparent: str | None) -> "Identity":
        """The same request as a part of that trace, where it is one; its id changes too unless its caller chose it."""
        if traceparent is None or not is_traceparent(traceparent):
            return self
        named = self.request_id != self.trace_id
        return Identity(self.request_id if named else traceparent[3:35], traceparent)


def identity(environ: Mapping[str, Any]) -> Identity:
    """Of the request with that WSGI environment.

    The caller's `traceparent` and `X-Request-Id` are kept where they are well formed. Otherwise a trace is begun, and
    the request's id is that of its trace.
    """
    given = environ.get("HTTP_TRACEPARENT", "")
    traceparent = given if is_traceparent(given) else begun()
    named = environ.get("HTTP_X_REQUEST_ID", "")
    return Identity(named if _REQUEST_ID.fullmatch(named) else traceparent[3:35], traceparent)


def is_traceparent(text: str) -> bool:
    return _TRACEPARENT.fullmatch(text) is not None


def begun() -> str:
    """The traceparent of a trace that begins here."""
    # Not from the `secrets` module, which asks the kernel each time: nothing depends on nobody guessing an id.
    trace, parent = random.getrandbits(128) or 1, random.getrandbits(64) or 1
    return f"00-{trace:032x}-{parent:016x}-01"
