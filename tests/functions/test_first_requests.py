"""Requests that come at once to a new instance: what is built late is built once, and nobody gets half of it."""

import re
import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from flask import Flask, Request, Response
from werkzeug.test import TestResponse

from events import catalogue, envelope
from functions.model.errors import Unavailable
from functions.runtime import metrics, responses, web, wiring
from tests.events.harness import uploaded
from tests.functions.harness import VIDEO, Person, load

AtOnce = Callable[[Callable[[], Any]], list[Any]]
ROUNDS = 10
HASHING = ("register", "login")  # a password costs a quarter of a second: one round
EVENT_HEADERS, EVENT = envelope.to_http(uploaded())
REGISTRATION = {"name": "Ada", "username": "ada@example.org", "password": "correct horse"}
FIRST: dict[str, dict[str, Any]] = {
    "register": {"method": "POST", "json": REGISTRATION},
    "login": {"method": "POST", "headers": {"Authorization": "Basic bm9ib2R5OmNvcnJlY3QgaG9yc2U="}},
    "upload": {"method": "POST", "data": VIDEO},
    "download": {"query_string": {"fid": str(uuid4())}},
    **{
        name: {"method": "POST", "headers": EVENT_HEADERS, "data": EVENT}
        for name in ("convert", "dead_letter", "notify")
    },
    "sweep": {"method": "POST"},
}


@pytest.mark.usefixtures("database", "videos", "sink")
@pytest.mark.parametrize("name", [entry.target for entry in catalogue.load()])
def test_the_first_requests_at_once_are_answered_like_any_other(
    name: str, environ: dict[str, str], ada: Person, at_once: AtOnce
) -> None:
    """Being early makes none of them a 500."""
    request = FIRST.get(name, {})
    request = {**request, "headers": {**ada.headers, **request.get("headers", {})}}
    seen = set()
    for _ in range(1 if name in HASHING else ROUNDS):
        application = load(name, environ)
        seen |= {answer.status_code for answer in at_once(lambda: ask(application, "/", **request))}  # noqa: B023 -- called at once
    assert max(seen) < 500


@pytest.mark.usefixtures("database")
def test_whoever_watches_beside_others_sees_every_row_s_state(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, at_once: AtOnce, add: Callable[..., Any],
    finish: Callable[..., Any],
) -> None:  # fmt: skip
    """A page is made for each request, and never while that of another is half made."""
    add()
    finish()
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    services = wiring.Services("sweep")
    for _ in range(2 * ROUNDS):
        for page in at_once(lambda: metrics.page(services.counts)):
            assert set(re.findall(rb'^videotomp3_jobs{state="(\w+)"} 1.0$', page, re.MULTILINE)) == {b"done", b"queued"}


def test_many_who_ask_whether_it_is_ready_are_one_question_to_the_stores(at_once: AtOnce) -> None:
    """Platforms probe from several places at once, which must not multiply the load of a store in trouble."""
    asked = []

    def ready() -> None:
        asked.append("the stores")
        time.sleep(0.01)  # long enough for the others to arrive
        raise Unavailable("away")

    for _ in range(ROUNDS):
        application = Flask("f")
        with application.app_context():
            web.serves("GET", ready=ready)(away)
        assert {answer.status_code for answer in at_once(lambda: ask(application, "/_/ready"))} == {503}  # noqa: B023 -- called at once
    assert len(asked) == ROUNDS


def away(_request: Request) -> Response:
    return responses.json({})


def ask(application: Flask, path: str, **request: Any) -> TestResponse:
    return application.test_client().open(path, **request)
