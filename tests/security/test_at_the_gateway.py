"""What the gateway does for functions that face the internet: shares by address, headers, and problems, never HTML."""

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.client import HTTPResponse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import requests

from emulator.ports import reserve_port
from emulator.servers.gateway import Gateway
from events import catalogue
from tests.waiting import PATIENCE, until

NAMES = [function.name for function in catalogue.load() if function.path]
Start = Callable[..., Gateway]


class Function(BaseHTTPRequestHandler):
    """It answers as soon as it has the head of a request; that of ui has a policy of its own."""

    protocol_version = "HTTP/1.1"

    def handle_one(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        if self.path == "/page":
            self.send_header("Content-Security-Policy", "default-src 'self'")
        self.end_headers()

    do_GET = do_POST = handle_one  # noqa: N815 -- the library's names

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Function) as server, ExitStack() as running:
        Thread(target=server.serve_forever, daemon=True).start()
        addresses = dict.fromkeys(NAMES, f"127.0.0.1:{server.server_port}")

        def begin(**settings: str) -> Gateway:
            ports = {"port": reserve_port(), "auth_port": reserve_port()}
            return running.enter_context(Gateway(tmp_path, **ports, addresses=addresses, settings=settings))

        yield begin
        server.shutdown()


@pytest.fixture
def connect() -> Iterator[Callable[[Gateway, str, bytes], socket.socket]]:
    with ExitStack() as opened:

        def talk(gateway: Gateway, address: str, sent: bytes) -> socket.socket:
            source = (address, 0)
            made = opened.enter_context(socket.create_connection(("127.0.0.1", gateway.port), PATIENCE, source))
            made.sendall(sent)
            return made

        yield talk


def answer(connection: socket.socket) -> HTTPResponse:
    response = HTTPResponse(connection)
    response.begin()
    return response


@pytest.mark.parametrize(("path", "limit"), [("/account", 8), ("/upload", 3)])
def test_one_address_has_so_many_requests_under_way(
    path: str, limit: int, start: Start, connect: Callable[[Gateway, str, bytes], socket.socket]
) -> None:
    """Their bodies never come. Another address is served meanwhile, and this one again once they are gone."""
    gateway = start(CONNECTIONS_PER_ADDRESS="8", UPLOADS_PER_ADDRESS="3")
    slow = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n".encode()
    held = [connect(gateway, "127.0.0.2", slow) for _ in range(limit)]
    whole = f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
    refused = until(lambda: _status(connect(gateway, "127.0.0.2", whole)) == 429)
    assert refused
    assert _status(connect(gateway, "127.0.0.3", whole)) == 200
    for each in held:
        each.close()
    until(lambda: _status(connect(gateway, "127.0.0.2", whole)) == 200)


def test_two_thousand_slow_connections_of_one_address_close_nobody_out(
    start: Start, connect: Callable[[Gateway, str, bytes], socket.socket]
) -> None:
    """There was room for a thousand and twenty-four."""
    gateway = start()
    for _ in range(2000):
        connect(gateway, "127.0.0.2", b"POST /account HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n")
    assert requests.get(f"{gateway.url}/account", timeout=PATIENCE).status_code == 200


def test_registrations_from_one_address_are_limited(start: Start) -> None:
    """What is refused says what there was too much of."""
    gateway = start(REGISTER_RATE="1r/m", REGISTER_BURST="1")
    answers = [requests.post(f"{gateway.url}/register", timeout=PATIENCE) for _ in range(3)]
    assert [each.status_code for each in answers] == [200, 200, 429]
    assert "registrations" in answers[2].json()["detail"]
    assert int(answers[2].headers["Retry-After"]) > 0


@pytest.mark.parametrize(("url", "header"), [("https://x.example", "max-age=31536000"), ("http://x.example", None)])
def test_browsers_come_by_https_only_where_it_is_there(url: str, header: str | None, start: Start) -> None:
    gateway = start(PUBLIC_URL=url)
    for path in ("/account", "/_/nothing"):
        found = requests.get(f"{gateway.url}{path}", timeout=PATIENCE).headers.get("Strict-Transport-Security")
        assert found == header


def test_what_has_no_policy_gets_one_that_allows_nothing(start: Start) -> None:
    """The page's own is left as it is."""
    gateway = start()
    policies = [
        requests.get(f"{gateway.url}{path}", timeout=PATIENCE).headers["Content-Security-Policy"]
        for path in ("/account", "/_/nothing", "/page")
    ]
    assert policies == [*["default-src 'none'; frame-ancestors 'none'"] * 2, "default-src 'self'"]


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"POST /account HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
        (b"GET /account HTTP/3.0\r\nHost: x\r\n\r\n", 505),
        (b"GET /account HTTP/1.1\r\n\r\n", 400),
        (b"GET /account HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (b"GET /" + b"a" * 20000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    ],
)
def test_what_nginx_refuses_is_a_problem(
    sent: bytes, status: int, start: Start, connect: Callable[[Gateway, str, bytes], socket.socket]
) -> None:
    """And no page of HTML."""
    response = answer(connect(start(), "127.0.0.1", sent))
    assert (response.status, response.headers["Content-Type"]) == (status, "application/problem+json")
    assert b"<html" not in response.read()


def _status(connection: socket.socket) -> int:
    return answer(connection).status
