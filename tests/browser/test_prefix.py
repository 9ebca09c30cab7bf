"""The page behind OpenFaaS, whose gateway gives it an address below /function/ and cannot be asked for another."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue
from threading import Thread

import functions_framework
import pytest
from werkzeug.test import Client

import functions
from tests.browser.visitor import Visitor
from tests.waiting import PATIENCE

PREFIX = "/function/ui"


@pytest.fixture
def elsewhere() -> Iterator[tuple[str, Queue[str]]]:
    """The page below the prefix, and the paths at which it looks for the other functions."""
    source = Path(functions.__file__).with_name("ui") / "main.py"
    page = functions_framework.create_app(target="ui", source=str(source)).test_client()
    asked: Queue[str] = Queue()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _gateway(page, asked))
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}{PREFIX}/", asked
    server.shutdown()
    server.server_close()


def test_the_page_finds_its_files_and_its_neighbours(visit: Visitor, elsewhere: tuple[str, Queue[str]]) -> None:
    """Style, script and icon lie beside the page, the functions one level up."""
    url, asked = elsewhere
    visit.open(url)
    visit.fill("login", username="ada", password="correct horse")
    assert asked.get(timeout=PATIENCE) == "/function/login"
    assert visit.run("return document.styleSheets[0].cssRules.length") > 0


def _gateway(page: Client, asked: Queue[str]) -> type[BaseHTTPRequestHandler]:
    class Gateway(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = page.get(self.path.removeprefix(PREFIX))
            self.send_response(answer.status_code)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.data)

        def do_POST(self) -> None:
            asked.put(self.path)
            self.send_error(503)

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    return Gateway
