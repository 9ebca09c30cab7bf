"""What stands between the gateway and a function may answer in its place, and clients must not see that answer."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
import requests
from flask import Flask

from emulator.ports import reserve_port
from emulator.servers.gateway import Gateway
from events import catalogue
from functions.model import errors
from functions.runtime import outcome, responses
from tests.waiting import PATIENCE

TEXT = {"Content-Type": "text/plain; charset=utf-8", "X-Envoy-Upstream-Service-Time": "7", "Server": "envoy"}
OURS = {"Content-Type": "application/problem+json"}
AWAY = "urn:videotomp3:problem:unavailable"
PATHS = ["/jobs", "/jobs/1", "/login", "/register", "/download?fid=1", "/validate", "/"]


class Behind(ThreadingHTTPServer):
    """It stands in the place of every function, and gives the answer that a test has set."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answering)
        self.status, self.headers, self.body = 200, dict[str, str](), b""
        Thread(target=self.serve_forever, daemon=True).start()

    def answers(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body

    def handle_error(self, *_: Any) -> None:
        """nginx closes the connections that it keeps, which would print a traceback among the results of tests."""


class _Answering(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Behind

    def answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response_only(self.server.status)
        for name, value in self.server.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(self.server.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(self.server.body)

    do_GET = do_POST = do_HEAD = do_DELETE = answer  # noqa: N815 -- the library's names

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def behind() -> Iterator[Behind]:
    with Behind() as server:
        yield server
        server.shutdown()


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, behind: Behind) -> Iterator[Gateway]:
    names = [function.name for function in catalogue.load() if function.path]
    with Gateway(
        tmp_path_factory.mktemp("gateway"),
        port=reserve_port(),
        auth_port=reserve_port(),
        addresses=dict.fromkeys(names, f"127.0.0.1:{behind.server_port}"),
        settings={},
    ) as gateway:
        yield gateway


FOREIGN = {
    "Knative's activator gives up": (504, b"activator request timeout\n"),
    "Knative's activator is full": (503, b"pending request queue full"),
    "Knative's queue-proxy fails": (500, b"context deadline exceeded\n"),
    "a cold revision's tunnel breaks": (502, b"EOF\n"),
    "Envoy finds nobody": (503, b"upstream connect error or disconnect/reset before headers. reset reason: connection"),
    "Envoy waits in vain": (504, b"upstream request timeout"),
    "Envoy knows no such host": (404, b""),
    "Envoy may not": (403, b"RBAC: access denied"),
    "Envoy is asked on another's connection": (421, b"Misdirected Request"),
    "Envoy wants another HTTP": (426, b"Upgrade Required"),
    "OpenFaaS knows no such function": (404, b"error finding function jobs.openfaas-fn: not found"),
    "OpenFaaS reaches nobody": (500, b"Can't reach service for: jobs."),
    "somebody counts": (429, b"Too Many Requests"),
    "somebody lacks disk": (507, b"Insufficient Storage"),
}


@pytest.mark.parametrize(("status", "body"), FOREIGN.values(), ids=FOREIGN)
def test_a_foreign_answer_becomes_a_problem_that_passes(
    behind: Behind, gateway: Gateway, status: int, body: bytes
) -> None:
    """It is 503 with a time to try again, and has nothing of the foreign answer; on both ports."""
    behind.answers(status, TEXT, body)
    for url in [*(f"{gateway.url}{path}" for path in PATHS), f"{gateway.auth_url}/login"]:
        answer = requests.get(url, timeout=PATIENCE)
        assert (answer.status_code, answer.headers["Content-Type"]) == (503, "application/problem+json"), url
        assert (answer.json()["type"], answer.json()["status"]) == (AWAY, 503)
        assert (answer.headers["Retry-After"], answer.headers["Cache-Control"]) == ("5", "no-store")
        assert answer.headers["X-Request-Id"]
        assert "x-envoy-upstream-service-time" not in answer.headers


@pytest.mark.parametrize(("status", "body"), FOREIGN.values(), ids=FOREIGN)
def test_no_foreign_answer_of_validate_lets_an_upload_in(
    behind: Behind, gateway: Gateway, status: int, body: bytes
) -> None:
    """The gateway asks validate about the token first, and only validate's own 2xx counts as a yes."""
    behind.answers(status, TEXT, body)
    bearer = {"Authorization": "Bearer x"}
    answer = requests.post(f"{gateway.url}/upload", data=b"video", headers=bearer, timeout=PATIENCE)
    assert (answer.status_code, answer.json()["type"]) == (503, AWAY)


@pytest.mark.parametrize(("status", "slug"), [(400, "bad-request"), (413, "too-large"), (431, "bad-request")])
def test_a_foreign_complaint_about_the_request_stays_one(
    behind: Behind, gateway: Gateway, status: int, slug: str
) -> None:
    """A client that takes it for a 503 would send the same request again, in vain."""
    behind.answers(status, TEXT, b"Bad Request")
    answer = requests.get(f"{gateway.url}/jobs", timeout=PATIENCE)
    assert answer.status_code == (400 if slug == "bad-request" else status)
    assert answer.json()["type"] == f"urn:videotomp3:problem:{slug}"


PROBLEMS = [
    errors.BadRequest("the body must be a JSON object", field="body"),
    errors.Unauthorized("wrong username or password", scheme="Basic"),
    errors.NotFound("you have no job of that id"),
    errors.MethodNotAllowed(("GET", "DELETE")),
    errors.RequestTimeout("the upload took more than an hour"),
    errors.Conflict("that name is taken", field="username"),
    errors.TooLarge("the body must not be larger than 65536 bytes"),
    errors.UnsupportedMedia("that is a picture", reason="no_media"),
    errors.RangeNotSatisfiable(10),
    errors.Unprocessable('the file is empty; “ü” and \\ and " pass too'),
    errors.Throttled("too many logins as ada", retry_after=77),
    errors.Unavailable("the database cannot be reached; try again soon"),
    outcome.Broken(),
]


@pytest.mark.parametrize("trouble", PROBLEMS, ids=lambda trouble: type(trouble).__name__)
def test_a_functions_own_problem_passes_as_it_is(behind: Behind, gateway: Gateway, trouble: errors.Problem) -> None:
    """With its status, body and headers, but without the header that repeats the body for the gateway."""
    with Flask(__name__).app_context():
        made = responses.problem(trouble)
    behind.answers(made.status_code, dict(made.headers.items()), made.get_data())
    answer = requests.get(f"{gateway.url}/jobs/1", timeout=PATIENCE)
    assert (answer.status_code, answer.json()) == (made.status_code, made.json)
    assert answer.headers["Content-Type"] == "application/problem+json"
    wanted = {"Cache-Control": "no-store", **trouble.headers}
    assert {name: answer.headers.get(name) for name in wanted} == wanted
    assert "Problem" not in answer.headers
    assert len(answer.raw.headers.getlist("Retry-After")) <= 1


def test_a_problem_too_long_for_a_header_keeps_its_status(behind: Behind, gateway: Gateway) -> None:
    """nginx takes no more than 4 KiB of headers, so it gets the gateway's text in place of its own."""
    with Flask(__name__).app_context():
        made = responses.problem(errors.BadRequest("ü" * 5000))
    assert "Problem" not in made.headers
    behind.answers(made.status_code, dict(made.headers.items()), made.get_data())
    answer = requests.get(f"{gateway.url}/jobs", timeout=PATIENCE)
    assert (answer.status_code, answer.json()["type"]) == (400, "urn:videotomp3:problem:bad-request")


def test_a_function_of_a_release_without_the_header_keeps_its_status(behind: Behind, gateway: Gateway) -> None:
    """During an update an older function may stand behind a newer gateway."""
    behind.answers(404, OURS, json.dumps({"type": "urn:videotomp3:problem:not-found", "status": 404}).encode())
    answer = requests.get(f"{gateway.url}/jobs/1", timeout=PATIENCE)
    assert (answer.status_code, answer.json()["type"]) == (404, "urn:videotomp3:problem:not-found")


def test_what_others_say_of_themselves_is_not_passed_on(behind: Behind, gateway: Gateway) -> None:
    """Headers such as X-Powered-By are removed, also from an answer that is a function's own."""
    own = {"Content-Type": "application/json", "ETag": '"1"'}
    noise = ("X-Envoy-Upstream-Service-Time", "X-Envoy-Decorator-Operation", "X-Powered-By", "Via", "X-Call-Id")
    more = ("X-Envoy-Attempt-Count", "X-Envoy-Overloaded", "X-Start-Time", "X-Duration-Seconds", "X-Envoy-Degraded")
    behind.answers(200, {**own, **dict.fromkeys((*noise, *more), "x"), "Server": "envoy"}, b"{}")
    answer = requests.get(f"{gateway.url}/jobs", timeout=PATIENCE)
    assert not {name.lower() for name in (*noise, *more)} & {name.lower() for name in answer.headers}
    assert (answer.headers["Server"], answer.headers["ETag"]) == ("nginx", '"1"')
    assert "Retry-After" not in answer.headers
    assert "Cache-Control" not in answer.headers
