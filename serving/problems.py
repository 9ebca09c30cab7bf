"""Problems, as RFC 9457 has them: one document for the functions, the bridge, and the server under both."""

import json

MIMETYPE = "application/problem+json"
TYPE = "urn:videotomp3:problem:"
BROKEN = (500, "internal", "Something broke", "this is our fault; it is in the log")


def document(status: int, slug: str, title: str | None, detail: str, **members: str | None) -> str:
    """The body of the answer, without the members that are None."""
    problem = {"type": TYPE + slug, "title": title, "status": status, "detail": detail, **members}
    return json.dumps({name: value for name, value in problem.items() if value is not None})
