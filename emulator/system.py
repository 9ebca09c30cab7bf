"""All parts together: the servers, the bridge, every function of the catalogue, the gateway, and the clock."""

import fcntl
import os
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from threading import Event, Thread
from typing import IO, Self

from emulator import privileges
from emulator.functions import ROOT, Bridge, Function
from emulator.ports import LOOPBACK, reserve_port
from emulator.processes import Part, PartFailed, Process, python
from emulator.servers.gateway import Gateway
from emulator.servers.mailbox import Mailbox
from emulator.servers.mongo import Mongo
from emulator.servers.postgres import Postgres
from emulator.servers.rabbitmq import RabbitMQ
from events import catalogue

_PATIENCE = 90.0  # seconds until everything must serve
_MINUTE = 60.0
_PAUSES = (0.5, 2.0, 8.0, 30.0)  # seconds before a part that died is started again, if it died that often of late
_RECENT = 120.0  # seconds after which a death is forgotten
# What functions and bridge may be told by the environment; anything else of it stays here.
_FOR_ALL = ("LOG_LEVEL", "COVERAGE_PROCESS_CONFIG")
FOR_FUNCTIONS = (
    *("PUBLIC_URL", "AUTH_SVC_ADDR", "TOKEN_SECONDS", "LINK_SECONDS", "LOGIN_FREE_ATTEMPTS", "MAX_UPLOAD_BYTES"),
    *("MAX_DURATION_SECONDS", "MAX_AUDIO_BYTES", "CONVERT_DISK_BYTES", "CONVERT_SECONDS", "MP3_QUALITY"),
    *("LEASE_SECONDS", "MAX_TRIES", "MAIL_FROM", "MAILS_PER_HOUR", "NOTIFY_GIVE_UP_SECONDS", "SOURCE_SECONDS"),
    *("RESULT_SECONDS", "UPLOAD_SECONDS", "TRANSFER_SECONDS", "ORPHAN_SECONDS", "ORPHAN_PASS_SECONDS"),
)
_FOR_BRIDGE = ("VIDEO_QUEUE", "MP3_QUEUE", "EVENTS_EXCHANGE", "BRIDGE_DELAYS", "BRIDGE_RETRIES", "BRIDGE_GRACE")


class System:
    """The whole, its state in `directory`.

    `environ` may name servers to use instead of our own (DATABASE_URL, MONGO_URI, MONGO_MP3_URI, AMQP_URL) and set
    what the parts can be set to. `tell` hears one line as each part becomes ready, dies or is back. Not `durable` is
    faster, and lost if the machine crashes. Raises PartFailed where another system uses the directory.
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
        self._lock = _take(self.directory)
        self._stopping = Event()
        self._deaths: dict[Part, list[float]] = {}
        self._servers: list[Part] = []
        self._waiting: list[Part] = []  # to be started
        self._loading: list[Part] = []
        self._secrets = self._find_stores(durable) | {name: self._key(name) for name in ("JWT_SECRET", "LINK_SECRET")}
        self.mailbox = Mailbox(self.directory / "mailbox")
        ingress, port = f"{LOOPBACK}:{reserve_port()}", port or reserve_port()
        settings = self._settings(ingress, port)
        self.functions = {each.name: self._function(each, settings) for each in catalogue.load()}
        urls = {f"{each.function.target.upper()}_URL": each.url for each in self.functions.values()}
        self.bridge = Bridge(
            self.directory / "bridge",
            ingress,
            {"AMQP_URL": self._secrets["AMQP_URL"], **urls, **self._chosen(_FOR_ALL + _FOR_BRIDGE)},
        )
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
        """In the order in which they start: what other programs may stand in the way of, the slowest, the others."""
        return [self.gateway, *self._servers, self.mailbox, *self.functions.values(), self.bridge]

    def __enter__(self) -> Self:
        with ExitStack() as on_failure:
            on_failure.callback(self.stop)
            self.start()
            on_failure.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start everything side by side; return once all serves. Raises PartFailed."""
        began = time.monotonic()
        for part in (self.gateway, *self._servers):
            part.start()
        self._waiting = [self.mailbox, *self.functions.values(), self.bridge]
        try:
            self._await_all(began)
        except PartFailed as failure:
            if not self._begin_broker_anew(failure):
                raise
            self._await_all(time.monotonic())
        Thread(target=self._keep_time, name="clock", daemon=True).start()

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
        """Stop everything: who asks, then who works, then who stores.

        RabbitMQ takes longest, so it is told as soon as the bridge, which alone needs it, is gone.
        """
        self._stopping.set()
        brokers = [server for server in self._servers if isinstance(server, RabbitMQ)]
        stores = [server for server in self._servers if server not in brokers]
        workers = [[self.bridge, *brokers], *([each] for each in self.functions.values())]
        for lines in ([[self.gateway]], workers, [[each] for each in (self.mailbox, *stores)]):
            with ThreadPoolExecutor(len(lines)) as side_by_side:
                list(side_by_side.map(_stop_in_turn, lines))
        self._lock.close()

    def _await_all(self, began: float) -> None:
        postgres = [part for part in self.parts if isinstance(part, Postgres)]
        # Functions remember for a moment that a store was away, so they are asked after it; the slowest are asked last.
        last = [part for part in self.parts if isinstance(part, Gateway | RabbitMQ | Bridge)]
        for server in postgres:
            self._await(server, began)
        self._migrate()
        self._say("schema", began, "its migrations have run")
        for part in (*(part for part in self.parts if part not in (*postgres, *last)), *last):
            self._await(part, began)

    def _start_more(self) -> None:
        """Start the next parts, no more at once than there are cores: beside all of them the broker would starve."""
        self._loading = [part for part in self._loading if not part.has_loaded()]
        while self._waiting and len(self._loading) < len(os.sched_getaffinity(0)):
            self._loading.append(part := self._waiting.pop(0))
            part.start()

    def _begin_broker_anew(self, failure: PartFailed) -> bool:
        """Whether our broker was what failed and is on its way again, without what it held: events are only hints."""
        for part in self._servers:
            if isinstance(part, RabbitMQ) and failure.part in ("rabbitmq", "bridge") and part.begin_anew():
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
        self._say(part.name, began, self._describe(part))

    def _say(self, name: str, began: float, what: str) -> None:
        self._tell(f"{time.monotonic() - began:5.1f} s  {name:<12}{what}")

    def _describe(self, part: Part) -> str:
        match part:
            case Function(function=function) if function.path:
                return f"{self.gateway.url}{function.path}"
            case Function(function=function):
                return " and ".join(kind.removeprefix("org.videotomp3.") for kind in function.events) or (
                    "every minute" if function.schedule else "events that were given up"
                )
            case Gateway():
                return f"{part.url}, and {part.auth_url} for register, login and validate"
            case Postgres() | Mongo() | RabbitMQ() | Mailbox() | Bridge():
                scheme, _, rest = part.url.partition("://")
                return f"{scheme}://{rest.rpartition('@')[2]}"
        return ""

    def _migrate(self) -> None:
        env = {"DATABASE_URL": self._secrets["DATABASE_URL"], **self._chosen(_FOR_ALL)}
        argv = python("-m", "functions.runtime.migrate")
        Process("schema", argv, self.directory / "schema", env, cwd=ROOT).finish(seconds=60)

    def _keep_time(self) -> None:
        """Post to what runs by the clock, now (a stopped system may owe things) and every minute."""
        due = [each for each in self.functions.values() if each.function.schedule]
        while True:
            for each in due:
                each.call()
            if self._stopping.wait(_MINUTE):
                return

    def _find_stores(self, durable: bool) -> dict[str, str]:
        """Where they are: those that the environment names, or servers of ours, which are noted to be started."""
        stores = self._chosen(("AMQP_URL", "DATABASE_URL", "MONGO_URI", "MONGO_MP3_URI"))
        if "AMQP_URL" not in stores:
            rabbitmq = RabbitMQ(self.directory / "rabbitmq")
            self._servers.append(rabbitmq)
            stores["AMQP_URL"] = rabbitmq.url
        if "DATABASE_URL" not in stores:
            postgres = Postgres(self.directory / "postgres", durable=durable)
            self._servers.append(postgres)
            stores["DATABASE_URL"] = postgres.url
        if not {"MONGO_URI", "MONGO_MP3_URI"} <= stores.keys():
            mongo = Mongo(self.directory / "mongo", durable=durable)
            self._servers.append(mongo)
            stores = {"MONGO_URI": f"{mongo.url}videos", "MONGO_MP3_URI": f"{mongo.url}mp3s"} | stores
        return stores

    def _settings(self, ingress: str, port: int) -> dict[str, str]:
        """Those of every function; secrets come on top."""
        return {
            "K_SINK": f"http://{ingress}/",
            "PUBLIC_URL": f"http://{LOOPBACK}:{port}",
            "MAIL_FROM": "video-to-mp3 <no-reply@video-to-mp3.example>",
            "SMTP_HOST": LOOPBACK,
            "SMTP_PORT": str(self.mailbox.smtp_port),
            **self._chosen(_FOR_ALL + FOR_FUNCTIONS),
        }

    def _function(self, function: catalogue.Function, settings: Mapping[str, str]) -> Function:
        wanted = [name.upper().replace("-", "_") for name in function.secrets]
        held = {name: self._secrets[name] for name in wanted if name in self._secrets}
        return Function(function, self.directory / "functions" / function.name, {**settings, **held})

    def _chosen(self, names: Sequence[str]) -> dict[str, str]:
        return {name: self._environ[name] for name in names if self._environ.get(name)}

    def _key(self, name: str) -> str:
        """What the environment gives, or what was made at the first start."""
        path = self.directory / "secrets" / name.lower().replace("_", "-")
        if given := self._environ.get(name):
            return given
        if not path.exists():
            privileges.keep(path, secrets.token_hex(32))
        return path.read_text(encoding="ascii")


def _stop_in_turn(parts: Sequence[Part]) -> None:
    for part in parts:
        part.stop()


class Taken(PartFailed):
    """Another system is running on that directory."""


def _take(directory: Path) -> IO[str]:
    """Keep the directory for us alone for as long as we live."""
    remedy = "start it as its owner, or keep the state elsewhere: make run STATE=/path/to/a/directory"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock = privileges.open_private(directory / "lock", "a+")
    except OSError as error:
        raise PartFailed("system", f"no state can be kept in {directory}: {error.strerror}", remedy) from error
    if os.fstat(lock.fileno()).st_uid != os.geteuid():  # root could go on, and leave what the owner cannot read
        raise PartFailed("system", f"the state in {directory} belongs to another user", remedy)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        remedy = "use that one, or stop it (Ctrl-C in its terminal)"
        raise Taken("system", f"another one is running on {directory}", remedy) from None
    return lock
