"""Preconditions: does the client have the very thing that is here? RFC 9110, 13, decided from headers alone.

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
    """What is here: a strong tag, and the second in which it was made (it has never changed since)."""

    etag: str
    modified: datetime | None = None


def wanted(headers: Headers, here: Representation) -> bool:
    """Whether to send it, in the order of 13.2.2; otherwise the client has it already. Raises PreconditionFailed."""
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
    """Whether a part of what is here fits the parts that the client has: If-Range, by strong comparison (13.1.5)."""
    condition = headers.get("If-Range")
    if condition is None or condition == f'"{here.etag}"':
        return True
    return here.modified is not None and _date(condition) == here.modified


def _names(condition: str, here: Representation, *, weakly: bool) -> bool:
    """A list that cannot be read names nothing: then nothing is done or spared on the strength of a misreading."""
    if condition.strip() == "*":
        return True
    if not TAGS.fullmatch(condition):
        return False
    return any(tag == here.etag and (weakly or not weak) for weak, tag in TAG.findall(condition))


def _date(text: str | None) -> datetime | None:
    """None also for what is no date, which is to be ignored."""
    for form in DATES:
        try:
            return datetime.strptime(text or "", form).replace(tzinfo=UTC)
        except ValueError:
            continue
    return None
