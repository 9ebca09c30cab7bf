"""Cold starts: from exec to the first 200 on /_/health, against a hello-world behind the same gunicorn settings.

Health is asked by http.client, which spends less time of its own than requests would.
"""

import os
import runpy
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from unittest.mock import patch

from gunicorn.config import KNOWN_SETTINGS

from emulator.functions import ROOT
from emulator.ports import LOOPBACK, reserve_port
from emulator.processes import Process, python
from events import catalogue
from tests.bench.table import Row, in_turn

CONF = "functions/runtime/gunicorn.conf.py"
BIND = "import os; bind = os.environ['HOST'] + ':' + os.environ['PORT']"
HELLO = """\
import functions_framework


@functions_framework.http
def hello(request):
    return "hello"
"""
# Nothing connects before it is asked to, so these need only be well-formed.
ENVIRONMENT = {
    "DATABASE_URL": "postgresql://nobody@localhost:1/none",
    **dict.fromkeys(("MONGO_URI", "MONGO_MP3_URI"), "mongodb://localhost:1/none"),
    **dict.fromkeys(("JWT_SECRET", "LINK_SECRET"), "no secret, but as long as one must be"),
    **dict.fromkeys(("K_SINK", "PUBLIC_URL"), "http://localhost:1/"),
    "MAIL_FROM": "bench@example.org",
}
PATIENCE = 60  # seconds


def rows(directory: Path, rounds: int) -> Iterator[Row]:
    """In each round all of them start in turn, after one that says hello."""
    directory.mkdir()
    functions = catalogue.load()
    ours = [
        partial(_start, directory, CONF, {**ENVIRONMENT, "FUNCTION_TARGET": function.target}) for function in functions
    ]
    hellos, *starts = zip(*in_turn(rounds, partial(_start, directory, *hello(directory)), *ours), strict=True)
    for function, taken in zip(functions, starts, strict=True):
        limit = 2.0 if function.image == "convert" else 1.3
        times = [mine / plain for mine, plain in zip(taken, hellos, strict=True)]
        yield Row(f"{function.name}: cold start against a hello-world", times, at_most=limit)


def hello(directory: Path) -> tuple[str, dict[str, str]]:
    """Settings file and environment of one that says hello: gunicorn is set as for ours, and nothing else is ours."""
    (directory / "main.py").write_text(HELLO, encoding="utf-8")
    with patch.dict(os.environ, FUNCTION_TARGET="ui", FUNCTION_SOURCE=""):
        settings = runpy.run_path(str(ROOT / CONF))
    known = {setting.name for setting in KNOWN_SETTINGS} - {"bind", "logconfig_dict"}
    plain = {name: value for name, value in settings.items() if name in known and not callable(value)}
    conf = directory / "gunicorn.conf.py"
    conf.write_text("\n".join([BIND, *(f"{name} = {value!r}" for name, value in plain.items())]), encoding="utf-8")
    return str(conf), {"FUNCTION_TARGET": "hello", "FUNCTION_SOURCE": str(directory / "main.py")}


def _start(directory: Path, conf: str, environment: Mapping[str, str]) -> float:
    began = time.perf_counter()
    with serving(directory, conf, environment):
        return time.perf_counter() - began


@contextmanager
def serving(directory: Path, conf: str, environment: Mapping[str, str]) -> Iterator[tuple[int, Process]]:
    """A function behind gunicorn: its port and its process, as soon as it answers."""
    port = reserve_port()
    argv = python("-m", "gunicorn", "-c", conf, "functions_framework:create_app()")
    process = Process("start", argv, directory, {**environment, "HOST": LOOPBACK, "PORT": str(port)}, cwd=ROOT)
    deadline = time.perf_counter() + PATIENCE
    process.start()
    try:
        while not _is_healthy(port):
            if not process.alive or time.perf_counter() > deadline:
                raise process.failed("does not start")
            time.sleep(0.002)
        yield port, process
    finally:
        process.kill()


def _is_healthy(port: int) -> bool:
    connection = HTTPConnection(LOOPBACK, port, timeout=PATIENCE)
    try:
        connection.request("GET", "/_/health")
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
