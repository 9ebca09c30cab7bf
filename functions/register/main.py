"""Register: a name, a username, a password and perhaps an address come in, and a user is added."""

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
