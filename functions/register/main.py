"""Register: a name, a username, a password and perhaps an address come in, and a user is added."""

from flask import Request, Response

from functions.model import accounts
from functions.runtime import cores, responses, slots, web, wiring

services = wiring.Services("register")
hashing = slots.hashing(cores.available())


@web.serves("POST", ready=services.ready)
def register(request: Request) -> Response:
    web.query(request)
    body = web.json_body(request, "name", "username", "password", "email")
    registration = accounts.registration(body)
    with hashing.of(None):
        user = services.accounts.add(registration)
    web.note(user=user.id)
    return responses.json(user.public(), 201)
