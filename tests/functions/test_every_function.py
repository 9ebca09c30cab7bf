"""What every function owes a platform: health, readiness, one shape of error, and a cheap start."""

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
from functions.convert.sandbox import landlock, seccomp, support
from functions.runtime.settings import NEEDS
from tests.events.harness import uploaded
from tests.functions.harness import FUNCTIONS, PROBLEM, Person, Served, deliver, problem, routes
from tests.waiting import PATIENCE, until

Function = Callable[..., FlaskClient]

ALL = [entry.target for entry in catalogue.load()]
NAMES = {entry.target: entry.name for entry in catalogue.load()}
EVENT_FUNCTIONS = [entry.target for entry in catalogue.load() if entry.events or entry.dead_letter]
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND")
ID = "00000000-0000-4000-8000-000000000000"
# The addresses of each function, and the methods that they take; GET brings HEAD with it.
ADDRESSES = {
    "ui": {path: {"GET"} for path in ("/", "/page.css", "/page.js", "/icon.svg")},
    "validate": {"/": {"GET", "POST"}, "/validate": {"GET", "POST"}},
    "jobs": {
        "/": {"GET", "POST"},
        **{path: {"GET", "DELETE"} for path in (f"/{ID}", f"/{ID}/")},
        **{path: {"POST"} for path in (f"/{ID}/cancel", f"/{ID}/retry")},
        f"/{ID}/waveform": {"GET"},
    },
    "download": {"/": {"GET"}},
    "account": {"/": {"GET", "PATCH"}},
    **{name: {"/": {"POST"}} for name in ("register", "login", "upload", *EVENT_FUNCTIONS, "sweep")},
}
READY = {"convert": {"jail": support.missing(landlock.abi(), filtered=seccomp.here() is not None) or "full"}}
INNER = {f"/_/{what}": {"GET"} for what in ("health", "ready", "stores", "metrics")}
AWAY = {
    "DATABASE_URL": "postgresql://127.0.0.1:1/app",
    "MONGO_URI": "mongodb://127.0.0.1:1/videos?serverSelectionTimeoutMS=300",
    "MONGO_MP3_URI": "mongodb://127.0.0.1:1/mp3s?serverSelectionTimeoutMS=300",
}
DRIVERS = ("psycopg2", "pymongo", "boto3", "moviepy", "numpy", "urllib3", "fastjsonschema", "prometheus_client")


@pytest.mark.parametrize("name", ALL)
def test_it_is_ready_where_its_stores_are(name: str, function: Function) -> None:
    """The answer names the function as template.yml does."""
    answer = function(name).get("/_/ready")
    assert (answer.status_code, answer.json) == (200, {"function": NAMES[name], "ready": True} | READY.get(name, {}))


@pytest.mark.parametrize("name", [name for name in ALL if "database_url" in NEEDS[name]])
def test_it_is_healthy_and_not_ready_where_they_are_away(name: str, function: Function) -> None:
    """A platform must not restart it for that, and must not send it requests."""
    client = function(name, **AWAY)
    assert client.get("/_/health").json == {"function": NAMES[name]}
    document = problem(client.get("/_/ready"), 503, "unavailable")
    assert "127.0.0.1" not in document["detail"]


@pytest.mark.parametrize("name", ALL)
def test_the_routes_it_declares_are_those_it_has(name: str, environ: dict[str, str]) -> None:
    """ADDRESSES has each with an id in its place, so what the next test asks is asked of every declared route."""
    declared = {path.replace("<id>", ID): set(methods) for path, methods in routes(name, environ).items()}
    assert {path.rstrip("/") or "/": methods for path, methods in ADDRESSES[name].items()} == declared


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
    """A 404 problem for every method, also where the framework alone has seen the request."""
    for method in ("GET", "POST", "DELETE", "OPTIONS"):
        problem(function(name).open(path, method=method, headers=ada.headers), 404, "not-found")


@pytest.mark.parametrize("name", ALL)
def test_what_it_counts_is_not_where_a_gateway_lets_people_in(name: str, function: Function, ada: Person) -> None:
    """/metrics is no address of a function: the gateway hands on everything that is not below /_/."""
    problem(function(name).get("/metrics", headers=ada.headers), 404, "not-found")


@pytest.mark.parametrize("name", ALL)
def test_what_is_not_for_people_lies_below_one_path(name: str, loaded: Callable[..., Flask]) -> None:
    """So one rule of a gateway is enough to keep strangers from it."""
    framework = {"/", "/<path:path>", "/robots.txt", "/favicon.ico"}
    assert {rule.rule for rule in loaded(name).url_map.iter_rules()} - framework == set(INNER)


def test_what_breaks_outside_a_handler_is_a_problem_too(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The text of an exception may hold an address or a password, so only the log has it."""
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
    """In Prometheus' format, by the function's name in template.yml."""
    client = function(name)
    client.get("/")
    page = client.get("/_/metrics")
    assert (page.status_code, page.mimetype) == (200, "text/plain")
    assert f'videotomp3_requests_total{{function="{NAMES[name]}"' in page.text


def test_rows_cannot_be_watched_while_postgres_is_away(function: Function) -> None:
    """A page without the rows would look as if the tables were empty."""
    problem(function("sweep", **AWAY).get("/_/metrics"), 503, "unavailable")


SLIPS = {
    "upload": ("POST", "filname", "did you mean `filename`?"),
    "jobs": ("GET", "cursr", "did you mean `cursor`?"),
    "download": ("GET", "id", "did you mean `fid`?"),
    "register": ("POST", "name", "what is known here is nothing"),
}


@pytest.mark.parametrize(("name", "method", "slip", "hint"), [(name, *slip) for name, slip in SLIPS.items()])
def test_a_query_parameter_that_is_not_known_is_named(
    name: str, method: str, slip: str, hint: str, function: Function, ada: Person
) -> None:
    """With the nearest that is known: a typing error must not be ignored as if it meant nothing."""
    answer = function(name).open("/", method=method, query_string={slip: "x"}, headers=ada.headers)
    document = problem(answer, 400, "bad-request", field=slip)
    assert document["detail"] == f"there is no query parameter `{slip}`; {hint}"


@pytest.mark.parametrize(("slip", "shown"), [("\ud800\0\r\n", ""), ("x" * 10_000, "x" * 60), ("", "")])
def test_whatever_a_name_holds_it_can_be_told(slip: str, shown: str, function: Function) -> None:
    """Shortened, and without the characters that no header can carry."""
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
    """Before any code of ours: not in HTML, with its line in the log, and nothing of it in either."""
    server = served("ui")
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as connection:
        connection.sendall(request_)
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        body = answer.read()
    document = json.loads(body)
    assert (answer.status, answer.headers["Content-Type"]) == (status, "application/problem+json")
    assert (document["status"], document["type"]) == (status, PROBLEM + slug)
    assert document.keys() == {"type", "title", "status", "detail"}
    assert b"hush" not in body
    [line] = until(lambda: server.lines(request=answer.headers["X-Request-Id"]))
    assert (line["status"], line["reason"]) == (status, slug)
    assert line["message"].startswith("request refused")
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
    """And its headers are not repeated in the answer."""
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
    """Whether or not it declares its length."""
    client = function(name)
    length = {} if declared else {"environ_overrides": {"CONTENT_LENGTH": "", "wsgi.input_terminated": True}}
    problem(client.post("/", data=b" " * 70_000, **length), 413, "too-large")


def test_loading_connects_to_nothing_and_imports_no_driver() -> None:
    """A cold start pays only for what the first request uses, so drivers are imported late."""
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
    """In one line, before gunicorn forks a worker."""
    log = tmp_path / "log"
    served = Served("upload", {"JWT_SECRET": "short", "SECRETS_DIR": "/nowhere"}, log)
    assert served.process.wait(PATIENCE) != 0
    [line] = log.read_text(encoding="utf-8").splitlines()
    for name in ("DATABASE_URL", "MONGO_URI", "K_SINK", "JWT_SECRET is shorter"):
        assert name in line


@pytest.mark.parametrize("wrong", [{"LOG_LEVEL": "loud"}, {"CONCURRENCY": "many"}])
def test_a_start_with_a_wrong_setting_of_its_server_says_so_in_one_line(wrong: dict[str, str], tmp_path: Path) -> None:
    """Each of them used to be a traceback."""
    log = tmp_path / "log"
    assert Served("ui", wrong, log).process.wait(PATIENCE) != 0
    [line] = log.read_text(encoding="utf-8").splitlines()
    assert line.startswith(f"ui cannot start: {next(iter(wrong))} must be ")


@pytest.mark.parametrize("module", ["functions.runtime.migrate", "functions.convert.jobsink", "events.bridge"])
def test_every_other_process_says_so_in_one_line_too(module: str) -> None:
    """The names that no level has were a traceback; what else is wrong stands in the same line."""
    environ = {"PYTHONPATH": str(FUNCTIONS.parent), "LOG_LEVEL": "loud", "SECRETS_DIR": "/nowhere"}
    run = subprocess.run(
        [sys.executable, "-m", module], env=environ, capture_output=True, encoding="utf-8", check=False
    )
    assert run.returncode != 0
    [line] = (run.stdout + run.stderr).splitlines()
    missing = "AMQP_URL" if module == "events.bridge" else "DATABASE_URL"
    assert "LOG_LEVEL must be DEBUG or INFO" in line
    assert f"{missing} is not set (or the file /nowhere/" in line


def test_a_start_without_a_target_names_those_there_are(tmp_path: Path) -> None:
    """Also where it is misspelt, such as by a dash."""
    log = tmp_path / "log"
    assert Served("dead-letter", {}, log).process.wait(PATIENCE) != 0
    assert "dead_letter" in log.read_text(encoding="utf-8")
