"""What gunicorn refuses before any code of ours hears of it: a problem like any other (RFC 9457).

gunicorn itself answers in HTML, and logs the line that it stumbled over, in which a token may stand.
"""

from typing import Any

from gunicorn import util
from gunicorn.http import errors
from gunicorn.workers.gthread import ThreadWorker

from serving import problems

UNREADABLE = (400, "bad-request", "The request cannot be read", "send a well-formed HTTP/1.1 request (RFC 9112)")
# By what gunicorn raises; for any other of its ParseExceptions the request is unreadable.
REFUSALS = {
    errors.LimitRequestLine: (414, "address-too-long", "The address is too long", "send a shorter address"),
    errors.LimitRequestHeaders: (431, "headers-too-large", "The headers are too large", "send fewer or shorter ones"),
    errors.ExpectationFailed: (417, "expectation-failed", "That cannot be expected", "expect 100-continue or nothing"),
    errors.UnsupportedTransferCoding: (501, "not-implemented", "The body is coded", "send it as it is, or in chunks"),
    # Raised on the way out, though their parents are about requests.
    errors.InvalidResponseHeader: problems.BROKEN,
    errors.InvalidResponseHeaderName: problems.BROKEN,
}


class Worker(ThreadWorker):  # type: ignore[misc] # gunicorn is untyped, so its class is Any
    """gunicorn's worker with threads; `worker_class` names it."""

    def handle_error(self, _request: Any, client: Any, _address: Any, error: Exception) -> None:
        """Answers, and leaves the connection to be closed: where the next request would begin nobody knows."""
        otherwise = UNREADABLE if isinstance(error, errors.ParseException) else problems.BROKEN
        refusal = REFUSALS.get(type(error), otherwise)
        if refusal is problems.BROKEN:
            self.log.error("it broke", exc_info=error)
        else:
            self.log.warning("request refused: %s", type(error).__name__)
        try:
            util.write_nonblock(client, _answer(*refusal))
        except OSError:
            self.log.debug("the client is gone")


def _answer(status: int, slug: str, title: str, detail: str) -> bytes:
    body = problems.document(status, slug, title, detail).encode()
    head = (
        f"HTTP/1.1 {status} {title}",
        f"Content-Type: {problems.MIMETYPE}",
        f"Content-Length: {len(body)}",
        "Cache-Control: no-store",
        "Connection: close",
    )
    return "\r\n".join((*head, "", "")).encode() + body
