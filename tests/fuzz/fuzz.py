"""The fuzzer: a whole system, clients that send it what is hostile, and a look at what is left."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Lock, Thread

from emulator.system import System
from tests.fuzz import grammar, leftovers, verdict
from tests.fuzz.cast import Cast
from tests.fuzz.connection import Caller, Malformed, Unanswered
from tests.fuzz.tally import Tally

# Limits are left on, where they do not hide everything else; what is to be waited for is short.
SETTINGS = {
    "LOGIN_RATE": "60000r/m",
    "LOGIN_BURST": "1000",
    "LOGIN_FREE_ATTEMPTS": "50",
    "TRANSFERS_PER_USER": "6",
    "MAILS_PER_HOUR": "1000000",
    "MAX_UPLOAD_BYTES": "8000000",
    "MAX_AUDIO_BYTES": "40000000",
    "MAX_DURATION_SECONDS": "3600",
    "CONVERT_SECONDS": "30",
    "UPLOAD_SECONDS": "20",
    "ORPHAN_SECONDS": "40",
    "ORPHAN_PASS_SECONDS": "2",
    "BRIDGE_DELAYS": "0.5 1 2",
    "BRIDGE_RETRIES": "5",
}


@dataclass(frozen=True)
class Bounds:
    """How much is sent: until the first of them is reached."""

    seconds: float
    http: int


class Fuzz:
    """Its state is in `directory`; `environ` may name servers to use in place of its own."""

    def __init__(self, directory: Path, seed: int, environ: Mapping[str, str] | None = None) -> None:
        self._directory, self._seed = directory, seed
        self._system = System(directory / "system", {**SETTINGS, **(environ or {})}, durable=False)
        self.tally = Tally(directory / "inputs")
        self._over = Event()
        self._took = 0.0

    def run(self, bounds: Bounds, clients: int = 3) -> list[str]:
        """Everything that was found."""
        with self._system as system:
            cast = Cast.of(system, self._directory / "videos")
            watch = leftovers.Watch(system)
            watch.start()
            began = time.monotonic()
            with self._working(cast, bounds, clients) as threads:
                self._wait(threads, bounds.seconds, cast)
            self._took = time.monotonic() - began
            self._audit(system, cast, watch)
            running = leftovers.processes(system)
        self.tally.add(*leftovers.outlived(running))
        return self.tally.finds

    def send(self, kind: str, number: int) -> Iterator[str]:
        """One input again, and what comes of it."""
        with self._system as system:
            cast = Cast.of(system, self._directory / "videos")
            caller = Caller(cast.doors)
            given = grammar.make(self._seed, number, cast)
            yield f"{kind}:{number} to {given.name}: {given.data[:2000]!r}"
            for answer in caller.send(given):
                yield f"{answer.status} {dict(answer.headers)} {answer.body[:2000]!r}"
            caller.close()
            yield from leftovers.logged(system)

    def table(self) -> str:
        return "\n".join([f"{'seed':<16}{self._seed}", f"{'seconds':<16}{self._took:.0f}", *self.tally.lines()])

    def _working(self, cast: Cast, bounds: Bounds, clients: int) -> "Workers":
        numbers = Numbers(bounds.http)
        return Workers(self._over, [lambda: self._send_all(cast, numbers)] * clients)

    def _wait(self, threads: list[Thread], seconds: float, cast: Cast) -> None:
        deadline = time.monotonic() + seconds
        while any(thread.is_alive() for thread in threads) and time.monotonic() < deadline:
            for actor in cast.actors:
                actor.refill()
            self._over.wait(0.5)

    def _send_all(self, cast: Cast, numbers: "Numbers") -> None:
        caller = Caller(cast.doors)
        for number in numbers:
            if self._over.is_set():
                break
            self._send(cast, caller, number)
        caller.close()

    def _send(self, cast: Cast, caller: Caller, number: int) -> None:
        given = grammar.make(self._seed, number, cast)
        try:
            answers = caller.send(given)
            finds = verdict.wrong(given, answers, cast)
            self.tally.count("http", *(str(answer.status) for answer in answers))
        except Unanswered as error:
            finds = [f"no answer: {error}"]
            self.tally.count("http", "unanswered")
        except Malformed as error:
            # Some of what is no request is answered as HTTP 0.9 has it: a body and nothing else.
            finds = [f"no answer of HTTP: {error}"] if given.whole else []
            self.tally.count("http", "no HTTP")
        except OSError as error:
            finds = [f"no connection: {error}"]
        for what in finds:
            self.tally.find("http", number, given.name, what, given.data)

    def _audit(self, system: System, cast: Cast, watch: leftovers.Watch) -> None:
        for actor in cast.actors:
            gone = [id_ for id_ in actor.jobs if actor.person.ask("GET", f"/jobs/{id_}").status_code != 200]
            self.tally.add(*(f"{actor.name}'s job {id_} is gone, which nobody deleted" for id_ in gone))
        self.tally.add(*leftovers.Stores(system).finds(180), *leftovers.temporary(system))
        self.tally.add(*leftovers.connections(system), *leftovers.logged(system))
        watch.stop()
        watch.look()
        self.tally.add(*watch.finds.values())


class Numbers:
    """The numbers from 0 on, each to one of several threads."""

    def __init__(self, count: int) -> None:
        self._numbers, self._lock = iter(range(count)), Lock()

    def __iter__(self) -> Iterator[int]:
        return self

    def __next__(self) -> int:
        with self._lock:
            return next(self._numbers)


class Workers(ExitStack):
    """Threads that work until `over` is set, which is when the block ends, or until each is done."""

    def __init__(self, over: Event, works: list[Callable[[], None]]) -> None:
        super().__init__()
        self._over, self._threads = over, [Thread(target=work, daemon=True) for work in works]

    def __enter__(self) -> list[Thread]:  # type: ignore[override] # ExitStack gives itself
        for thread in self._threads:
            thread.start()
        return self._threads

    def __exit__(self, *details: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()
