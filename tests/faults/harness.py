"""The whole system, with a wire before every server and every function, and crash points in every function."""

import json
import os
import secrets
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any, Self
from uuid import UUID, uuid5

import psutil
import psycopg2
import psycopg2.extras
import requests
from bson import ObjectId

from emulator import privileges
from emulator.functions import Bridge, Function
from emulator.parts import Part
from emulator.ports import LOOPBACK, reserve_port
from emulator.servers.gateway import Gateway
from emulator.servers.mailbox import Mailbox
from emulator.servers.mongo import Mongo
from emulator.servers.postgres import Postgres
from emulator.servers.rabbitmq import RabbitMQ
from events import catalogue
from functions.stores.gridfs import Bucket
from functions.stores.notifications import LEASE
from functions.stores.postgres import migrate
from tests.events.wire import Wire
from tests.faults import crash_points
from tests.waiting import PATIENCE

psycopg2.extras.register_uuid()

FAST = {
    "LEASE_SECONDS": "3",
    "ORPHAN_SECONDS": "4",
    "ORPHAN_PASS_SECONDS": "0",
    "MAILS_PER_HOUR": "100000",
    "BRIDGE_DELAYS": "0.2 0.5 1 2",
    "BRIDGE_RETRIES": "4",
    "BRIDGE_GRACE": "8",
}
DOMAIN = "video-to-mp3.example"
NAMED = "SELECT video FROM jobs WHERE video IS NOT NULL UNION SELECT audio FROM jobs WHERE audio IS NOT NULL"


class Instance(Function):
    """One of the instances of a function, with crash points in it."""

    configuration = "tests/faults/gunicorn.conf.py"


class Harness:
    """A system with its state in `directory`; `settings` go to the functions, the bridge and the gateway.

    Two instances of each function run, as on a platform that has several: connections go to them in turn.
    """

    def __init__(self, directory: Path, settings: Mapping[str, str] = FAST) -> None:
        self.postgres, self.mongo = Postgres(directory / "postgres"), Mongo(directory / "mongo")
        self.rabbitmq, self.mailbox = RabbitMQ(directory / "rabbitmq"), Mailbox(directory / "mailbox")
        ingress, port = reserve_port(), reserve_port()
        self.wires = {
            "postgres": Wire(LOOPBACK, self.postgres.port),
            "mongo": Wire(LOOPBACK, self.mongo.port),
            "rabbitmq": Wire(LOOPBACK, self.rabbitmq.port),
            "mail": Wire(LOOPBACK, self.mailbox.smtp_port),
            "sink": Wire(LOOPBACK, ingress),
        }
        through = {name: f"{LOOPBACK}:{wire.port}" for name, wire in self.wires.items()}
        self._crash_points = directory / "crash-points"
        self.env = env = {
            **{name: os.environ[name] for name in ("COVERAGE_PROCESS_CONFIG",) if name in os.environ},
            **{name: secrets.token_hex(32) for name in ("JWT_SECRET", "LINK_SECRET")},
            "DATABASE_URL": _by_way_of(through["postgres"], self.postgres.url),
            "MONGO_URI": f"mongodb://{through['mongo']}/videos",
            "MONGO_MP3_URI": f"mongodb://{through['mongo']}/mp3s",
            "AMQP_URL": _by_way_of(through["rabbitmq"], self.rabbitmq.url),
            "K_SINK": f"http://{through['sink']}/",
            "PUBLIC_URL": f"http://{LOOPBACK}:{port}",
            "MAIL_FROM": f"video-to-mp3 <no-reply@{DOMAIN}>",
            "SMTP_HOST": LOOPBACK,
            "SMTP_PORT": str(self.wires["mail"].port),
            "CRASH_POINTS": str(self._crash_points),
            **settings,
        }
        self.functions = {
            function.name: [Instance(function, directory / f"{function.name}-{n}", env) for n in (1, 2)]
            for function in catalogue.load()
        }
        self.services = {name: Wire(LOOPBACK) for name in self.functions}
        addresses = {name: f"{LOOPBACK}:{wire.port}" for name, wire in self.services.items()}
        urls = {f"{name.upper().replace('-', '_')}_URL": f"http://{to}/" for name, to in addresses.items()}
        self.bridge = Bridge(directory / "bridge", f"{LOOPBACK}:{ingress}", env | urls)
        self.gateway = Gateway(
            directory / "gateway", port=port, auth_port=reserve_port(), addresses=addresses, settings=settings
        )
        self.directory = directory
        self.videos, self.audios = Bucket(f"{self.mongo.url}videos"), Bucket(f"{self.mongo.url}mp3s")

    @property
    def parts(self) -> list[Part]:
        instances = [each for instances in self.functions.values() for each in instances]
        servers = [self.gateway, self.postgres, self.mongo, self.rabbitmq, self.mailbox]
        return [*servers, *instances, self.bridge]

    def __enter__(self) -> Self:
        privileges.make_writable_directory(self._crash_points)
        try:
            self.heal()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for part in self.parts:
            wake(part)
        with ThreadPoolExecutor(4) as side_by_side:
            list(side_by_side.map(lambda part: part.stop(), reversed(self.parts)))

    def heal(self) -> None:
        """Undo what a test broke: crash points, wires, stopped and dead processes. Return once everything serves."""
        for crash_point in self._crash_points.iterdir():
            crash_point.unlink()
        for wire in self.wires.values():
            wire.restore()
        for name, instances in self.functions.items():
            self.lead(name, *instances)
        for part in self.parts:
            wake(part)
            if not part.processes or not all(process.alive for process in part.processes):
                part.kill()
                part.start()
        self.postgres.wait()
        migrate(self.postgres.url)
        for part in self.parts:
            part.wait(PATIENCE)

    def lead(self, name: str, *instances: Function) -> None:
        """Send new connections for that function to these instances alone, or to none.

        A Kubernetes Service does so when instances become ready, or are ready no more.
        """
        self.services[name].targets = [(LOOPBACK, int(each.address.rpartition(":")[2])) for each in instances]

    def crash_at(self, point: str, number: signal.Signals = signal.SIGKILL) -> Path:
        """Kill (or stop) the process that is the next to reach that point (crash_points.py)."""
        return crash_points.place(self._crash_points, point, number)

    def restart(self, part: Part) -> None:
        """Kill it, and start it again."""
        part.kill()
        part.start()
        part.wait(PATIENCE)

    def sql(self, statement: str, *values: Any) -> list[dict[str, Any]]:
        with closing(psycopg2.connect(self.postgres.url)) as connection, connection:
            cursor = connection.cursor(cursor_factory=psycopg2.extras.RealDictCursor)
            cursor.execute(statement, values)
            return [dict(row) for row in cursor.fetchall()] if cursor.description is not None else []

    def row(self, job: Mapping[str, Any]) -> dict[str, Any]:
        return self.sql("SELECT * FROM jobs WHERE id = %s", job["id"])[0]

    def let_pass(self, seconds: float, *, sparing: str = "false") -> None:
        """Make everything that waits for its time that much older, but for the leases of conversions.

        `sparing` is a condition: notifications for which it holds stay as they are.
        """
        ago = f"- interval '{seconds} seconds'"
        self.sql(
            f"UPDATE jobs SET next_hint_at = next_hint_at {ago}, finished_at = finished_at {ago},"
            f" deleted_at = deleted_at {ago}, expired_at = expired_at {ago}, created_at = created_at {ago};"
            f"UPDATE notifications SET next_hint_at = next_hint_at {ago}, lease_until = lease_until {ago},"
            f" created_at = created_at {ago}, sent_at = sent_at {ago} WHERE ({sparing}) IS NOT TRUE"
        )

    def sweep(self) -> dict[str, int]:
        """Call sweep, and give what it says it did: an empty mapping where it could not."""
        try:
            answer = requests.post(f"http://{LOOPBACK}:{self.services['sweep'].port}/", timeout=PATIENCE)
        except requests.RequestException:
            return {}
        return dict(answer.json()) if answer.ok else {}

    def until_swept(self, condition: Callable[[], Any], within: float = PATIENCE) -> Any:
        """Wait until the condition is true while sweep runs about every second, each time as if two minutes had passed.

        Gives the condition's value. Raises AssertionError after `within` seconds.
        """
        deadline = time.monotonic() + within
        while True:
            # A notify that is sending an email must not look dead because time is made to pass: there would be two
            # emails. It looks dead only if it has not finished after ten real seconds.
            self.let_pass(120, sparing=f"state = 'claimed' AND lease_until > now() + interval '{LEASE - 10} seconds'")
            self.sweep()
            if found := holds(condition, 1):
                return found
            assert time.monotonic() < deadline, f"not within {within:g} s, for all that sweep did: {self.owed()}"

    def owed(self) -> list[dict[str, Any]]:
        """The state of jobs and emails, for the message of a failed test."""
        rows = self.sql(
            "SELECT j.id, j.state, j.tries, j.last_error, n.state AS email, n.tries AS written, n.last_error AS why"
            " FROM jobs j LEFT JOIN notifications n ON n.job = j.id"
        )
        return [*rows, {"mails": self.message_ids()}]

    def log(self, name: str) -> list[dict[str, Any]]:
        """The log lines of all parts of that name."""
        logs = [part.directory / f"{name}.log" for part in self.parts if part.name == name]
        lines = [line for log in logs for line in log.read_text(encoding="utf-8").splitlines()]
        return [json.loads(line) for line in lines if line.startswith("{")]

    def deliveries(self, job: Mapping[str, Any], function: str = "convert") -> list[dict[str, Any]]:
        """The bridge's log lines about each event of this job that it delivered to that function."""
        named = {"job": f"jobs/{job['id']}", "function": function}
        return [line for line in self.log("bridge") if named.items() <= line.items()]

    def is_done(self, job: Mapping[str, Any]) -> bool:
        return bool(self.row(job)["state"] == "done")

    def is_told_once(self, job: Mapping[str, Any]) -> bool:
        """Done, and its owner has one mail about it."""
        return self.is_done(job) and self.mails(job) == 1

    def workers(self) -> list[psutil.Process]:
        """The processes that convert, and below them ffmpeg."""
        masters = [psutil.Process(process.pid) for part in self.functions["convert"] for process in part.processes]
        return [each for master in masters for each in master.children(recursive=True)]

    def is_encoding(self) -> bool:
        return any("libmp3lame" in _command(process) for process in self.workers())

    def orphans(self) -> set[UUID]:
        """Files of either bucket, whole or not, that no row names."""
        return self.files() - {row["video"] for row in self.sql(NAMED)}

    def files(self) -> set[UUID]:
        buckets = (self.videos, self.audios)
        whole = {id_ for bucket in buckets for ids in bucket.files_older_than(-60) for id_ in ids}
        return whole | {id_ for bucket in buckets for id_ in bucket.unfinished_older_than(-60)}

    def unfinished_chunks(self) -> list[dict[str, Any]]:
        """Of videos, in their order."""
        store = self.videos._database
        whole = [file["_id"] for file in store["fs.files"].find({}, {"_id": 1})]
        return list(store["fs.chunks"].find({"files_id": {"$nin": whole}}).sort("n"))

    def age_unfinished_chunks(self) -> None:
        """They look as if they were stored hours ago: a chunk's id holds the time."""
        ids = (ObjectId.from_datetime(datetime.now(UTC) - timedelta(hours=hours)) for hours in count(1))
        for chunk in self.unfinished_chunks():
            self.videos._database["fs.chunks"].delete_one({"_id": chunk["_id"]})
            self.videos._database["fs.chunks"].insert_one(chunk | {"_id": next(ids)})

    def mails(self, job: Mapping[str, Any]) -> int:
        """How often the owner was told how the job ended."""
        row = self.row(job)
        return self.message_ids().count(message_id(row))

    def message_ids(self) -> list[str]:
        """Of every mail there is."""
        listed = requests.get(f"{self.mailbox.url}/api/v1/messages", {"limit": 1_000_000}, timeout=PATIENCE).json()
        return [mail["MessageID"] for mail in listed["messages"]]


def message_id(row: Mapping[str, Any]) -> str:
    """Of the mail that tells how that job ended."""
    return f"{uuid5(row['id'], '{state}/{generation}'.format_map(row))}@{DOMAIN}"


def holds(condition: Callable[[], Any], within: float) -> Any:
    """Wait up to `within` seconds for the condition; give its value then, true or not."""
    deadline = time.monotonic() + within
    while not (found := condition()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


@contextmanager
def asleep(part: Part) -> Iterator[None]:
    """Stopped by SIGSTOP meanwhile, as a machine is that swaps, or a virtual machine that is moved."""
    freeze(part)
    yield
    wake(part)


def is_asleep(part: Part) -> bool:
    """Whether any of its processes is stopped."""
    roots = [psutil.Process(process.pid) for process in part.processes if process.alive]
    return any(_is_stopped(each) for root in roots for each in root.children(recursive=True))


def _is_stopped(process: psutil.Process) -> bool:
    """Whether it is held; an ffprobe may have ended since it was listed."""
    try:
        return bool(process.status() == psutil.STATUS_STOPPED)
    except psutil.NoSuchProcess:
        return False


def freeze(part: Part) -> None:
    _signal(part, signal.SIGSTOP)


def wake(part: Part) -> None:
    _signal(part, signal.SIGCONT)


def _signal(part: Part, number: signal.Signals) -> None:
    for process in part.processes:
        with suppress(psutil.NoSuchProcess):  # it ended between two looks
            root = psutil.Process(process.pid) if process.alive else None
            for each in (root, *root.children(recursive=True)) if root else ():
                with suppress(psutil.NoSuchProcess):
                    each.send_signal(number)


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:  # it has just ended
        return []


def _by_way_of(address: str, url: str) -> str:
    """The URL with another host and port."""
    before, at, behind = url.rpartition("@")
    return f"{before}{at}{address}/{behind.partition('/')[2]}"
