"""Validate: a bearer token comes in, its claims leave.

The status alone says whether the token is valid, so that a reverse proxy can ask (nginx' auth_request).
"""

from flask import Request, Response

from functions.runtime import responses, web, wiring

services = wiring.Services("validate")


# /validate below it is the address of the original's auth service, which AUTH_SVC_ADDR still means (runtime/bearer.py).
@web.serves("GET", "POST", below={"/validate": ("GET", "POST")}, ready=services.ready)
def validate(request: Request) -> Response:
    claims = services.bearer.claims(request.headers.get("Authorization"))
    web.note(user=claims.user)
    who = {"sub": str(claims.user), "username": claims.username, "exp": claims.expires_at}
    return responses.json(who | {"valid": True})  # callers of the original system look for `valid`
