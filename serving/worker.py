"""What gunicorn refuses before any code of ours hears of it: a problem like any other (RFC 9457).

gunicorn itself would answer in HTML and log the line that it could not read, in which a token may stand.
"""

from typing import Any

from gunicorn import util
from gunicorn.http import errors
from gunicorn.workers.gthread import ThreadWorker

from serving import problems, tracing
from serving.logs import fields
from serving.pace import PacedSocket

UNREADABLE = (problems.BAD_REQUEST, "send a well-formed HTTP/1.1 request (RFC 9112)")
BROKEN = (problems.INTERNAL, problems.OUR_FAULT)
# By the error that gunicorn raises. Any other of its ParseExceptions means that the request cannot be read.
REFUSALS = {
    errors.LimitRequestLine: (problems.ADDRESS_TOO_LONG, "send a shorter address"),
    errors.LimitRequestHeaders: (problems.HEADERS_TOO_LARGE, "send fewer or shorter ones"),
    errors.ExpectationFailed: (problems.EXPECTATION_FAILED, "expect 100-continue or nothing"),
    errors.UnsupportedTransferCoding: (problems.NOT_IMPLEMENTED, "send it as it is, or in chunks"),
    # Raised on the way out, though their parent classes are about requests.
    errors.InvalidResponseHeader: BROKEN,
    errors.InvalidResponseHeaderName: BROKEN,
}


class Worker(ThreadWorker):  # type: ignore[misc] # gunicorn is untyped, so its class is Any
    """gunicorn's worker with threads; `worker_class` names it."""

    def enqueue_req(self, conn: Any) -> None:
        """A connection is new, or kept: from now on the pace of its client is looked at."""
        if not isinstance(conn.sock, PacedSocket):
            conn.sock = PacedSocket.of(conn.sock)
        conn.sock.begin()
        super().enqueue_req(conn)

    def handle(self, conn: Any) -> Any:
        """Serves a request. What is to be closed afterwards is hung up here, in the thread that served it.

        gunicorn waits for the client to close in the one thread that accepts all others, for two seconds.
        """
        goes_on = super().handle(conn)
        if not goes_on:
            conn.sock.hang_up()
        return goes_on

    def handle_error(self, _request: Any, client: Any, _address: Any, error: Exception) -> None:
        """Answers, and leaves the connection to be closed: nobody knows where the next request would begin."""
        otherwise = UNREADABLE if isinstance(error, errors.ParseException) else BROKEN
        kind, detail = REFUSALS.get(type(error), otherwise)
        identity = tracing.identity({})  # what its headers say cannot be known
        known = fields(
            status=kind.status,
            reason=kind.slug,
            trace=identity.trace_id,
            request=identity.request_id,
        )
        if kind is problems.INTERNAL:
            self.log.error("it broke", exc_info=error, extra=known)
        else:
            self.log.warning("request refused: %s", type(error).__name__, extra=known)
        answer = problems.answer(kind, detail, {tracing.REQUEST_ID: identity.request_id, "Connection": "close"})
        try:
            util.write_nonblock(client, _as_bytes(answer, kind.title))
        except OSError:
            self.log.debug("the client is gone")


def _as_bytes(answer: problems.Answer, phrase: str) -> bytes:
    headers = {**answer.headers, "Content-Length": str(len(answer.body))}
    head = (f"HTTP/1.1 {answer.status} {phrase}", *(f"{name}: {value}" for name, value in headers.items()))
    return "\r\n".join((*head, "", "")).encode() + answer.body
