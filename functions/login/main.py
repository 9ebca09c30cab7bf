"""Login: username and password come in by Basic authentication, an access token leaves.

An unknown username and a wrong password get the same answer after the same time, so that nobody can find out who has
an account.
"""

from flask import Request, Response

from functions.model.accounts import credentials, password_matches
from functions.model.errors import Unauthorized
from functions.runtime import cores, responses, slots, web, wiring

services = wiring.Services("login")
hashing = slots.hashing(cores.available())


@web.serves("POST", ready=services.ready)
def login(request: Request) -> Response:
    username, password = credentials(request.headers.get("Authorization"))
    with hashing.of(None):
        services.accounts.count_login_attempt(username)
        user = services.accounts.find(username)
        is_right = password_matches(password, user.password_hash if user else None)
    if user is None or not is_right:
        raise Unauthorized("the username or the password is wrong", scheme="Basic")
    services.accounts.forget_login_attempts(username)
    web.note(user=user.id)
    token = services.tokens.issue(user.id, user.username)
    return responses.json({"access_token": token, "token_type": "Bearer", "expires_in": services.tokens.seconds})
