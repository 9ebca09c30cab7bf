"""What an answer costs: time and CPU of a function, against a hello-world behind the same gunicorn settings."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path

from emulator.ports import LOOPBACK
from emulator.processes import Process
from tests import videos
from tests.bench import starts
from tests.bench.cpu import spent
from tests.bench.harness import PATIENCE, Harness
from tests.bench.table import Row, in_turn, timed
from tests.jobs import new_job

PAGE = 50  # jobs in a list


def rows(harness: Harness, directory: Path, requests: int, rounds: int) -> Iterator[Row]:
    """One client asks on one connection, so nothing waits for anything else."""
    directory.mkdir()
    owner = harness.upload(videos.plain(directory)).owner  # the bridge must be stopped
    added = [harness.jobs.add(new_job(owner)) for _ in range(PAGE)]
    asked = {
        "GET /jobs/<id>": ("jobs", f"/{added[0].id if added[0] else None}", 2.5),
        f"GET /jobs, {PAGE} of them": ("jobs", f"/?limit={PAGE}", 6),
        "GET /validate": ("validate", "/", 1.9),
    }
    with starts.serving(directory, *starts.hello(directory)) as (port, process):
        hello = _asking(f"{LOOPBACK}:{port}", "/", {}, [process], requests)
        for what, (name, path, most) in asked.items():
            function = harness.system.functions[name]
            ours = _asking(function.address, path, harness.headers, function.processes, requests)
            costs = in_turn(rounds, hello, ours)
            for at, kind in enumerate(("time", "CPU")):
                values = [mine[at] / plain[at] for plain, mine in costs]
                limit = most if kind == "CPU" else None
                yield Row(f"{what}: {kind} against a hello-world", values, at_most=limit)


def _asking(
    address: str, path: str, headers: dict[str, str], processes: Iterable[Process], requests: int
) -> Callable[[], tuple[float, float]]:
    """Seconds by the clock, and of the server's CPU, that so many requests take."""

    def ask() -> None:
        with closing(HTTPConnection(address, timeout=PATIENCE)) as connection:
            for _ in range(requests):
                connection.request("GET", path, headers=headers)
                answer = connection.getresponse()
                content = answer.read()
                assert answer.status == 200, content

    def cost() -> tuple[float, float]:
        before = spent(processes)
        return timed(ask)(), spent(processes).since(before).running

    return cost
