"""For tests of the bridge: functions that answer as a test wants, the bridge as a process, and queues on RabbitMQ."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Any
from uuid import UUID, uuid4

import pika
import requests

from emulator.ports import reserve_port
from events import contract, envelope
from events.bridge.broker.connection import declare
from events.bridge.settings import Settings
from events.bridge.topology import Topology
from events.catalogue import load
from tests.events.wire import Wire
from tests.servers import bound_to_us
from tests.waiting import PATIENCE, until

ROOT = Path(__file__).resolve().parents[2]


def uploaded(job: UUID | None = None) -> contract.Event:
    data = {"size": 10, "container": "mp4"}
    return _event(contract.VIDEO_UPLOADED, job or uuid4(), data)


def converted(job: UUID) -> contract.Event:
    return _event(contract.AUDIO_CONVERTED, job, {"fid": str(uuid4()), "size": 5, "duration": 1.5})


def _event(type_: str, job: UUID, data: dict[str, Any]) -> contract.Event:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    now = datetime.now(UTC)
    return contract.event(type_, job, 0, source="/functions/test", time=now, data=data, traceparent=trace)


@dataclass(frozen=True)
class Request:
    """One request that a function got."""

    path: str  # with the query
    headers: dict[str, str]  # names in lower case
    body: bytes
    at: float  # monotonic seconds

    @property
    def event(self) -> contract.Event:
        return envelope.from_http(self.headers, self.body)


@dataclass(frozen=True)
class Answer:
    """What a function answers: by default 202, nothing follows."""

    status: int = 202
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


Behaviour = Callable[[Request], Answer]


def answers(*statuses: int, **headers: str) -> Behaviour:
    """Answers with one status after the other, and from then on with the last one."""
    rest = list(statuses)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _: Answer(rest.pop(0) if len(rest) > 1 else rest[0], named)


def reply(request: Request) -> Answer:
    """Answers as convert does when it is done: 200 with audio.converted."""
    headers, body = envelope.to_http(converted(request.event.job))
    return Answer(200, headers, body)


class Gate:
    """Keeps a function busy until it is opened."""

    def __init__(self, then: Behaviour) -> None:
        self._then = then
        self._open = Event()

    def open(self) -> None:
        self._open.set()

    def __call__(self, request: Request) -> Answer:
        assert self._open.wait(PATIENCE)
        return self._then(request)


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Says nothing of bridges that are gone when their answer comes: these tests kill them and cut them off."""


class Function:
    """A function behind real HTTP; `behave` decides the answer, and each request is kept in `asked`."""

    def __init__(self) -> None:
        self.asked: list[Request] = []
        self.behave: Behaviour = answers(202)
        self.busy = self.busiest = 0  # requests that are being answered, now and at most so far
        self._lock = Lock()
        self.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def start(self, port: int = 0) -> None:
        self._server = _Server(("127.0.0.1", port), self._handler())
        Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> int:
        """Stops listening, and returns the port on which `start` can have it listen again."""
        self._server.shutdown()
        self._server.server_close()
        return self._server.server_port

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        function = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                request = Request(self.path, headers, body, time.monotonic())
                answer = function.answer(request)
                self.send_response(answer.status)
                for name, value in {**answer.headers, "content-length": str(len(answer.body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer.body)

            def log_message(self, *_: Any) -> None:
                pass

        return Handler

    def answer(self, request: Request) -> Answer:
        with self._lock:
            self.busy += 1
            self.busiest = max(self.busiest, self.busy)
            self.asked.append(request)
        try:
            return self.behave(request)
        finally:
            with self._lock:
                self.busy -= 1


class Bridge:
    """`python -m events.bridge`, as an operator starts it."""

    def __init__(self, env: dict[str, str], log: Path) -> None:
        self.port = reserve_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._env = {**os.environ, **env, "PORT": str(self.port), "HOST": "127.0.0.1", "PYTHONPATH": str(ROOT)}
        self._log = log
        self._skipped = 0  # bytes of the log
        self.process = self._start()

    def _start(self, *arguments: str) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            command = bound_to_us(sys.executable, "-m", "events.bridge", *arguments)
            return subprocess.Popen(command, env=self._env, stdout=log, stderr=log, start_new_session=True)

    def ready(self) -> "Bridge":
        until(lambda: self.get("/_/ready") == 200)
        return self

    def get(self, path: str) -> int | None:
        """The status it answers with, or None when nothing listens."""
        try:
            return requests.get(self.url + path, timeout=PATIENCE).status_code
        except requests.ConnectionError:
            return None

    def post(self, event: contract.Event) -> requests.Response:
        headers, body = envelope.to_http(event)
        return requests.post(self.url, data=body, headers=headers, timeout=PATIENCE)

    def metrics(self) -> str:
        return requests.get(f"{self.url}/_/metrics", timeout=PATIENCE).text

    def lines(self) -> list[dict[str, Any]]:
        """Its log, from the last `skip_log` on."""
        return [json.loads(line) for line in self._log.read_bytes()[self._skipped :].splitlines()]

    def skip_log(self) -> None:
        """Leaves what is in the log by now out of `lines` and `outcomes`."""
        self._skipped = self._log.stat().st_size

    def outcomes(self, function: str) -> list[str]:
        """How deliveries to that function ended, as the log says."""
        return [line["outcome"] for line in self.lines() if line.get("function") == function and "outcome" in line]

    def replay(self) -> str:
        """What the operator's command prints."""
        return run(self._env, "replay").stdout

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Kills master and worker at once, as the kernel does when memory runs out."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def restart(self) -> "Bridge":
        self.kill()
        self.process = self._start()
        return self


def run(env: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs the bridge's command to its end."""
    command = [sys.executable, "-m", "events.bridge", *arguments]
    return subprocess.run(
        command, env=os.environ | env, capture_output=True, encoding="utf-8", timeout=PATIENCE, check=False, cwd=ROOT
    )


class Harness:
    """Four functions, bridges that call them, and queues on the broker with names that no other test uses."""

    def __init__(self, amqp_url: str, directory: Path) -> None:
        name = f"test-{uuid4().hex[:8]}"
        self.convert, self.notify, self.dead_letter, self.sweep = (Function() for _ in range(4))
        self.env = {
            "AMQP_URL": amqp_url,
            "EVENTS_EXCHANGE": name,
            "VIDEO_QUEUE": f"{name}.video",
            "MP3_QUEUE": f"{name}.mp3",
            "CONVERT_URL": self.convert.url,
            "NOTIFY_URL": self.notify.url,
            "DEAD_LETTER_URL": self.dead_letter.url,
            "SWEEP_URL": self.sweep.url,
            "BRIDGE_DELAYS": "0.2 0.4",
            "BRIDGE_RETRIES": "2",
        }
        self._amqp_url = amqp_url
        self._directory = directory
        self.bridges: list[Bridge] = []
        self._topologies = [self.topology]  # all that was declared for this harness

    @property
    def topology(self) -> Topology:
        return Settings.read(self.env, load()).topology

    def reset(self) -> None:
        """Functions as in the beginning, for the next test. The one before must have waited for all it caused."""
        for function in (self.convert, self.notify, self.dead_letter, self.sweep):
            function.asked.clear()
            function.behave = answers(202)
        for bridge in self.bridges:
            bridge.skip_log()

    def bridge(self, **env: str) -> Bridge:
        """Starts a bridge between the broker and the functions, with these settings besides."""
        self._topologies.append(Settings.read(self.env | env, load()).topology)
        self.bridges.append(Bridge(self.env | env, self._directory / f"bridge-{len(self.bridges)}.log"))
        return self.bridges[-1]

    @contextmanager
    def channel(self) -> Iterator[Any]:
        with pika.BlockingConnection(pika.URLParameters(self._amqp_url)) as connection:
            yield connection.channel()

    def through(self, wire: Wire) -> str:
        """The broker's URL, with the wire's address instead of the broker's."""
        return re.sub(r"@[^/?]+", f"@127.0.0.1:{wire.port}", self._amqp_url)

    def depth(self, queue: str) -> int:
        """Messages that are ready in the queue."""
        with self.channel() as channel:
            return int(channel.queue_declare(queue, passive=True).method.message_count)

    def parked(self) -> list[dict[str, Any]]:
        """The headers of the parked events, which stay parked."""
        with self.channel() as channel:
            found = []
            while (got := channel.basic_get(self.topology.parked))[0]:
                found.append(got[1].headers)
            return found

    def put(self, body: bytes, queue: str, **properties: Any) -> None:
        """Puts a message into a queue directly, without the ingress."""
        with self.channel() as channel:
            channel.confirm_delivery()
            channel.basic_publish("", queue, body, pika.BasicProperties(**properties), mandatory=True)

    def exhaust_delivery_limit(self, queue: str) -> None:
        """Takes each message of the queue and gives it back, until the broker gives it to nobody any more."""
        with self.channel() as channel:
            while (method := channel.basic_get(queue)[0]) is not None:
                channel.basic_nack(method.delivery_tag, requeue=True)

    def unbind(self, queue: str, type_: str) -> None:
        """Does what an operator may do by mistake: events of that type then reach no queue."""
        with self.channel() as channel:
            channel.queue_unbind(queue, self.topology.exchange, type_)

    def declare(self) -> None:
        """Declares what a bridge declares when it starts."""
        with self.channel() as channel:
            declare(channel, self.topology)

    def close(self) -> None:
        for bridge in self.bridges:
            bridge.kill()
        for function in (self.convert, self.notify, self.dead_letter, self.sweep):
            function.close()
        with self.channel() as channel:
            channel.exchange_delete(self.topology.exchange)
            for queue in {queue.name: queue for topology in self._topologies for queue in topology.queues()}.values():
                channel.queue_delete(queue.name)
                if queue.fanout:
                    channel.exchange_delete(queue.fanout)
