"""Register: a name, a username and a password come in; a user goes to Postgres."""

from flask import Request, Response

from functions.model import accounts
from functions.runtime import responses, web, wiring

services = wiring.Services("register")


@web.serves("POST", ready=services.ready)
def register(request: Request) -> Response:
    web.query(request)
    body = web.json_body(request, "name", "username", "password", "email")
    user = services.accounts.add(accounts.registration(body))
    web.note(user=user.id)
    return responses.json(user.public(), 201)
