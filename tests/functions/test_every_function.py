"""What every function owes a platform: health, readiness, one shape of error, and a start that costs little."""

import http.client
import json
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import functions_framework
import pytest
import requests
from flask import Flask
from flask.testing import FlaskClient

from events import catalogue
from functions.runtime.settings import NEEDS
from tests.events.harness import uploaded
from tests.functions.harness import FUNCTIONS, PROBLEM, Person, Served, deliver, problem
from tests.waiting import PATIENCE, until

Function = Callable[..., FlaskClient]

ALL = [entry.target for entry in catalogue.load()]
EVENT_FUNCTIONS = [entry.target for entry in catalogue.load() if entry.events or entry.dead_letter]
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND")
ID = "00000000-0000-4000-8000-000000000000"
# What each takes, by its addresses; GET brings HEAD with it.
ADDRESSES = {
    "ui": {path: {"GET"} for path in ("/", "/page.css", "/page.js", "/icon.svg")},
    "validate": {"/": {"GET", "POST"}, "/validate": {"GET", "POST"}},
    "jobs": {
        "/": {"GET"},
        **{path: {"GET", "DELETE"} for path in (f"/{ID}", f"/{ID}/")},
        **{path: {"POST"} for path in (f"/{ID}/cancel", f"/{ID}/retry")},
    },
    "download": {"/": {"GET"}},
    "account": {"/": {"GET", "PATCH"}},
    **{name: {"/": {"POST"}} for name in ("register", "login", "upload", *EVENT_FUNCTIONS, "sweep")},
}
INNER = {f"/_/{what}": {"GET"} for what in ("health", "ready", "stores", "metrics")}
AWAY = {
    "DATABASE_URL": "postgresql://127.0.0.1:1/app",
    "MONGO_URI": "mongodb://127.0.0.1:1/videos?serverSelectionTimeoutMS=300",
    "MONGO_MP3_URI": "mongodb://127.0.0.1:1/mp3s?serverSelectionTimeoutMS=300",
}
DRIVERS = ("psycopg2", "pymongo", "boto3", "moviepy", "numpy", "urllib3", "fastjsonschema", "prometheus_client")


@pytest.mark.parametrize("name", ALL)
def test_it_is_ready_where_its_stores_are(name: str, function: Function) -> None:
    """Asked once, believed for two seconds."""
    answer = function(name).get("/_/ready")
    assert (answer.status_code, answer.json) == (200, {"function": name, "ready": True})


@pytest.mark.parametrize("name", [name for name in ALL if "database_url" in NEEDS[name]])
def test_it_is_healthy_and_not_ready_where_they_are_away(name: str, function: Function) -> None:
    """A platform must not restart it for that, nor send it work."""
    client = function(name, **AWAY)
    assert client.get("/_/health").json == {"function": name}
    told = problem(client.get("/_/ready"), 503, "unavailable")
    assert "127.0.0.1" not in told["detail"]


@pytest.mark.parametrize("name", ALL)
def test_each_address_takes_what_it_says_it_takes(name: str, function: Function, ada: Person) -> None:
    """Whatever stands in Allow is not refused for its method, and whatever does not is (RFC 9110, 15.5.6)."""
    client = function(name)
    for path, methods in (ADDRESSES[name] | INNER).items():
        takes = methods | ({"HEAD"} if "GET" in methods else set())
        for method in METHODS:
            answer = client.open(path, method=method, headers=ada.headers)
            assert (answer.status_code == 405) == (method not in takes), (method, path)
            if answer.status_code == 405:
                assert set(answer.headers["Allow"].split(", ")) == takes
                assert method == "HEAD" or problem(answer, 405, "method-not-allowed")


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("path", ["/favicon.ico", "/robots.txt", "/x/y/z", "/_//health", "/_/nothing", "/static/x"])
def test_elsewhere_is_nothing(name: str, path: str, function: Function, ada: Person) -> None:
    """A problem for any method, whether the framework or we have found it."""
    for method in ("GET", "POST", "DELETE", "OPTIONS"):
        problem(function(name).open(path, method=method, headers=ada.headers), 404, "not-found")


@pytest.mark.parametrize("name", ALL)
def test_what_it_counts_is_not_where_a_gateway_lets_people_in(name: str, function: Function, ada: Person) -> None:
    """It was at /metrics once."""
    problem(function(name).get("/metrics", headers=ada.headers), 404, "not-found")


@pytest.mark.parametrize("name", ALL)
def test_what_is_not_for_people_lies_below_one_path(name: str, loaded: Callable[..., Flask]) -> None:
    """So that one rule of a gateway keeps all of it in."""
    framework = {"/", "/<path:path>", "/robots.txt", "/favicon.ico"}
    assert {rule.rule for rule in loaded(name).url_map.iter_rules()} - framework == set(INNER)


def test_what_breaks_outside_a_handler_is_a_problem_too(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Not the text of an exception, which may hold an address or a password."""
    source = tmp_path / "main.py"
    source.write_text(BREAKS, encoding="utf-8")
    client = functions_framework.create_app(target="breaks", source=str(source)).test_client()
    caplog.set_level("ERROR")
    for path in ("/", "/_/ready", "/_/metrics"):
        assert "hush" not in str(problem(client.get(path), 500, "internal"))
    assert caplog.text.count("RuntimeError: hush") == 3


BREAKS = """
from functions.runtime import web
def fail(*_):
    raise RuntimeError("hush")
@web.serves("GET", ready=fail, counts=fail)
def breaks(request):
    fail()
"""


@pytest.mark.parametrize("name", ALL)
def test_what_it_counts_can_be_watched(name: str, function: Function) -> None:
    """In Prometheus' format; sweep counts the rows."""
    client = function(name)
    client.get("/")
    page = client.get("/_/metrics")
    assert (page.status_code, page.mimetype) == (200, "text/plain")
    assert f'videotomp3_requests_total{{function="{name}"' in page.text


def test_rows_cannot_be_watched_while_postgres_is_away(function: Function) -> None:
    """A watcher is told so; a page without them would look like an empty table."""
    problem(function("sweep", **AWAY).get("/_/metrics"), 503, "unavailable")


SLIPS = {
    "upload": ("POST", "filname", "did you mean `filename`?"),
    "jobs": ("GET", "befor", "did you mean `before`?"),
    "download": ("GET", "id", "did you mean `fid`?"),
    "register": ("POST", "name", "what is known here is nothing"),
}


@pytest.mark.parametrize(("name", "method", "slip", "hint"), [(name, *slip) for name, slip in SLIPS.items()])
def test_a_query_parameter_that_is_not_known_is_named(
    name: str, method: str, slip: str, hint: str, function: Function, ada: Person
) -> None:
    """With the nearest that is known: a slip of the keyboard must not pass for a wish."""
    answer = function(name).open("/", method=method, query_string={slip: "x"}, headers=ada.headers)
    told = problem(answer, 400, "bad-request", field=slip)
    assert told["detail"] == f"there is no query parameter `{slip}`; {hint}"


@pytest.mark.parametrize(("slip", "shown"), [("\ud800\0\r\n", ""), ("x" * 10_000, "x" * 60), ("", "")])
def test_whatever_a_name_holds_it_can_be_told(slip: str, shown: str, function: Function) -> None:
    """Shortened, and without what no header and no log can carry."""
    problem(function("register").post("/", json={slip: 1}), 400, "bad-request", field=shown)


ILL_FORMED = {
    "no HTTP": (b"GARBAGE hush\r\n\r\n", 400, "bad-request"),
    "a space in the address": (b"GET /?token=hush hush HTTP/1.1\r\nHost: x\r\n\r\n", 400, "bad-request"),
    "another version": (b"GET /?token=hush HTTP/9.9\r\nHost: x\r\n\r\n", 400, "bad-request"),
    "a control character": (b"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: hush\x1f\r\n\r\n", 400, "bad-request"),
    "a header without a colon": (b"GET / HTTP/1.1\r\nHost: x\r\nAuthorization hush\r\n\r\n", 400, "bad-request"),
    "a folded header": (b"GET / HTTP/1.1\r\nHost: x\r\nX: y\r\n hush\r\n\r\n", 400, "bad-request"),
    "two lengths": (b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400, "bad-request"),
    "a long line": (b"GET /" + b"hush" * 2000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414, "address-too-long"),
    "a long header": (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"hush" * 9000 + b"\r\n\r\n", 431, "headers-too-large"),
    "many headers": (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: hush\r\n" * 99 + b"\r\n", 431, "headers-too-large"),
    "an expectation": (b"POST / HTTP/1.1\r\nHost: x\r\nExpect: hush\r\n\r\n", 417, "expectation-failed"),
    "a coding": (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: hush\r\n\r\n", 501, "not-implemented"),
}


@pytest.mark.parametrize(("request_", "status", "slug"), ILL_FORMED.values(), ids=ILL_FORMED)
def test_what_its_server_refuses_is_a_problem_too(
    request_: bytes, status: int, slug: str, served: Callable[..., Served]
) -> None:
    """Before any code of ours: not in HTML, and nothing of it stands in the answer or in the log."""
    server = served("ui")
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as connection:
        connection.sendall(request_)
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        body = answer.read()
    told = json.loads(body)
    assert (answer.status, answer.headers["Content-Type"]) == (status, "application/problem+json")
    assert (told["status"], told["type"]) == (status, PROBLEM + slug)
    assert told.keys() == {"type", "title", "status", "detail"}
    assert b"hush" not in body
    until(lambda: "request refused" in server.log.read_text(encoding="utf-8"))
    assert "hush" not in server.log.read_text(encoding="utf-8")
    assert requests.get(f"{server.url}/_/health", timeout=PATIENCE).ok


NO_EVENTS = {
    "nothing": (b"", {}),
    "JSON that is no event": (b"{}", {"Content-Type": "application/cloudevents+json"}),
    "no JSON": (b"{", {"Content-Type": "application/cloudevents+json"}),
    "an event of another house": (
        b"{}", {"ce-id": "1", "ce-source": "/x", "ce-type": "com.example", "ce-specversion": "1.0", "ce-subject": "y"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", EVENT_FUNCTIONS)
@pytest.mark.parametrize(("body", "headers"), NO_EVENTS.values(), ids=NO_EVENTS)
def test_what_is_no_event_of_ours_is_refused(
    name: str, body: bytes, headers: dict[str, str], function: Function
) -> None:
    """And what came with it is not repeated."""
    answer = function(name).post("/", data=body, headers={**headers, "Authorization": "Bearer secret"})
    problem(answer, 400, "bad-request")
    assert "secret" not in answer.text


@pytest.mark.parametrize("name", EVENT_FUNCTIONS)
def test_an_event_function_believes_no_event_beyond_its_id(name: str, function: Function) -> None:
    """On OpenFaaS anybody can send one: without a row nothing follows from it."""
    answer = deliver(function(name), uploaded())
    assert (answer.status_code, answer.data) == (202, b"")


@pytest.mark.parametrize("name", [*EVENT_FUNCTIONS, "register"])
@pytest.mark.parametrize("declared", [True, False])
def test_a_body_that_should_be_small_is_not_read_further(name: str, declared: bool, function: Function) -> None:
    """Whether it says how long it is or not."""
    client = function(name)
    length = {} if declared else {"environ_overrides": {"CONTENT_LENGTH": "", "wsgi.input_terminated": True}}
    problem(client.post("/", data=b" " * 70_000, **length), 413, "too-large")


def test_loading_connects_to_nothing_and_imports_no_driver() -> None:
    """A cold start pays only for what the first request uses; convert alone may know MoviePy, and does not yet."""
    script = f"""
import json, socket, sys
def refuse(*_): raise AssertionError("connected")
socket.socket.connect = refuse
import functions_framework
found = {{}}
for name in {ALL!r}:
    functions_framework.create_app(target=name, source="{FUNCTIONS}/" + name + "/main.py")
    found[name] = [driver for driver in {DRIVERS!r} if driver in sys.modules]
print(json.dumps(found))
"""
    whole = {name.upper(): "x" * 32 + "://y/z" for names in NEEDS.values() for name in names}
    environ = {"PYTHONPATH": str(FUNCTIONS.parent), **whole}
    run = subprocess.run([sys.executable, "-c", script], env=environ, capture_output=True, encoding="utf-8", check=True)
    assert json.loads(run.stdout) == {name: [] for name in ALL}


def test_a_start_without_its_settings_names_them_all_and_ends(tmp_path: Path) -> None:
    """In one line, before anything is forked."""
    log = tmp_path / "log"
    served = Served("upload", {"JWT_SECRET": "short", "SECRETS_DIR": "/nowhere"}, log)
    assert served.process.wait(PATIENCE) != 0
    [line] = log.read_text(encoding="utf-8").splitlines()
    for name in ("DATABASE_URL", "MONGO_URI", "K_SINK", "JWT_SECRET is shorter"):
        assert name in line


def test_a_start_without_a_target_names_those_there_are(tmp_path: Path) -> None:
    """A misspelt one too."""
    log = tmp_path / "log"
    assert Served("dead-letter", {}, log).process.wait(PATIENCE) != 0
    assert "dead_letter" in log.read_text(encoding="utf-8")
