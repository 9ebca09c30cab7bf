"""Login: Basic authentication comes in, an access token leaves.

Every refusal looks the same and takes the same time.
"""

from flask import Request, Response

from functions import web, wiring
from functions.model.accounts import password_matches
from functions.model.errors import Unauthorized

services = wiring.Services("login")


@web.serves("POST", ready=services.ready)
def login(request: Request) -> Response:
    given = request.authorization
    if given is None or given.type != "basic" or not given.username or not given.password or "\0" in given.username:
        raise Unauthorized("send username and password by Basic authentication", scheme="Basic")
    services.accounts.count_attempt(given.username)
    user = services.accounts.find(given.username)
    if not password_matches(given.password, user["password_hash"] if user else None) or user is None:
        raise Unauthorized("the username or the password is wrong", scheme="Basic")
    services.accounts.forget_attempts(given.username)
    web.note(user=user["id"])
    token = services.tokens.issue(user["id"], user["username"])
    return web.answer({"access_token": token, "token_type": "Bearer", "expires_in": services.tokens.seconds})
