"""The list of somebody's jobs, page by page."""

import re
from urllib.parse import urlencode
from uuid import UUID

from flask import Request, Response

from functions.jobs import cursor
from functions.model.errors import BadRequest
from functions.runtime import responses
from functions.runtime.wiring import Services

PAGE = "50"  # jobs, where the request does not say how many
LIMIT = re.compile(r"[1-9][0-9]?|100")


def page(services: Services, request: Request, query: dict[str, str], owner: UUID) -> Response:
    """One page, the newest job first; `next` is where the following page is, or null. Raises BadRequest."""
    limit = query.get("limit", PAGE)
    if not LIMIT.fullmatch(limit):
        raise BadRequest("limit must be a whole number from 1 to 100", field="limit")
    after = cursor.read(query["cursor"]) if "cursor" in query else None
    found = services.jobs.list_own(owner, int(limit) + 1, after)  # one more than a page tells that there is another
    shown = found[: int(limit)]
    more = urlencode({"limit": limit, "cursor": cursor.after(shown[-1])}) if len(found) > len(shown) else None
    jobs = [job.public() for job in shown]
    return responses.document(request, {"jobs": jobs, "next": f"/jobs?{more}" if more else None})
