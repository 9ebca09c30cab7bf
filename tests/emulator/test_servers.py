"""The servers of the emulator: only this machine reaches them, they can be restarted, and they end with it."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pika
import psutil
import psycopg2
import pymongo
import pytest

from emulator.parts import Part, running
from emulator.processes import PartFailed
from emulator.servers.mailbox import Mailbox
from emulator.servers.mongo import Mongo
from emulator.servers.postgres import Postgres
from emulator.servers.rabbitmq import RabbitMQ
from tests.waiting import has_ended, until

_OTHER_RUN = """
import sys, time
from pathlib import Path
from typing import Any
from tests.emulator.test_servers import Servers
servers = Servers.below(Path(sys.argv[1]))
with servers.running():
    servers.write("kept")
    print(*(process.pid for part in servers.parts for process in part.processes), flush=True)
    time.sleep(1000)
"""


@dataclass(frozen=True)
class Servers:
    """One server of each kind, with a word to write to all of them and to read back."""

    rabbitmq: RabbitMQ
    postgres: Postgres
    mongo: Mongo
    mailbox: Mailbox

    @classmethod
    def below(cls, directory: Path) -> "Servers":
        """Their state is in that directory; nothing is started yet."""
        stores = RabbitMQ(directory / "rabbitmq"), Postgres(directory / "postgres"), Mongo(directory / "mongo")
        return cls(*stores, Mailbox(directory / "mailbox"))

    @property
    def parts(self) -> tuple[Part, ...]:
        """All of them, those that take longest to start first."""
        return self.rabbitmq, self.postgres, self.mongo, self.mailbox

    def running(self) -> AbstractContextManager[None]:
        """Start them all, and stop them at the end of a `with` block."""
        return running(*self.parts)

    def write(self, word: str) -> None:
        """Write a word to each of them; each has confirmed it when this returns."""
        with closing(psycopg2.connect(self.postgres.url)) as connection, connection, connection.cursor() as cursor:
            cursor.execute("CREATE TABLE IF NOT EXISTS words (word text)")
            cursor.execute("INSERT INTO words VALUES (%s)", (word,))
        client: pymongo.MongoClient[dict[str, Any]] = pymongo.MongoClient(self.mongo.url)
        with client:
            client["videos"]["words"].insert_one({"_id": word})
        with closing(pika.BlockingConnection(pika.URLParameters(self.rabbitmq.url))) as connection:
            channel = connection.channel()
            channel.queue_declare("words", durable=True, arguments={"x-queue-type": "quorum"})
            channel.confirm_delivery()
            channel.basic_publish("", "words", word.encode(), pika.BasicProperties(delivery_mode=2), mandatory=True)
        # RabbitMQ 3.10 confirms messages of a new quorum queue up to half a second before it has noted the queue's log
        # on disk. Killed in between it comes back with a queue that never finds a leader.
        [names] = self.rabbitmq.directory.glob("state/*/quorum/*/names.dets")
        until(lambda: b"words" in names.read_bytes())

    def read(self) -> list[list[str]]:
        """The words in Postgres, MongoDB and RabbitMQ; reading removes them from RabbitMQ."""
        with closing(psycopg2.connect(self.postgres.url)) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT word FROM words")
            rows = [word for (word,) in cursor]
        client: pymongo.MongoClient[dict[str, Any]] = pymongo.MongoClient(self.mongo.url)
        with client:
            documents = [document["_id"] for document in client["videos"]["words"].find()]
        with closing(pika.BlockingConnection(pika.URLParameters(self.rabbitmq.url))) as connection:
            take = partial(connection.channel().basic_get, "words", auto_ack=True)
            messages = [body.decode() for _, _, body in iter(take, (None, None, None))]
        return [rows, documents, messages]


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Not those that other tests use, because here they are killed."""
    servers = Servers.below(tmp_path_factory.mktemp("servers") / "of a Müller")
    with servers.running():
        yield servers


def test_everything_listens_on_loopback_only(servers: Servers) -> None:
    """The ports of Erlang's distribution and of its epmd are among them."""
    addresses = {
        connection.laddr.ip
        for part in servers.parts
        for process in part.processes
        for member in (psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True))
        for connection in member.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert addresses <= {"127.0.0.1", "::1"}
    assert addresses


def test_killing_the_emulator_leaves_no_process_and_nothing_that_stops_the_next_start(
    servers: Servers, tmp_path: Path
) -> None:
    """kill -9 of a run beside another run. The kernel ends its servers, and the next start has every confirmed word."""
    command = [sys.executable, "-c", _OTHER_RUN, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8") as other:
        assert other.stdout
        children = [psutil.Process(int(pid)) for pid in other.stdout.readline().split()]
        family = [member for child in children for member in (child, *child.children(recursive=True))]
        other.kill()
    again = Servers.below(tmp_path)
    with again.running():
        assert all(has_ended(member) for member in family)
        assert again.read() == [["kept"], ["kept"], ["kept"]]
    assert all(part.is_ready() for part in servers.parts)


def test_servers_that_were_killed_restart_where_they_were_with_all_they_confirmed(servers: Servers) -> None:
    """kill -9 of each server. After the restart they have the same address and password, and every confirmed word."""
    urls = [servers.postgres.url, servers.mongo.url, servers.rabbitmq.url]
    servers.write("confirmed")
    for part in servers.parts:
        part.kill()
    for part in servers.parts:
        part.start()
    for part in servers.parts:
        part.wait()
    assert [servers.postgres.url, servers.mongo.url, servers.rabbitmq.url] == urls
    assert servers.read() == [["confirmed"], ["confirmed"], ["confirmed"]]


def test_a_session_that_outlives_a_killed_postgres_does_not_stop_the_next_start(servers: Servers) -> None:
    """A busy session does not notice that its server died, and holds the shared memory. The next start ends it."""
    with closing(psycopg2.connect(servers.postgres.url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        session = psutil.Process(cursor.fetchone()[0])
        session.suspend()
        servers.postgres.kill()
        servers.postgres.start()
        servers.postgres.wait()
    until(lambda: has_ended(session))


def test_a_server_whose_port_is_taken_says_so(servers: Servers, tmp_path: Path) -> None:
    """Otherwise the answers of the other program would be taken for the server's."""
    with (
        pytest.raises(PartFailed, match="postgres: another program has port"),
        Postgres(tmp_path, port=servers.postgres.port, durable=False),
    ):
        pass


def test_secrets_are_for_the_owner_only(servers: Servers) -> None:
    """The passwords and Erlang's cookie, which is one too."""
    names = {"password", ".erlang.cookie", "rabbitmq.conf"}
    secrets = [path for part in servers.parts for path in part.directory.iterdir() if path.name in names]
    assert [path.stat().st_mode & 0o777 for path in secrets] == [0o600] * 4
