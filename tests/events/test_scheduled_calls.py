"""events/clock.py: which schedules it understands, and how it calls a real HTTP server."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Any

import pytest

from events import catalogue, clock
from events.calls import NotAnswered
from serving.environment import Environment, SettingsError
from tests.waiting import PATIENCE, until

ROOT = Path(__file__).resolve().parents[2]
(SWEEP,) = (function for function in catalogue.load() if function.schedule)
# The clock with a schedule that cron has no words for, so that a test need not wait for a full minute.
_EVERY_SECOND = """
import sys
from pathlib import Path
from events import clock
clock.call_for_ever([clock.Scheduled("sweep", sys.argv[1], 600, step=1)], Path(sys.argv[2]))
"""


class Server(ThreadingHTTPServer):
    """In the place of a function. `answer` is called for each request and gives the status."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}/"
        self.requests: list[str] = []
        self.answer: Callable[[], int] = lambda: 200
        self.under_way = 0
        self.most_at_once = 0
        self.lock = Lock()
        Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, *_: Any) -> None:
        """A clock that is stopped hangs up, which is no news."""


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        with self.server.lock:
            self.server.requests.append(f"{self.command} {self.path} {self.headers['Content-Length']}")
            self.server.under_way += 1
            self.server.most_at_once = max(self.server.most_at_once, self.server.under_way)
        status = self.server.answer()
        with self.server.lock:
            self.server.under_way -= 1
        self.send_response(status)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        yield server
        server.shutdown()


@pytest.fixture
def started() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts the clock with arguments and an environment, and ends what is left of it."""
    processes: list[subprocess.Popen[str]] = []

    def start(*arguments: str, python: Sequence[str] = ("-m", "events.clock"), **environ: str) -> subprocess.Popen[str]:
        command = [sys.executable, *python, *arguments]
        out = err = subprocess.PIPE
        processes.append(subprocess.Popen(command, cwd=ROOT, env=environ, encoding="utf-8", stdout=out, stderr=err))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(("schedule", "step"), [("* * * * *", 60), ("*/5 * * * *", 300), (" */59  * * * * ", 3540)])
def test_a_schedule_of_minutes_is_understood(schedule: str, step: int) -> None:
    (found,), _ = clock.read(Environment({}), [replace(SWEEP, schedule=schedule)])
    assert found == clock.Scheduled("sweep", "http://sweep:8080", SWEEP.timeout, step)


@pytest.mark.parametrize(
    "schedule",
    [
        "0 * * * *",
        "*/0 * * * *",
        "*/60 * * * *",
        "* 3 * * *",
        "* * * * * *",
        "*/5",
        "1-5 * * * *",
        "*/5,7 * * * *",
        "@hourly",
    ],
)
def test_a_schedule_that_is_not_understood_is_named(schedule: str) -> None:
    """Guessing could mean never, or a thousand times too often."""
    with pytest.raises(SettingsError, match="the schedule of sweep, ") as refused:
        clock.read(Environment({}), [replace(SWEEP, schedule=schedule)])
    assert schedule in str(refused.value)


def test_a_catalogue_without_schedules_is_refused() -> None:
    """A clock with nothing to do would look healthy for ever."""
    with pytest.raises(SettingsError, match="no function of the catalogue has a schedule"):
        clock.read(Environment({}), [function for function in catalogue.load() if not function.schedule])


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        ({}, "http://sweep:8080"),
        ({"FUNCTION_URL": "", "SWEEP_URL": ""}, "http://sweep:8080"),
        ({"FUNCTION_URL": "http://gateway:8080/function/{name}"}, "http://gateway:8080/function/sweep"),
        ({"FUNCTION_URL": "http://{name}", "SWEEP_URL": "https://elsewhere/"}, "https://elsewhere/"),
    ],
)
def test_functions_are_found_as_the_bridge_finds_them(environ: dict[str, str], url: str) -> None:
    (found,), _ = clock.read(Environment(environ), catalogue.load())
    assert found.url == url


@pytest.mark.parametrize("url", ["sweep:8080", "ftp://sweep/", "http://", "http://[::1", "http://sweep:port/"])
def test_a_url_that_is_none_is_named_with_its_settings(url: str) -> None:
    with pytest.raises(SettingsError, match=r"SWEEP_URL or FUNCTION_URL must be a URL"):
        clock.read(Environment({"SWEEP_URL": url}), catalogue.load())


@pytest.mark.parametrize(
    ("step", "now", "seconds"),
    [
        (60, 0, 60),
        (60, 59.5, 0.5),
        (60, 1_700_000_040, 60),
        (300, 299, 1),
        (300, 300, 300),
        (2400, 3600 + 39 * 60, 60),
        (2400, 3600 + 41 * 60, 19 * 60),
        (3540, 59 * 60, 60),
    ],
)
def test_the_next_time_is_the_next_multiple_within_the_hour(step: int, now: float, seconds: float) -> None:
    """As cron counts: what does not divide an hour begins anew with the next."""
    assert clock.seconds_until_next(step, now) == pytest.approx(seconds)


def test_a_function_is_called_at_once_and_at_its_times_and_never_twice_at_a_time(
    server: Server, started: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    """Of the times that pass during a call one is made up for, however long it takes."""

    def answer() -> int:
        came = time.time()
        if len(server.requests) == 2:
            until(lambda: time.time() > came + 2)  # the function's time comes round twice meanwhile
        return 200

    server.answer = answer
    started(server.url, str(tmp_path), python=("-c", _EVERY_SECOND))
    until(lambda: len(server.requests) == 4)
    assert set(server.requests) == {"POST / 0"}
    assert server.most_at_once == 1


def test_calls_go_on_where_one_is_not_answered(
    server: Server, started: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    """Break: the function answers 503, or hangs up. Recovery: its next time. Only an answer renews the file."""
    statuses = iter([503, 302, 200])
    ages: list[bool] = []

    def answer() -> int:
        ages.append((tmp_path / "sweep").exists())
        return next(statuses, 200)

    server.answer = answer
    started(server.url, str(tmp_path), python=("-c", _EVERY_SECOND))
    until(lambda: len(ages) >= 4)
    assert ages[:4] == [False, False, False, True]


def test_one_call_ends_with_the_function_s_time_limit(server: Server) -> None:
    """A CronJob whose function is broken does not stand in the way of its next run."""
    server.answer = lambda: 500
    with pytest.raises(NotAnswered, match="the status is 500"):
        clock.call_until_answered(clock.Scheduled("sweep", server.url, 0.1, step=60))
    assert len(server.requests) == 1


@pytest.mark.parametrize(("arguments", "code"), [([], 0), (["--once", "sweep"], 1)])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_at_once_though_a_call_is_under_way(
    server: Server,
    started: Callable[..., subprocess.Popen[str]],
    arguments: list[str],
    code: int,
    number: signal.Signals,
) -> None:
    """A call may take minutes; whoever stops the clock waits seconds. One call that was cut short has not succeeded."""
    finish = Event()
    server.answer = lambda: 200 if finish.wait(PATIENCE) else 500
    process = started(*arguments, SWEEP_URL=server.url)
    until(lambda: server.requests)
    process.send_signal(number)
    output, errors = process.communicate(timeout=PATIENCE)
    assert not finish.is_set()
    assert (process.returncode, output, errors) == (code, "", "")
    finish.set()


def test_it_ends_where_a_bug_ends_the_calls(server: Server, started: Callable[..., subprocess.Popen[str]]) -> None:
    """Whoever runs it starts it again then; here the folder for the file is none."""
    process = started("--touch", "/dev/null", SWEEP_URL=server.url)
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert "The calls to sweep have ended." in errors
    assert errors.count("Traceback") == 1


def test_its_log_is_lines_of_json(server: Server, started: Callable[..., subprocess.Popen[str]]) -> None:
    process = started("--once", "sweep", SWEEP_URL=server.url)
    output, errors = process.communicate(timeout=PATIENCE)
    line = json.loads(output)
    assert (process.returncode, errors) == (0, "")
    assert line.items() >= {"level": "info", "message": "called", "function": "sweep", "status": 200}.items()


@pytest.mark.parametrize(
    ("arguments", "environ", "complaint"),
    [
        (["--once", "convert"], {}, "'convert' is no function with a schedule; there is sweep"),
        ([], {"LOG_LEVEL": "LOUD"}, "the clock cannot start: LOG_LEVEL must be "),
        ([], {"FUNCTION_URL": "{name}"}, "the clock cannot start: SWEEP_URL or FUNCTION_URL must be a URL"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    started: Callable[..., subprocess.Popen[str]], arguments: list[str], environ: dict[str, str], complaint: str
) -> None:
    process = started(*arguments, **environ)
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert errors.startswith(complaint)
    assert errors.count("\n") == 1
