"""The gateway in front of the functions: what it refuses, what it hides and what it passes on."""

import http.client
import json
import re
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import requests

from emulator.ports import reserve_port
from emulator.servers.gateway import TEMPLATE, Gateway
from emulator.system import System
from events import catalogue
from functions.runtime.settings import NEEDS
from tests import videos
from tests.acceptance.person import Person
from tests.functions.harness import load
from tests.waiting import PATIENCE

FUNCTIONS = catalogue.load()
HTTP_FUNCTIONS = [function for function in FUNCTIONS if function.path]
LIMIT = 300_000_000  # MAX_UPLOAD_BYTES of the tests' system
FORM = 5_065_536  # what the gateway lets pass beyond it
TIMES = 20


@pytest.mark.parametrize(
    ("status", "size", "logged_in", "key"),
    [(401, LIMIT, False, ""), (413, LIMIT + FORM + 1, True, ""), (415, LIMIT, True, ""), (400, LIMIT, True, "k" * 999)],
    ids=["not logged in", "too large", "no media", "key too long"],
)
def test_a_large_body_that_is_refused_gets_its_answer(
    system: System, status: int, size: int, logged_in: bool, key: str
) -> None:
    """Break: the server answers before the client has sent everything. Symptom: 502, or a reset connection."""
    headers = {"Authorization": f"Bearer {Person(system).token}"} if logged_in else {}
    headers |= {"Idempotency-Key": key} if key else {}
    answers = [send(system.gateway.port, "/upload", size, headers) for _ in range(TIMES)]
    assert [answer.status for answer in answers] == [status] * TIMES
    assert {answer.headers["Content-Type"] for answer in answers} == {"application/problem+json"}
    assert {json.loads(answer.read())["status"] for answer in answers} == {status}
    if status == 401:
        assert answers[0].headers["WWW-Authenticate"] == 'Bearer realm="video-to-mp3"'


def test_a_body_of_undeclared_size_is_cut_off_at_the_limit(system: System) -> None:
    """A chunked body does not say its size in advance, so its bytes are counted."""
    headers = {"Authorization": f"Bearer {Person(system).token}", "Transfer-Encoding": "chunked"}
    assert send(system.gateway.port, "/upload", LIMIT + 2 * FORM, headers).status in (413, 415)


def send(port: int, path: str, size: int, headers: dict[str, str]) -> http.client.HTTPResponse:
    """Send that many zeros and only then read the answer, as most clients do."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    length = {} if "Transfer-Encoding" in headers else {"Content-Length": str(size)}
    zeros = bytes(1 << 20)
    pieces = (zeros[: min(len(zeros), size - sent)] for sent in range(0, size, len(zeros)))
    connection.request("POST", path, pieces, {**headers, **length}, encode_chunked=not length)
    return connection.getresponse()


@pytest.mark.parametrize("function", HTTP_FUNCTIONS, ids=lambda function: function.name)
def test_every_http_function_has_its_path_and_its_time(function: catalogue.Function) -> None:
    """Paths, ports and time limits in the template are those of the catalogue."""
    text = re.sub(r"\$\{(\w+)\}", r"\1", TEMPLATE.read_text(encoding="utf-8"))
    servers = text.split("\nserver {")[1:]
    found = [re.findall(rf"location +(?:= )?{function.path} +{{(.*?)}}", server, re.DOTALL) for server in servers]
    assert [len(bodies) for bodies in found] == [1, 1 if function.auth_port or function.path == "/" else 0]
    (body,) = found[0]
    assert f"set $function_host {function.target.upper()}_ADDR;" in body
    assert f"proxy_pass http://{function.name}/;" in body
    default = int(re.findall(r"^proxy_read_timeout (\d+)s;", text, re.MULTILINE)[0])
    assert int((re.findall(r"proxy_read_timeout (\d+)s;", body) or [default])[0]) == function.timeout


def test_event_functions_and_the_gateway_s_inner_paths_cannot_be_reached(system: System) -> None:
    """Otherwise anybody could deliver events or start a sweep."""
    for path in ["/_/token", "/_/problem", *(f"/{function.name}" for function in FUNCTIONS if not function.path)]:
        answer = http.client.HTTPConnection("127.0.0.1", system.gateway.port, timeout=PATIENCE)
        answer.request("GET", path)
        assert answer.getresponse().status == 404, path


@pytest.fixture(scope="module")
def routes() -> set[str]:
    """Every route of every function's own application, below each path that the function might have outside."""
    whole = {name.upper(): "x" * 32 + "://y/z" for names in NEEDS.values() for name in names}
    fronts = {"", *(function.path.rstrip("/") if function.path else f"/{function.name}" for function in FUNCTIONS)}
    own = {rule.rule for each in FUNCTIONS for rule in load(each.target, whole).url_map.iter_rules()}
    assert {"/_/health", "/_/ready"} < own
    return {front + re.sub("<[^>]+>", "x", rule) for front in fronts for rule in own}


def encoded(path: str) -> str:
    return re.sub("[^/]", lambda found: f"%{ord(found[0]):02x}", path)


# Other spellings of a path, such as a stranger tries when the path itself is refused.
SPELLINGS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "encoded": encoded,
    "one letter encoded": lambda path: path[:-1] + encoded(path[-1]),
    "underscore encoded": lambda path: path.replace("_", "%5F"),
    "encoded twice": lambda path: path.replace("_", "%255f"),
    "slashes encoded": lambda path: "/" + path[1:].replace("/", "%2f"),
    "slashes encoded and doubled": lambda path: path.replace("/", "/%2F"),
    "slashes doubled": lambda path: path.replace("/", "//"),
    "slashes overlong": lambda path: path.replace("/_", "/%c0%af_"),
    "backslashes": lambda path: "/" + path[1:].replace("/", "\\"),
    "dots": lambda path: path.replace("/", "/./"),
    "dots encoded": lambda path: path.replace("/", "/%2e/"),
    "up and down": lambda path: "/jobs/.." + path,
    "up and down, encoded": lambda path: "/download/%2e%2e" + path,
    "up and down, within": lambda path: path.replace("/_/", "/_/x/../"),
    "up and down, slash encoded": lambda path: path.replace("/_/", "/_/x%2f..%2f"),
    "slash at the end": lambda path: path + "/",
    "space at the end": lambda path: path + "%20",
    "NUL at the end": lambda path: path + "%00",
    "line end at the end": lambda path: path + "%0a",
    "line end within": lambda path: path.replace("/_", "/_%0a"),
    "a question mark within": lambda path: path.replace("/_/", "/x%3f/../_/"),
    "upper case": str.upper,
    "a query": lambda path: path + "?x=/",
    "a fragment": lambda path: path + "#x",
    "a parameter": lambda path: path.replace("/_/", "/_;x=1/"),
    "absolute": lambda path: "http://localhost" + path,
}


@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS)
def test_nothing_inner_of_a_function_is_answered_outside(
    spelling: Callable[[str], str], system: System, routes: set[str], visitor: Person
) -> None:
    """Health, readiness and metrics are for the platform only, however their path is spelled."""
    gateway_s_own = (200, b'{"function":"gateway"}')
    for port in (system.gateway.port, system.gateway.auth_port):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        for route in sorted(routes):
            connection.request("GET", spelling(route), headers={"Authorization": f"Bearer {visitor.token}"})
            answer = connection.getresponse()
            body = answer.read()
            assert not re.search(rb"# (HELP|TYPE) |_total\b|\"ready\"", body), (port, route)
            if "/_/" in route:
                assert answer.status in (400, 404) or (answer.status, body) == gateway_s_own, (port, route)
            if answer.status >= 400:
                assert answer.headers["Content-Type"] == "application/problem+json", (port, route)
        connection.close()


@pytest.fixture(scope="module")
def visitor(system: System) -> Person:
    return Person(system)


@pytest.mark.parametrize("credential", ["Basic \x1f", "Bearer \x7f", "Bearer é"])
def test_a_token_that_no_header_may_hold_is_none(system: System, credential: str) -> None:
    """It is 401, and no failure of ours, though validate's server refuses the first two as no HTTP (RFC 9110, 5.5)."""
    headers = {"Authorization": credential.encode("latin-1")}
    answer = requests.post(f"{system.gateway.url}/upload", data=b"video", headers=headers, timeout=PATIENCE)
    assert (answer.status_code, answer.json()["type"]) == (401, "urn:videotomp3:problem:unauthorized")


@pytest.mark.parametrize("method", ["GET /jobs", "POST /login", "GET /download", "GET /page.js", "POST /validate"])
def test_what_a_function_s_server_takes_for_no_http_is_a_problem_too(system: System, method: str) -> None:
    """nginx passes on control characters, and gunicorn refuses them before any code of the function runs."""
    verb, path = method.split()
    headers = {"Authorization": b"Bearer \x1f"}
    answer = requests.request(verb, f"{system.gateway.url}{path}", headers=headers, timeout=PATIENCE)
    assert (answer.status_code, answer.headers["Content-Type"]) == (400, "application/problem+json")
    assert answer.json()["type"] == "urn:videotomp3:problem:bad-request"


CONDITIONS = [
    ({}, 200, 200),
    ({"If-Match": "*"}, 200, 200),
    ({"If-Match": '"zzz"'}, 412, 412),
    ({"If-None-Match": "*"}, 304, 304),
    ({"If-Modified-Since": "Fri, 31 Dec 9999 23:59:59 GMT"}, 304, 304),
    ({"If-Unmodified-Since": "Sun, 06 Nov 1994 08:49:37 GMT"}, 412, 412),
    ({"Range": "bytes=0-9"}, 206, 200),
    ({"Range": "bytes=-0"}, 416, 200),
    ({"Range": "bytes=0-9", "If-Range": '"zzz"'}, 200, 200),
]


def test_conditions_and_parts_are_the_function_s_to_judge(visitor: Person) -> None:
    """nginx could answer some of them by itself, but it does not know the ETag and the ranges of an MP3."""
    with videos.bunny().open("rb") as video:
        uploaded = visitor.ask("POST", "/upload", params={"filename": "a.mp4"}, data=video).json()
    path = visitor.ended(uploaded)["audio"]["url"]
    for headers, got, head in CONDITIONS:
        answers = [visitor.ask(method, path, headers=headers) for method in ("GET", "HEAD")]
        assert [answer.status_code for answer in answers] == [got, head], headers
        assert not {answer.status_code for answer in answers} & {412, 416} or answers[0].json()["detail"]


METHODS = ("HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "TRACE", "CONNECT")
ID = "00000000-0000-4000-8000-000000000000"
JOBS = ["/jobs", "/jobs/", f"/jobs/{ID}", f"/jobs/{ID}/", f"/jobs/{ID}/cancel", f"/jobs/{ID}/retry"]
OF_AUTH = ["/register", "/login", "/validate", "/_/health"]


@pytest.mark.parametrize("path", [*OF_AUTH, *JOBS, "/account", "/upload", "/download?fid=1", "/", "/page.js"])
def test_every_address_says_which_methods_it_takes(path: str, system: System, visitor: Person) -> None:
    """`Allow` is the same whether the function or nginx refuses a method (RFC 9110, 15.5.6)."""
    for port in (system.gateway.port, *([system.gateway.auth_port] if path in OF_AUTH else [])):
        told: dict[str, str | None] = {}
        for method in METHODS:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
            connection.request(method, path, headers={"Authorization": f"Bearer {visitor.token}"})
            answer = connection.getresponse()
            if answer.status == 405:
                assert answer.headers["Content-Type"] == "application/problem+json"
                told[method] = answer.headers["Allow"]
            connection.close()
        allowed = str(told["TRACE"]).split(", ")
        assert set(told.values()) == {told["TRACE"]}, told
        assert not set(allowed) & set(told)
        assert set(METHODS) - set(told) == set(allowed) - {"GET"}


def test_the_second_port_has_what_the_original_auth_service_had(system: System) -> None:
    """That is register, login and validate, and nothing else."""
    person = Person(system)
    url = system.gateway.auth_url
    bearer = {"Authorization": f"Bearer {person.token}"}
    assert requests.post(f"{url}/validate", headers=bearer, timeout=PATIENCE).json()["username"] == person.address
    for path in ("/upload", "/jobs", "/download", "/"):
        assert requests.get(f"{url}{path}", headers=bearer, timeout=PATIENCE).json()["type"].endswith(":not-found")


def test_the_log_keeps_neither_queries_nor_headers(system: System) -> None:
    """The token of a signed link is in the query, and a password or token in a header."""
    person = Person(system)
    requests.get(f"{system.gateway.url}/download?fid=1&token=hush-query", timeout=PATIENCE)
    requests.get(f"{system.gateway.url}/jobs?x=hush-query", headers={"Authorization": "hush-header"}, timeout=PATIENCE)
    log = (system.gateway.directory / "gateway.log").read_text(encoding="utf-8", errors="replace")
    lines = [json.loads(line) for line in log.splitlines()]
    assert "GET /download" in [line["message"] for line in lines]
    assert "hush" not in log
    assert person.token not in log


class Echo(BaseHTTPRequestHandler):
    """It answers with the path and the headers of the request."""

    protocol_version = "HTTP/1.1"

    def handle_one(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        heard = {"path": self.path, "headers": {name.lower(): value for name, value in self.headers.items()}}
        body = json.dumps(heard).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = handle_one  # noqa: N815 the library's names

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def echo() -> Iterator[ThreadingHTTPServer]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def gateway(tmp_path: Path, echo: ThreadingHTTPServer) -> Iterator[Gateway]:
    """In front of functions that answer with what they got. Nothing listens for `jobs`, and logins are limited."""
    addresses = dict.fromkeys((function.name for function in HTTP_FUNCTIONS), f"127.0.0.1:{echo.server_port}")
    with Gateway(
        tmp_path,
        port=reserve_port(),
        auth_port=reserve_port(),
        addresses={**addresses, "jobs": f"127.0.0.1:{reserve_port()}"},
        settings={"LOGIN_RATE": "1r/m", "LOGIN_BURST": "1"},
    ) as gateway:
        yield gateway


def test_a_function_hears_what_the_gateway_knows_and_nothing_made_up(
    gateway: Gateway, echo: ThreadingHTTPServer
) -> None:
    """The front of the path is stripped, the query stays, the host is the function's, and no `ce-` header passes."""
    forged = {"X-Forwarded-For": "1.2.3.4", "X-Request-Id": "mine", "ce-type": "forged", "ce-id": "1", "X-Own": "kept"}
    answer = requests.post(f"{gateway.url}/upload?filename=a%20b.mp4", headers=forged, data=b"x", timeout=PATIENCE)
    heard = answer.json()
    assert heard["path"] == "/?filename=a%20b.mp4"
    assert heard["headers"]["host"] == f"127.0.0.1:{echo.server_port}"
    assert heard["headers"]["x-forwarded-for"] == "127.0.0.1"
    assert heard["headers"]["x-request-id"] == answer.headers["X-Request-Id"] != "mine"
    assert heard["headers"]["x-own"] == "kept"
    assert not [name for name in heard["headers"] if name.startswith("ce-")]


def test_a_function_that_is_away_is_a_problem_that_passes(gateway: Gateway) -> None:
    """It is 503 with a time to try again, and not nginx's own page with 502."""
    answer = requests.get(f"{gateway.url}/jobs/1?x=1", timeout=PATIENCE)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["type"] == "urn:videotomp3:problem:unavailable"


def test_logins_from_one_address_are_limited(gateway: Gateway) -> None:
    """At every other path there is nothing to gain by guessing."""
    answers = [requests.post(f"{gateway.url}/login", timeout=PATIENCE) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[2].headers["Retry-After"] == "10"
    assert answers[2].json()["type"] == "urn:videotomp3:problem:throttled"


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GARBAGE\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 9000 + b"\r\n\r\n", 400),
        (b"TRACE / HTTP/1.1\r\nHost: x\r\n\r\n", 405),
        (b"POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: 70000\r\n\r\n", 413),
        (b"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: zip\r\n\r\n", 501),
        (b"GET / HTTP/3.0\r\nHost: x\r\n\r\n", 505),
    ],
    ids=["garbage", "no host", "long line", "long header", "trace", "large", "coding", "version"],
)
def test_what_nginx_refuses_by_itself_is_a_problem_too(gateway: Gateway, request_: bytes, status: int) -> None:
    """Clients see one shape of errors, whether a function or nginx found them."""
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=PATIENCE)
    connection.connect()
    connection.sock.sendall(request_)
    answer = http.client.HTTPResponse(connection.sock)
    answer.begin()
    assert (answer.status, answer.headers["Content-Type"]) == (status, "application/problem+json")
    problem = json.loads(answer.read())
    assert problem["status"] == status
    assert set(problem) == {"type", "title", "status", "detail"}
    assert answer.headers["Server"] == "nginx"
