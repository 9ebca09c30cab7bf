"""Conditional requests (RFC 9110, 13): whether the client already has what is here, decided from headers alone.

werkzeug has is_resource_modified and make_conditional, but to them `If-Match: *` never matches, If-Unmodified-Since is
unknown, and If-Range is true for weak tags and for any later date.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from werkzeug.datastructures import Headers

from functions.model.errors import PreconditionFailed

TAG = re.compile(r'(W/)?"([!#-~\x80-\xff]*)"')  # 8.8.3
TAGS = re.compile(rf"[ \t,]*(?:{TAG.pattern}[ \t]*(?:,[ \t,]*|$))*")
# 5.6.7: the form to send, and the two obsolete ones that must be understood.
DATES = ("%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y")


@dataclass(frozen=True)
class Representation:
    """What is here: its strong entity tag, and the second in which it was made; it has not changed since."""

    etag: str
    modified: datetime | None = None


def wanted(headers: Headers, here: Representation) -> bool:
    """Whether to send it; if not, the client has it already (304). Conditions are taken in the order of 13.2.2.

    Raises PreconditionFailed where If-Match or If-Unmodified-Since does not hold.
    """
    if (expected := headers.get("If-Match")) is not None:
        if not _names(expected, here, weakly=False):
            raise PreconditionFailed("what is here is not what If-Match names; ask again without it")
    elif (limit := _date(headers.get("If-Unmodified-Since"))) and here.modified and here.modified > limit:
        raise PreconditionFailed("what is here is newer than If-Unmodified-Since allows; ask again without it")
    if (had := headers.get("If-None-Match")) is not None:
        return not _names(had, here, weakly=True)
    since = _date(headers.get("If-Modified-Since"))
    return since is None or here.modified is None or here.modified > since


def fits(headers: Headers, here: Representation) -> bool:
    """Whether the client's earlier parts are of what is here now: If-Range, by strong comparison (13.1.5)."""
    condition = headers.get("If-Range")
    if condition is None or condition == f'"{here.etag}"':
        return True
    return here.modified is not None and _date(condition) == here.modified


def _names(condition: str, here: Representation, *, weakly: bool) -> bool:
    """Whether the condition's list of tags has ours. A list that cannot be read counts as one without it."""
    if condition.strip() == "*":
        return True
    if not TAGS.fullmatch(condition):
        return False
    return any(tag == here.etag and (weakly or not weak) for weak, tag in TAG.findall(condition))


def _date(text: str | None) -> datetime | None:
    """None also where the text is no date: such a header is to be ignored (13.1.3)."""
    for form in DATES:
        try:
            return datetime.strptime(text or "", form).replace(tzinfo=UTC)
        except ValueError:
            continue
    return None
