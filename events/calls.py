"""Calls of functions that are no events: those of the clock, and the bridge's when the broker has lost its queues."""

from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit, urlunsplit


class NotAnswered(Exception):
    """The function could not be reached, or its answer was not 2xx."""


@dataclass(frozen=True)
class Callee:
    """A function, and how to call it."""

    name: str
    url: str
    timeout: float  # seconds that one call may take


def call(callee: Callee, *, timeout: float, query: str = "") -> int:
    """POST an empty body to the function, and return the status, which is 2xx.

    At most `timeout` seconds pass between two bytes. Raises NotAnswered.
    """
    url = urlsplit(callee.url)
    kind = HTTPSConnection if url.scheme == "https" else HTTPConnection
    connection = kind(url.hostname or "", url.port, timeout=timeout)
    target = urlunsplit(("", "", url.path or "/", "&".join(filter(None, (url.query, query))), ""))
    try:
        connection.request("POST", target, body=b"")
        status = connection.getresponse().status
    except (OSError, HTTPException) as error:
        raise NotAnswered(str(error) or type(error).__name__) from error
    finally:
        connection.close()
    if not 200 <= status < 300:
        raise NotAnswered(f"the status is {status}")
    return status
