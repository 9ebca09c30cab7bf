"""The first requests of a new instance come all at once: what is made late is made once, and nobody gets half of it."""

import re
import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from flask import Flask, Request, Response
from werkzeug.test import TestResponse

from events import envelope
from functions import web
from functions.model.errors import Unavailable
from tests.events.stage import uploaded
from tests.functions.stage import FILM, Person, load

AtOnce = Callable[[Callable[[], Any]], list[Any]]
ROUNDS = 10
HASHING = ("register", "login")  # a password costs a quarter of a second: one round
EVENT_HEADERS, EVENT = envelope.to_http(uploaded())
REGISTRATION = {"name": "Ada", "username": "ada@example.org", "password": "correct horse"}
FIRST: dict[str, tuple[dict[str, Any], set[int]]] = {
    "register": ({"method": "POST", "json": REGISTRATION}, {201, 409}),
    "login": ({"method": "POST", "auth": ("nobody", "correct horse")}, {401, 429}),
    "validate": ({}, {200}),
    "upload": ({"method": "POST", "data": FILM}, {202}),
    "jobs": ({}, {200}),
    "download": ({"query_string": {"fid": str(uuid4())}}, {404}),
    "ui": ({}, {200}),
    "convert": ({"method": "POST", "headers": EVENT_HEADERS, "data": EVENT}, {202, 429}),
    "notify": ({"method": "POST", "headers": EVENT_HEADERS, "data": EVENT}, {202, 400}),
    "dead_letter": ({"method": "POST", "headers": EVENT_HEADERS, "data": EVENT}, {202}),
    "sweep": ({"method": "POST"}, {200}),
}


@pytest.mark.usefixtures("database", "films", "sink")
@pytest.mark.parametrize("name", FIRST)
def test_the_first_requests_at_once_are_answered_like_any_other(
    name: str, environ: dict[str, str], ada: Person, at_once: AtOnce
) -> None:
    """Not one in thousands is a 500 for being early."""
    request, usual = FIRST[name]
    request = {**request, "headers": {**({} if "auth" in request else ada.headers), **request.get("headers", {})}}
    seen = set()
    for _ in range(1 if name in HASHING else ROUNDS):
        application = load(name, environ)
        seen |= {answer.status_code for answer in at_once(lambda: ask(application, "/", **request))}  # noqa: B023 -- called at once
    assert seen <= usual


@pytest.mark.usefixtures("database")
def test_whoever_watches_beside_others_sees_every_row_s_state(
    environ: dict[str, str], at_once: AtOnce, add: Callable[..., Any], finish: Callable[..., Any]
) -> None:
    """A page is made anew for each who asks, and never while another's is half made."""
    add()
    finish()
    application = load("sweep", environ)
    for _ in range(2 * ROUNDS):
        for page in at_once(lambda: ask(application, "/metrics")):
            assert re.findall(r'^videotomp3_jobs{state="(\w+)"} 1.0$', page.text, re.MULTILINE) == ["done", "queued"]


def test_many_who_ask_whether_it_is_ready_are_one_question_to_the_stores(at_once: AtOnce) -> None:
    """Every platform asks from several places; a store in trouble must not be asked by all of them."""
    asked = []

    def ready() -> None:
        asked.append("the stores")
        time.sleep(0.01)  # they take their time
        raise Unavailable("away")

    for _ in range(ROUNDS):
        application = Flask("f")
        with application.app_context():
            web.serves("GET", ready=ready)(away)
        assert {answer.status_code for answer in at_once(lambda: ask(application, "/_/ready"))} == {503}  # noqa: B023 -- called at once
    assert len(asked) == ROUNDS


def away(_request: Request) -> Response:
    return web.answer({})


def ask(application: Flask, path: str, **request: Any) -> TestResponse:
    return application.test_client().open(path, **request)
