"""Account: a user sees their own account, and changes the address that emails go to."""

from flask import Request, Response

from functions.model import accounts
from functions.runtime import responses, web, wiring

services = wiring.Services("account")


@web.serves("GET", "PATCH", ready=services.ready)
def account(request: Request) -> Response:
    owner = services.bearer.claims(request.headers.get("Authorization")).user
    web.note(user=owner)
    web.query(request)
    if request.method == "PATCH":
        email = accounts.new_email(web.json_body(request, "email"))
        return responses.json(services.accounts.set_email(owner, email).public())
    return responses.json(services.accounts.of(owner).public())
