"""Validate: a bearer token comes in, its claims leave.

Fit for a reverse proxy's auth_request: the status alone answers.
"""

from flask import Request, Response

from functions.runtime import responses, web, wiring

services = wiring.Services("validate")


# Also where the original's auth service had it: AUTH_SVC_ADDR names a host that is asked there (runtime/bearer.py).
@web.serves("GET", "POST", below={"/validate": ("GET", "POST")}, ready=services.ready)
def validate(request: Request) -> Response:
    claims = services.bearer.claims(request.headers.get("Authorization"))
    web.note(user=claims.user)
    who = {"sub": str(claims.user), "username": claims.username, "exp": claims.expires_at}
    return responses.json(who | {"valid": True})  # which the original's callers look for
