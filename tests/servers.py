"""The servers that all workers of one test run share.

Each is started when the first test, in whatever worker, asks for it. They are children of the pytest that was started
at the terminal and not of a worker (pytest-xdist runs several): so a worker that ends early, or crashes, neither takes
a server away from the others nor leaves one behind. The kernel ends them with their parent (emulator/processes.py).
"""

import secrets
from collections.abc import Callable
from contextlib import ExitStack, suppress
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock, Thread
from typing import Protocol

from emulator.processes import PartFailed
from emulator.servers.mongo import Mongo
from emulator.servers.postgres import Postgres
from emulator.servers.rabbitmq import RabbitMQ

# By the name of the environment variable that may name a server to use instead.
MAKERS: dict[str, Callable[[Path], Postgres | Mongo | RabbitMQ]] = {
    "DATABASE_URL": lambda directory: Postgres(directory / "postgres", durable=False),
    "MONGO_URI": lambda directory: Mongo(directory / "mongo", durable=False),
    "AMQP_URL": lambda directory: RabbitMQ(directory / "rabbitmq"),
}


def bound_to_us(*command: str) -> list[str]:
    """Give the command to start with `Popen`, by a thread that lasts, so that the kernel ends the process with us.

    What a test starts otherwise than as a Part would outlive a worker that crashed.
    """
    return ["setpriv", "--pdeathsig", "TERM", "--", *command]


class NotStarted(Exception):
    """A server could not be started; the message says why, and what to do."""


class Servers(Protocol):
    """What fixtures need of them."""

    def url(self, name: str) -> str:
        """Where the server is, once it serves. Raises NotStarted."""
        ...


class OwnServers:
    """Those that this process starts, and lends to workers over a socket of its own."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._directory = Path(self._stack.enter_context(TemporaryDirectory(prefix="video-to-mp3-")))
        self._locks = {name: Lock() for name in MAKERS}
        self._urls: dict[str, str] = {}
        self._failures: dict[str, str] = {}
        self._key = secrets.token_bytes(32)
        self._listener: Listener | None = None

    def url(self, name: str) -> str:
        """Where the server is; starts it at the first call, at which others wait. Raises NotStarted."""
        with self._locks[name]:
            if name not in self._urls and name not in self._failures:
                server = MAKERS[name](self._directory)
                try:
                    server.__enter__()
                except PartFailed as failure:
                    self._failures[name] = str(failure)
                else:
                    self._stack.callback(server.stop)
                    self._urls[name] = server.url
        if name in self._failures:
            raise NotStarted(self._failures[name])
        return self._urls[name]

    def lend(self) -> tuple[str, str]:
        """Answer workers from now on; gives what `LentServers` is made of."""
        if self._listener is None:
            address = str(self._directory / "socket")
            self._listener = Listener(address, "AF_UNIX", backlog=16, authkey=self._key)
            Thread(target=self._accept, args=(self._listener,), daemon=True).start()
        return str(self._listener.address), self._key.hex()

    def close(self) -> None:
        """Stop every server, the last started first, and remove what they wrote."""
        if self._listener is not None:
            self._listener.close()
        self._stack.close()

    def _accept(self, listener: Listener) -> None:
        with suppress(OSError):  # the listener is closed at the end
            while True:
                Thread(target=self._answer, args=(listener.accept(),), daemon=True).start()

    def _answer(self, connection: Connection) -> None:
        with connection, suppress(OSError, EOFError):  # the worker is gone
            name = connection.recv()
            try:
                connection.send((self.url(name), ""))
            except NotStarted as failure:
                connection.send(("", str(failure)))


class LentServers:
    """Those of the process that has started this worker."""

    def __init__(self, address: str, key: str) -> None:
        self._address = address
        self._key = bytes.fromhex(key)

    def url(self, name: str) -> str:
        """Where the server is, once it serves. Raises NotStarted."""
        with Client(self._address, "AF_UNIX", authkey=self._key) as connection:
            connection.send(name)
            url, failure = connection.recv()
        if failure:
            raise NotStarted(failure)
        return str(url)
