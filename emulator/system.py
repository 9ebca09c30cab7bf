"""All parts together: the servers, the bridge, every function of the catalogue, the gateway, and the clock."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from threading import Event
from typing import Self

from emulator import settings, state, stores
from emulator.functions import ROOT, Bridge, Clock, Function
from emulator.parts import Part
from emulator.ports import LOOPBACK, reserve_port
from emulator.processes import PartFailed, Process, python
from emulator.servers.gateway import Gateway
from emulator.servers.mailbox import Mailbox
from emulator.servers.mongo import Mongo
from emulator.servers.postgres import Postgres
from emulator.servers.rabbitmq import RabbitMQ
from events import catalogue

_PATIENCE = 90.0  # seconds until everything must serve
_PAUSES = (0.5, 2.0, 8.0, 30.0)  # seconds before a part is started again: after its first recent death, its second, …
_RECENT = 120.0  # seconds after which a death no longer counts


class System:
    """The whole system, with its state in `directory`.

    `environ` may name servers to use instead of our own (DATABASE_URL, MONGO_URI, MONGO_MP3_URI, AMQP_URL) and has the
    settings of the parts. `tell` is called with a line for people when a part becomes ready, dies, or is started again.
    Without `durable` the stores are faster, and lose their data if the machine crashes.

    Raises PartFailed where the directory cannot be used, StateInUse where another system runs on it.
    """

    def __init__(
        self,
        directory: Path,
        environ: Mapping[str, str],
        *,
        port: int | None = None,
        auth_port: int | None = None,
        durable: bool = True,
        tell: Callable[[str], None] = lambda _line: None,
    ) -> None:
        self.directory = directory.absolute()
        self._environ = environ
        self._tell = tell
        self._lock = state.lock(self.directory)
        self._stopping = Event()
        self._deaths: dict[Part, list[float]] = {}  # when each part died of late
        self._waiting: list[Part] = []  # parts that are still to be started
        self._loading: list[Part] = []  # parts that have been started and need the processor
        self._stores = stores.choose(environ, self.directory, durable=durable)
        self.mailbox = Mailbox(self.directory / "mailbox")
        ingress, port = f"{LOOPBACK}:{reserve_port()}", port or reserve_port()
        self.functions = self._functions(ingress, port)
        urls = {f"{each.function.target.upper()}_URL": each.url for each in self.functions.values()}
        for_all = settings.choose(environ, settings.FOR_ALL)
        for_bridge = settings.choose(environ, settings.FOR_BRIDGE)
        self.bridge = Bridge(
            self.directory / "bridge",
            ingress,
            {"AMQP_URL": self._stores.urls["AMQP_URL"], **urls, **for_all, **for_bridge},
        )
        self.clock = Clock(self.directory / "clock", {**urls, **for_all})
        self.gateway = Gateway(
            self.directory / "gateway",
            port=port,
            auth_port=auth_port or reserve_port(),
            addresses={name: each.address for name, each in self.functions.items() if each.function.path},
            settings=environ,
        )

    @property
    def is_stopping(self) -> bool:
        """Whether it has been told to stop, or could not start."""
        return self._stopping.is_set()

    @property
    def parts(self) -> list[Part]:
        """All parts in the order in which they start.

        First the gateway, whose ports another program may have; then the servers, which take longest; last the clock,
        because it calls functions as soon as it runs.
        """
        return [
            *(self.gateway, *self._stores.servers, self.mailbox),
            *(*self.functions.values(), self.bridge, self.clock),
        ]

    def __enter__(self) -> Self:
        with ExitStack() as on_failure:
            on_failure.callback(self.stop)
            self.start()
            on_failure.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start all parts side by side, and return when every one serves. Raises PartFailed."""
        began = time.monotonic()
        for part in (self.gateway, *self._stores.servers):
            part.start()
        self._waiting = [self.mailbox, *self.functions.values(), self.bridge]
        try:
            self._await_all(began)
        except PartFailed as failure:
            if not self._restart_broker_without_state(failure):
                raise
            self._await_all(time.monotonic())
        self.clock.start()
        self._report(self.clock, began)

    def watch(self) -> None:
        """Look once at every part, and start again what has died."""
        for part in self.parts:
            deaths = self._deaths.setdefault(part, [])
            try:
                if part.processes:
                    part.check()
                elif time.monotonic() > deaths[-1] + _PAUSES[min(len(deaths), len(_PAUSES)) - 1]:
                    part.start()
                    self._tell(f"{part.name} is started again")
            except PartFailed as failure:
                part.stop()
                now = time.monotonic()
                self._deaths[part] = [*(death for death in deaths if death > now - _RECENT), now]
                self._tell(f"{failure}\n{part.name} will be started again")

    def stop(self) -> None:
        """Stop everything: first what makes requests, then what serves them, then the stores. Safe to call again.

        RabbitMQ takes longest to stop, so it is told as soon as the bridge is gone, which alone uses it.
        """
        self._stopping.set()
        brokers = [server for server in self._stores.servers if isinstance(server, RabbitMQ)]
        others = [server for server in self._stores.servers if server not in brokers]
        sources: list[Sequence[Part]] = [[self.gateway], [self.clock]]
        workers: list[Sequence[Part]] = [[self.bridge, *brokers], *([each] for each in self.functions.values())]
        for rows in (sources, workers, [[each] for each in (self.mailbox, *others)]):
            with ThreadPoolExecutor(len(rows)) as side_by_side:
                list(side_by_side.map(_stop_in_turn, rows))
        self._lock.close()

    def _await_all(self, began: float) -> None:
        """Wait for each part but the clock, and run the migrations as soon as Postgres serves."""
        started = [part for part in self.parts if part is not self.clock]
        postgres = [part for part in started if isinstance(part, Postgres)]
        # Functions remember for a moment that a store was away, so they are asked only when Postgres is there. What
        # takes longest is asked last, so that each line appears as soon as it is true.
        last = [part for part in started if isinstance(part, Gateway | RabbitMQ | Bridge)]
        for server in postgres:
            self._await(server, began)
        self._migrate()
        self._tell(_line(began, "schema", "its migrations have run"))
        for part in (*(part for part in started if part not in (*postgres, *last)), *last):
            self._await(part, began)

    def _start_more(self) -> None:
        """Start the next parts, but load no more at once than there are cores.

        Loading them all at once would keep the broker, which is needed last but takes longest, from its own start.
        """
        self._loading = [part for part in self._loading if not part.has_loaded()]
        while self._waiting and len(self._loading) < len(os.sched_getaffinity(0)):
            self._loading.append(part := self._waiting.pop(0))
            part.start()

    def _restart_broker_without_state(self, failure: PartFailed) -> bool:
        """Start our own broker with an empty state, if that is what failed; False where this cannot help.

        What its queues held is not lost, for events are only hints: sweep sends them again.
        """
        for part in self._stores.servers:
            if isinstance(part, RabbitMQ) and failure.part in ("rabbitmq", "bridge") and part.start_without_state():
                self._tell(f"{failure}\nrabbitmq begins anew: sweep sends again what is still owed")
                return True
        return False

    def _await(self, part: Part, began: float) -> None:
        while not part.is_ready():
            self._start_more()
            for each in self.parts:
                each.check()
            if time.monotonic() > began + _PATIENCE:
                raise part.processes[-1].failed(f"is not ready after {_PATIENCE:g} s")
            time.sleep(0.02)
        self._report(part, began)

    def _report(self, part: Part, began: float) -> None:
        self._tell(_line(began, part.name, self._describe(part)))

    def _describe(self, part: Part) -> str:
        """What a person may want to know of it: where it can be reached, or what makes it run."""
        match part:
            case Function(function=function) if function.path:
                return f"{self.gateway.url}{function.path}"
            case Function(function=function):
                return " and ".join(kind.removeprefix("org.videotomp3.") for kind in function.events) or (
                    "every minute" if function.schedule else "events that were given up"
                )
            case Gateway():
                return f"{part.url}, and {part.auth_url} for register, login and validate"
            case Clock():
                called = [name for name, each in self.functions.items() if each.function.schedule]
                return f"calls {' and '.join(called)}"
            case Postgres() | Mongo() | RabbitMQ() | Mailbox() | Bridge():
                scheme, _, rest = part.url.partition("://")
                return f"{scheme}://{rest.rpartition('@')[2]}"
        return ""

    def _migrate(self) -> None:
        env = {"DATABASE_URL": self._stores.urls["DATABASE_URL"], **settings.choose(self._environ, settings.FOR_ALL)}
        argv = python("-m", "functions.runtime.migrate")
        Process("schema", argv, self.directory / "schema", env, cwd=ROOT).finish(seconds=60)

    def _functions(self, ingress: str, port: int) -> dict[str, Function]:
        """Every function by its name, with the settings that all share and the secrets that the catalogue gives it."""
        keys = {
            name: self._environ.get(name) or state.secret(self.directory, name)
            for name in ("JWT_SECRET", "LINK_SECRET")
        }
        secrets = {**self._stores.urls, **keys}
        shared = {
            "K_SINK": f"http://{ingress}/",
            "PUBLIC_URL": f"http://{LOOPBACK}:{port}",
            "MAIL_FROM": "video-to-mp3 <no-reply@video-to-mp3.example>",
            "SMTP_HOST": LOOPBACK,
            "SMTP_PORT": str(self.mailbox.smtp_port),
            **settings.choose(self._environ, settings.FOR_ALL, settings.FOR_FUNCTIONS),
        }
        functions = {}
        for function in catalogue.load():
            names = [name.upper().replace("-", "_") for name in function.secrets]
            own = {name: secrets[name] for name in names if name in secrets}
            folder = self.directory / "functions" / function.name
            functions[function.name] = Function(function, folder, {**shared, **own})
        return functions


def _line(began: float, name: str, what: str) -> str:
    return f"{time.monotonic() - began:5.1f} s  {name:<12}{what}"


def _stop_in_turn(parts: Sequence[Part]) -> None:
    for part in parts:
        part.stop()
