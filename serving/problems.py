"""Problems: error answers as RFC 9457 describes them, the same for functions, the bridge and the server under both."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

MIMETYPE = "application/problem+json"
TYPE = "urn:videotomp3:problem:"
# Bytes of a problem that may be repeated in a header: nginx takes 4096 for all headers of an answer together.
HEADER_LIMIT = 2048


@dataclass(frozen=True)
class Kind:
    """What all problems of one type have in common (RFC 9457, 3.1)."""

    status: int
    slug: str  # the end of the problem's `type`; clients and dashboards match on it, so it never changes
    title: str


# What servers, the bridge and the gateway have to say. The errors of functions are in functions/model/errors.py; where
# both have the same slug they have the same status and title, which tests/check/test_problems.py holds.
BAD_REQUEST = Kind(400, "bad-request", "The request cannot be read")
INVALID_EVENT = Kind(400, "invalid-event", "That is no event of ours")
NOT_FOUND = Kind(404, "not-found", "There is no such thing, or it is not yours")
METHOD_NOT_ALLOWED = Kind(405, "method-not-allowed", "This address does not take that method")
TOO_LARGE = Kind(413, "too-large", "The request is too large")
ADDRESS_TOO_LONG = Kind(414, "address-too-long", "The address is too long")
EXPECTATION_FAILED = Kind(417, "expectation-failed", "That cannot be expected")
HEADERS_TOO_LARGE = Kind(431, "headers-too-large", "The headers are too large")
INTERNAL = Kind(500, "internal", "Something broke")
NOT_IMPLEMENTED = Kind(501, "not-implemented", "The body is coded")
UNAVAILABLE = Kind(503, "unavailable", "A part of the system is away")

OUR_FAULT = "this is our fault; it is in the log"  # the detail of INTERNAL: what broke is for the log alone


@dataclass(frozen=True)
class Answer:
    """A problem as it leaves: what each server puts into its own kind of response."""

    status: int
    headers: dict[str, str]
    body: bytes


def answer(kind: Kind, detail: str, headers: Mapping[str, str] = MappingProxyType({}), **members: str | None) -> Answer:
    """`detail` says what is wrong and what to do. A member that is None is left out.

    Where it is short, the header `Problem` repeats the body: the gateway replaces the body of every error and could not
    otherwise keep that of ours (gateway/nginx.conf.template).
    """
    problem = {"type": TYPE + kind.slug, "title": kind.title, "status": kind.status, "detail": detail, **members}
    text = json.dumps({name: value for name, value in problem.items() if value is not None})
    copy = {"Problem": text} if len(text) <= HEADER_LIMIT else {}
    return Answer(
        kind.status, {"Content-Type": MIMETYPE, "Cache-Control": "no-store", **copy, **headers}, text.encode()
    )
