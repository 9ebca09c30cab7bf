"""The connection of a request: how long it may be idle, and how it is closed after an early answer."""

import time
from contextlib import suppress

from flask import Request, Response
from gunicorn.http.errors import ParseException
from werkzeug.exceptions import ClientDisconnected

from functions.model.errors import BadRequest, RequestTimeout
from serving.pace import PacedSocket, TooSlow

IDLE_SECONDS = 60.0  # how long a client may neither send nor read within a request
LINGER_SECONDS = 30.0  # how long the rest of a request is read after it was refused
LINGER_PATIENCE = 1.0  # seconds that are waited for it
LINGER_PIECE = 256 * 1024  # bytes
# What reading a body raises when the client hangs up, is idle for too long, or sends malformed chunks.
BROKEN_OFF = (ClientDisconnected, OSError, ParseException)


def limit_idling(request: Request) -> None:
    """Ends the connection of a client that is idle for too long: it would occupy one of our threads for ever."""
    connection = request.environ.get("gunicorn.socket")
    if connection is not None:
        connection.settimeout(IDLE_SECONDS)


def read(request: Request, count: int) -> bytes:
    """The next bytes of the body, at most `count`; none at its end.

    Raises BadRequest where it breaks off, and RequestTimeout where it comes too slowly.
    """
    try:
        return request.stream.read(count)
    except BROKEN_OFF as error:
        if isinstance(error.__context__, TooSlow):
            raise RequestTimeout("the request comes too slowly; try a faster connection") from error
        raise BadRequest("the request broke off, or its chunks cannot be read; send it again") from error


def linger(request: Request, response: Response) -> Response:
    """After a refusal has been sent, reads and drops the rest of the request, for a while.

    If the connection were closed while the client still sends, the kernel would drop the answer with it, and nginx
    would say 502.
    """
    # Taken now: `request` may be Flask's proxy, which is unbound once the answer is sent.
    stream, connection = request.stream, request.environ.get("gunicorn.socket")

    def read_on() -> None:
        until = time.monotonic() + LINGER_SECONDS
        if isinstance(connection, PacedSocket):
            connection.settimeout(LINGER_PATIENCE)
            connection.begin(LINGER_PATIENCE)
        with suppress(*BROKEN_OFF, ValueError):  # the client has hung up, which is what we waited for
            while stream.read(LINGER_PIECE) and time.monotonic() < until:
                pass

    response.call_on_close(read_on)
    return response
