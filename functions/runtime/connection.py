"""The connection that a request came on: how long it may stand still, and how it is closed after an early answer."""

import time
from contextlib import suppress

from flask import Request, Response
from gunicorn.http.errors import ParseException
from werkzeug.exceptions import ClientDisconnected

from functions.model.errors import BadRequest

IDLE_SECONDS = 60.0  # how long a client may neither send nor read within a request
LINGER_SECONDS = 30.0  # how long the rest of a request is read after it was refused
LINGER_PIECE = 256 * 1024  # bytes
# What the stream of a body raises when a client hangs up, stands still, or breaks the rules of chunks.
BROKEN_OFF = (ClientDisconnected, OSError, ParseException)


def limit_idling(request: Request) -> None:
    """Ends the connection of a client that stands still for too long: it would hold one of our threads for ever."""
    connection = request.environ.get("gunicorn.socket")
    if connection is not None:
        connection.settimeout(IDLE_SECONDS)


def read(request: Request, count: int) -> bytes:
    """The next bytes of the body, at most `count`; none at its end. Raises BadRequest where it breaks off."""
    try:
        return request.stream.read(count)
    except BROKEN_OFF as error:
        raise BadRequest("the request broke off, or its chunks cannot be read; send it again") from error


def linger(request: Request, response: Response) -> Response:
    """After a refusal has been sent, reads and drops the rest of the request, for a while.

    If the connection were closed while the client still sends, the kernel would drop the answer with it, and nginx
    would say 502.
    """
    stream = request.stream  # now, as `request` may be Flask's name for the present one, and there is none afterwards

    def read_on() -> None:
        until = time.monotonic() + LINGER_SECONDS
        with suppress(*BROKEN_OFF, ValueError):  # the client has hung up, which is what we waited for
            while stream.read(LINGER_PIECE) and time.monotonic() < until:
                pass

    response.call_on_close(read_on)
    return response
