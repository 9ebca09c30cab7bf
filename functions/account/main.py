"""Account: who I am to the system, and where it mails me."""

from typing import Any

from flask import Request, Response

from functions import web, wiring
from functions.model import accounts
from functions.model.errors import NotFound

services = wiring.Services("account")


@web.serves("GET", "PATCH", ready=services.ready)
def account(request: Request) -> Response:
    owner = services.bearer.claims(request.headers.get("Authorization")).user
    web.note(user=owner)
    if request.path.strip("/"):
        raise NotFound("there is nothing at this address; use /account")
    if request.method == "PATCH":
        return _answer(services.accounts.set_email(owner, accounts.new_email(web.json_body(request))))
    return _answer(services.accounts.of(owner))


def _answer(found: dict[str, Any]) -> Response:
    return web.answer(found | {"id": str(found["id"])})
