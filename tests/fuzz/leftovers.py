"""What a system must not show after hostile inputs: errors in logs, dead processes, too much memory, and left files."""

import json
import re
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from threading import Event, Thread
from typing import Any
from uuid import UUID

import psutil
import psycopg2
import psycopg2.extras
import requests

from emulator.parts import Part
from emulator.system import System
from functions.stores.gridfs import Bucket
from tests.waiting import has_ended

psycopg2.extras.register_uuid()

OWED = "SELECT id, state, tries, last_error FROM jobs WHERE state IN ('queued', 'converting') AND deleted_at IS NULL"
NAMED = "SELECT video FROM jobs WHERE video IS NOT NULL UNION SELECT audio FROM jobs WHERE audio IS NOT NULL"
UNITS = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30}
OURS = re.compile(r"Traceback \(most recent call last\)|^\w*(Error|Exception): ")


class Watch(Thread):
    """Looks every two seconds at the memory of each function, and whether its processes are those of the start."""

    def __init__(self, system: System) -> None:
        super().__init__(name="watch", daemon=True)
        self.finds: dict[str, str] = {}  # by what and whom, so that each is told once
        self.most: dict[str, int] = {}  # bytes, by the function's name
        self._system, self._over = system, Event()
        self._began = {part.name: _processes(part, workers=True) for part in system.parts}

    def stop(self) -> None:
        self._over.set()
        self.join()

    def run(self) -> None:
        while not self._over.wait(2):
            self.look()

    def look(self) -> None:
        for part in self._system.parts:
            dead = [pid for pid, process in self._began[part.name].items() if has_ended(process)]
            if dead:
                self.finds[f"death {part.name}"] = f"{part.name}: the processes {dead} have ended"
        for name, function in self._system.functions.items():
            used = sum(_memory(each) for each in _processes(function).values())
            self.most[name] = max(used, self.most.get(name, 0))
            if used > (limit := size(function.function.memory)):
                self.finds[f"memory {name}"] = f"{name} has {used >> 20} MiB of memory, of {limit >> 20}"


class Stores:
    """The rows and files of the system, past its functions."""

    def __init__(self, system: System) -> None:
        urls = system._stores.urls
        self._database, self._sweep = urls["DATABASE_URL"], system.functions["sweep"].url
        self._buckets = Bucket(urls["MONGO_URI"]), Bucket(urls["MONGO_MP3_URI"])

    def finds(self, seconds: float) -> list[str]:
        """What is left when nothing is to do any more, for which this waits up to so long, twice."""
        owed = self._until_none(self._owed, seconds)
        found = [f"the job {row['id']} is still {row['state']}: {row['last_error']}" for row in owed]
        return found + [f"no row names the file {id_}" for id_ in self._until_none(self._orphans, seconds)]

    def rows(self, statement: str, *values: Any) -> list[dict[str, Any]]:
        with closing(psycopg2.connect(self._database)) as connection, connection:
            cursor = connection.cursor(cursor_factory=psycopg2.extras.RealDictCursor)
            cursor.execute(statement, values)
            return [dict(row) for row in cursor.fetchall()]

    def _until_none(self, look: Any, seconds: float) -> Any:
        deadline = time.monotonic() + seconds
        while (left := look()) and time.monotonic() < deadline:
            time.sleep(1)
            requests.post(self._sweep, timeout=300)
        return left

    def _owed(self) -> list[dict[str, Any]]:
        return self.rows(OWED)

    def _orphans(self) -> set[UUID]:
        files = {id_ for bucket in self._buckets for ids in bucket.files_older_than(-60) for id_ in ids}
        files |= {id_ for bucket in self._buckets for id_ in bucket.unfinished_older_than(-60)}
        return files - {row["video"] for row in self.rows(NAMED)}


def temporary(system: System) -> list[str]:
    """The files that functions and the gateway have left on their disks."""
    folders = [part.directory / ("temporary" if part is system.gateway else "tmp") for part in system.parts]
    kept = {"nginx.pid"}
    return [
        f"left on disk: {path}"
        for each in folders
        if each.is_dir()
        for path in each.rglob("*")
        if path.name not in kept
    ]


def connections(system: System) -> list[str]:
    """Those that a client has closed and a function has not, ten seconds later."""
    deadline = time.monotonic() + 10
    while (left := [*_half_closed(system)]) and time.monotonic() < deadline:
        time.sleep(0.5)
    return left


def logged(system: System) -> list[str]:
    """What is of level error or critical in the logs of our own parts, or no line of a log."""
    ours = (*system.functions.values(), system.bridge, system.clock)
    return [f"{part.name} logs {line[:1500]}" for part in ours for line in _errors(part)]


def processes(system: System) -> list[psutil.Process]:
    """All of the system."""
    return [each for part in system.parts for each in _processes(part).values()]


def outlived(before: list[psutil.Process]) -> list[str]:
    """Those that still run, ten seconds later."""
    _, alive = psutil.wait_procs(before, timeout=10)
    return [f"still runs: {each}" for each in alive if not has_ended(each)]


def size(memory: str) -> int:
    """Bytes, of what Kubernetes writes as 192Mi."""
    return int(memory[:-2]) * UNITS[memory[-2:]]


def _errors(part: Part) -> Iterator[str]:
    path = Path(part.directory, f"{part.name}.log")
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            told = json.loads(line)
        except ValueError:
            if OURS.search(line):
                yield line
            continue
        if isinstance(told, dict) and told.get("level") in ("error", "critical"):
            yield line


def _half_closed(system: System) -> Iterator[str]:
    for name, function in system.functions.items():
        for process in _processes(function).values():
            with suppress(psutil.Error):
                half = [each for each in process.net_connections("tcp") if each.status == psutil.CONN_CLOSE_WAIT]
                waiting = [each for each in half if function.url.endswith(f":{each.laddr.port}/")]
                yield from (f"{name} has not closed {each.laddr} to {each.raddr}" for each in waiting)


def _processes(part: Part, *, workers: bool = False) -> dict[int, psutil.Process]:
    """Those of the part, or only those that stay: ffmpeg and what a server forks for a connection come and go."""
    found: dict[int, psutil.Process] = {}
    for process in part.processes:
        with suppress(psutil.Error, RuntimeError):
            root = psutil.Process(process.pid)
            below = root.children(recursive=not workers)
            is_ours = not workers or part.name not in ("postgres", "rabbitmq", "mongo")
            found |= {each.pid: each for each in (root, *(below if is_ours else ()))}
    return found


def _memory(process: psutil.Process) -> int:
    """Bytes that are its own."""
    with suppress(psutil.Error):
        return int(process.memory_full_info().uss)
    return 0
