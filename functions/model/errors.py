"""What can go wrong between a person and the system, as RFC 9457 problems.

Problem
├── BadRequest 400          ├── RequestTimeout 408        ├── UnsupportedMedia 415
├── Unauthorized 401        ├── Conflict 409              ├── RangeNotSatisfiable 416
├── NotFound 404            ├── Gone 410                  ├── Unprocessable 422
│   └── Missing             ├── PreconditionFailed 412    ├── Throttled 429
└── MethodNotAllowed 405    └── TooLarge 413              └── Unavailable 503
"""

from collections.abc import Collection
from typing import ClassVar

from functions.model.media import printable

MAX_QUOTED = 60  # characters of a text in the request that a problem may repeat


class Problem(Exception):
    """An error that a client is told about. The message is the `detail` of RFC 9457: what is wrong and what to do."""

    status: ClassVar[int]
    slug: ClassVar[str]  # the stable end of the problem's `type`
    title: ClassVar[str]

    def __init__(self, detail: str, *, field: str | None = None, reason: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.field = field  # the part of the request that is wrong
        self.reason = reason  # a stable word for programs, where a client must tell cases of one type apart

    @property
    def headers(self) -> dict[str, str]:
        """Headers that this status owes the client besides the body."""
        return {}


class BadRequest(Problem):
    status, slug, title = 400, "bad-request", "The request cannot be read"


class Unknown(BadRequest):
    """A parameter or member that means nothing here. It is refused because it may be a misspelt one that does.

    The detail suggests the nearest name in `known`.
    """

    def __init__(self, kind: str, name: str, known: Collection[str]) -> None:
        import difflib  # late: hardly any request needs it

        quoted = printable(name)[:MAX_QUOTED]
        near = difflib.get_close_matches(quoted.lower(), known, 1)
        there_are = " or ".join(f"`{each}`" for each in known) or "nothing"
        hint = f"did you mean `{near[0]}`?" if near else f"what is known here is {there_are}"
        super().__init__(f"there is no {kind} `{quoted}`; {hint}", field=quoted)


class Twice(BadRequest):
    """A name that occurs twice in the request. Whichever value were taken, the other would be dropped silently."""

    def __init__(self, where: str, name: str) -> None:
        quoted = printable(name)[:MAX_QUOTED]
        super().__init__(f"the {where} has `{quoted}` twice; which one is meant?", field=quoted)


class Unauthorized(Problem):
    status, slug, title = 401, "unauthorized", "You are not logged in"

    def __init__(self, detail: str, *, scheme: str = "Bearer") -> None:
        super().__init__(detail)
        self._scheme = scheme

    @property
    def headers(self) -> dict[str, str]:
        charset = ', charset="UTF-8"' if self._scheme == "Basic" else ""  # RFC 7617, 2.1
        return {"WWW-Authenticate": f'{self._scheme} realm="video-to-mp3"{charset}'}


class AccountGone(Unauthorized):
    """The token is valid, but its account no longer exists."""

    def __init__(self) -> None:
        super().__init__("the account of this token is gone; register and log in again")


class NotFound(Problem):
    status, slug, title = 404, "not-found", "There is no such thing, or it is not yours"


class Missing(NotFound):
    """A stored file is not there, or not all of it."""


class MethodNotAllowed(Problem):
    status, slug, title = 405, "method-not-allowed", "This address does not take that method"

    def __init__(self, allowed: tuple[str, ...]) -> None:
        super().__init__(f"use {' or '.join(allowed)}")
        self._allowed = allowed

    @property
    def headers(self) -> dict[str, str]:
        return {"Allow": ", ".join(self._allowed)}


class RequestTimeout(Problem):
    status, slug, title = 408, "request-timeout", "The request took too long"


class Conflict(Problem):
    status, slug, title = 409, "conflict", "That does not fit what is there"


class Gone(Problem):
    status, slug, title = 410, "gone", "That was here once and is no more"


class PreconditionFailed(Problem):
    status, slug, title = 412, "precondition-failed", "What is here is not what the request expects"


class TooLarge(Problem):
    status, slug, title = 413, "too-large", "The request is too large"


class UnsupportedMedia(Problem):
    status, slug, title = 415, "unsupported-media", "That is no media file we can read"


class RangeNotSatisfiable(Problem):
    status, slug, title = 416, "range-not-satisfiable", "The file has no such range"

    def __init__(self, size: int) -> None:
        super().__init__(f"the file has {size} bytes; ask for a range within them")
        self._size = size

    @property
    def headers(self) -> dict[str, str]:
        return {"Content-Range": f"bytes */{self._size}"}


class Unprocessable(Problem):
    status, slug, title = 422, "unprocessable", "The request can be read but not carried out"


class Throttled(Problem):
    status, slug, title = 429, "throttled", "Too many attempts"

    def __init__(self, detail: str, *, retry_after: int) -> None:
        super().__init__(detail)
        self._retry_after = retry_after

    @property
    def headers(self) -> dict[str, str]:
        return {"Retry-After": str(self._retry_after)}


class Unavailable(Problem):
    """A part of the system is away: the request was not carried out and can be repeated, and nothing was lost."""

    status, slug, title = 503, "unavailable", "A part of the system is away"

    @property
    def headers(self) -> dict[str, str]:
        return {"Retry-After": "5"}


class MailRefused(Exception):
    """The email can never be delivered: the server refused it for good (SMTP 5yz), or its address is impossible."""
