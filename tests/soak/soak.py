"""The soak: clients work while faults are made; then the faults stop, what is owed is done, and all is audited."""

import re
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread

import psycopg2
import requests

from tests.acceptance.person import Person
from tests.faults.harness import FAST, Harness
from tests.soak.audit import Findings, audit
from tests.soak.chaos import Chaos
from tests.soak.clients import Client, Record, make_samples
from tests.waiting import until

SETTINGS = FAST | {
    "LEASE_SECONDS": "4",
    "MAX_TRIES": "30",  # so that a good video that fails is a finding, however often its worker was killed
    "UPLOAD_SECONDS": "20",
    "ORPHAN_SECONDS": "40",  # more than any upload or conversion here takes, as it must be
    "ORPHAN_PASS_SECONDS": "5",
    "CONVERT_CORES": "4",  # whatever the machine has: so long sound is encoded in pieces, also two at once
    "BRIDGE_DELAYS": "0.2 0.5 1 2 5",
}
OWED = "SELECT FROM jobs WHERE state IN ('queued', 'converting')"
PIECES = re.compile(r'^videotomp3_parallel_encodings_total\{outcome="(\w+)"\} (\d+)', re.MULTILINE)
UNTOLD = "SELECT FROM notifications WHERE state IN ('owed', 'claimed')"


class Soak:
    def __init__(self, directory: Path, seed: int, clients: int) -> None:
        self._directory, self._seed, self._clients = directory, seed, clients
        self._harness = Harness(directory / "system", settings=SETTINGS)
        self._chaos = Chaos(self._harness, seed)
        self._record = Record()
        self._pieces: dict[tuple[int, str], int] = {}  # by the worker, which counts from 0 when it starts anew
        self._took = self._drained = 0.0

    def run(self, seconds: float, fewest: int = 0) -> Findings:
        """Make faults for so many seconds, and on a slow machine until at least `fewest` videos were accepted."""
        samples = make_samples(self._directory / "videos")
        with self._harness as harness:
            _await_queues(harness)
            over = Event()
            clients = [
                Client(Person(harness, mailed=n % 4 != 3), samples, self._record, over, f"{self._seed}/{n}")
                for n in range(self._clients)
            ]
            clock = Thread(target=self._keep_time, args=(over,), daemon=True)
            for thread in (*clients, clock, self._chaos):
                thread.start()
            began = time.monotonic()
            over.wait(seconds)
            until(lambda: len(self._record.accepted) >= fewest)
            self._chaos.stop()
            self._took = time.monotonic() - began
            harness.heal()
            over.set()
            for thread in (*clients, clock):
                thread.join()
            self._drain()
            return audit(harness, self._record, self._directory)

    def table(self, found: Findings) -> str:
        return "\n".join(f"{name:<34}{value}" for name, value in self._lines(found))

    def _lines(self, found: Findings) -> Iterator[tuple[str, object]]:
        record, faults = self._record, self._chaos.faults
        yield "seed", self._seed
        yield "minutes of faults, of draining", f"{self._took / 60:.1f}, {self._drained / 60:.1f}"
        yield "uploads accepted", len(record.accepted)
        yield "uploads refused, unanswered", f"{record.counts['refused']}, {record.counts['unanswered']}"
        counted = [(kind, whom, times) for (kind, whom), times in faults.items() if kind != "not reached"]
        yield "faults", sum(times for _, _, times in counted)
        for kind in sorted({kind for kind, _, _ in counted}):
            yield f"  {kind}", ", ".join(f"{whom} {times}" for its, whom, times in sorted(counted) if its == kind)
        outcomes = Counter[str]()
        for (_, outcome), times in self._pieces.items():
            outcomes[outcome] += times
        yield "encoded in pieces, at least", ", ".join(f"{each} {times}" for each, times in outcomes.items())
        yield "jobs by end state", ", ".join(f"{state} {times}" for state, times in sorted(found.states.items()))
        for kind in ("lost", "doubled", "orphans", "untold", "surprises"):
            yield kind, len(getattr(found, kind))
        yield "mails repeated (same Message-ID)", found.repeated_mails

    def _keep_time(self, over: Event) -> None:
        """Run sweep every two seconds, each time as if a minute had passed."""
        while not over.wait(2):
            with suppress(psycopg2.Error, requests.RequestException):
                self._harness.let_pass(60)
                self._harness.sweep()
                self._count_pieces()

    def _count_pieces(self) -> None:
        for worker in self._harness.functions["convert"]:
            for process in worker.processes:
                text = requests.get(f"{worker.url}_/metrics", timeout=2).text
                self._pieces |= {(process.pid, outcome): int(times) for outcome, times in PIECES.findall(text)}

    def _drain(self) -> None:
        """Wait until nothing is owed and nothing orphaned, for at most six minutes: what is left then is a finding."""
        began = time.monotonic()
        with suppress(AssertionError):
            self._harness.until_swept(lambda: not self._harness.sql(OWED) and not self._harness.sql(UNTOLD), within=240)
            self._harness.until_swept(lambda: not self._harness.orphans(), within=120)
        self._drained = time.monotonic() - began


def _await_queues(harness: Harness) -> None:
    """Wait until RabbitMQ has noted its new queues on disk.

    Version 3.10 does so some time after a quorum queue was declared; killed before, it comes back with a queue that
    never finds a leader. That can happen only once in a queue's life, and would spoil the whole soak.
    """
    (names,) = harness.rabbitmq.directory.glob("state/*/quorum/*/names.dets")
    queues = (b"video", b"mp3", b"events.dead", b"events.parked")
    until(lambda: all(queue in names.read_bytes() for queue in queues))
