"""What gunicorn refuses before any code of ours hears of it: a problem like any other (RFC 9457).

gunicorn itself answers in HTML, and logs the line that it stumbled over, in which a token may stand.
"""

import json
from typing import Any

from gunicorn import util
from gunicorn.http import errors
from gunicorn.workers.gthread import ThreadWorker

BROKEN = (500, "internal", "Something broke", "this is our fault; it is in the journal")
UNREADABLE = (400, "bad-request", "The request cannot be read", "send a well-formed HTTP/1.1 request (RFC 9112)")
# By what gunicorn raises; for any other of its ParseExceptions the request is unreadable.
REFUSALS = {
    errors.LimitRequestLine: (414, "address-too-long", "The address is too long", "send a shorter address"),
    errors.LimitRequestHeaders: (431, "headers-too-large", "The headers are too large", "send fewer or shorter ones"),
    errors.ExpectationFailed: (417, "expectation-failed", "That cannot be expected", "expect 100-continue or nothing"),
    errors.UnsupportedTransferCoding: (501, "not-implemented", "The body is coded", "send it as it is, or in chunks"),
    # Raised on the way out, though their parents are about requests.
    errors.InvalidResponseHeader: BROKEN,
    errors.InvalidResponseHeaderName: BROKEN,
}


class Worker(ThreadWorker):  # type: ignore[misc] # gunicorn is untyped, so its class is Any
    """gunicorn's worker with threads; `worker_class` names it."""

    def handle_error(self, _request: Any, client: Any, _address: Any, error: Exception) -> None:
        """Answers, and leaves the connection to be closed: where the next request would begin nobody knows."""
        refusal = REFUSALS.get(type(error), UNREADABLE if isinstance(error, errors.ParseException) else BROKEN)
        if refusal is BROKEN:
            self.log.error("it broke", exc_info=error)
        else:
            self.log.warning("request refused: %s", type(error).__name__)
        try:
            util.write_nonblock(client, _answer(*refusal))
        except OSError:
            self.log.debug("the client is gone")


def _answer(status: int, slug: str, title: str, detail: str) -> bytes:
    problem = {"type": f"urn:videotomp3:problem:{slug}", "title": title, "status": status, "detail": detail}
    body = json.dumps(problem).encode()
    head = (
        f"HTTP/1.1 {status} {title}",
        "Content-Type: application/problem+json",
        f"Content-Length: {len(body)}",
        "Cache-Control: no-store",
        "Connection: close",
    )
    return "\r\n".join((*head, "", "")).encode() + body
