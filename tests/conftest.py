"""The real servers, started when the first test asks for them, or those that the environment names.

There is one Postgres, one MongoDB server and one RabbitMQ for the whole run, however many workers it has. Each worker
has databases of its own there, and each test declares exchanges and queues by names of its own.
"""

import re
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Barrier
from typing import Any
from uuid import UUID, uuid4

import psycopg2
import pymongo
import pytest

from emulator import privileges
from emulator.system import System
from functions.stores.postgres import migrate

ROOT = Path(__file__).parent.parent
EMPTY = """
    SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid();
    DELETE FROM jobs; DELETE FROM users; DELETE FROM login_attempts; DELETE FROM passes
"""

pytest_plugins = ["tests.workers"]
# Processes of a system write there what was measured in them, and where we are root they are not.
privileges.make_writable_directory(ROOT / ".coverage.d")


@pytest.fixture(scope="session")
def database_url(server_url: Callable[[str], str]) -> str:
    """A Postgres whose user may create databases."""
    return server_url("DATABASE_URL")


@pytest.fixture(scope="session")
def mongo_url(server_url: Callable[[str], str]) -> str:
    """A server that speaks MongoDB's protocol."""
    return server_url("MONGO_URI")


@pytest.fixture(scope="session")
def amqp_url(server_url: Callable[[str], str]) -> str:
    """A RabbitMQ; tests keep out of each other's way by the names of what they declare."""
    return server_url("AMQP_URL")


@pytest.fixture(scope="session")
def template(database_url: str) -> Iterator[str]:
    """The name of a migrated, empty database: copying it takes a fraction of the time."""
    with database_like(database_url, "template1") as url:
        migrate(url)
        yield url.rpartition("/")[2]


@pytest.fixture(scope="session")
def kept_database(database_url: str, template: str) -> Iterator[str]:
    """A migrated database for whoever leaves it empty."""
    with database_like(database_url, template) as url:
        yield url


@pytest.fixture
def database(kept_database: str) -> Iterator[str]:
    """A migrated, empty database: emptied after each test, which takes a tenth of the time of making one."""
    yield kept_database
    with closing(psycopg2.connect(kept_database)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(EMPTY)


@pytest.fixture
def sql(database: str) -> Iterator[Callable[..., list[tuple[Any, ...]]]]:
    """Looks at rows, and makes them older, past the named queries."""
    with closing(psycopg2.connect(database)) as connection:
        connection.autocommit = True

        def run(statement: str, *values: Any) -> list[tuple[Any, ...]]:
            with connection.cursor() as cursor:
                cursor.execute(statement, [str(value) if isinstance(value, UUID) else value for value in values])
                return cursor.fetchall() if cursor.description is not None else []

        yield run


@pytest.fixture
def mongo_uri(mongo_url: str) -> Iterator[str]:
    """A MongoDB database for this test alone."""
    with collections(mongo_url) as uri:
        yield uri


@pytest.fixture
def at_once() -> Iterator[Callable[[Callable[[], Any]], list[Any]]]:
    """What a call gives to each of eight threads that make it in the same instant.

    The interpreter changes between them as often as it can: what goes wrong once in thousands of first requests then
    goes wrong in every few.
    """
    barrier, interval = Barrier(8), sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    with ThreadPoolExecutor(barrier.parties) as threads:
        yield lambda call: list(threads.map(lambda _: (barrier.wait(), call())[1], range(barrier.parties)))
    sys.setswitchinterval(interval)


@pytest.fixture(scope="session")
def system(
    tmp_path_factory: pytest.TempPathFactory,
    database_url: str,
    mongo_url: str,
    amqp_url: str,
    template: str,
    measuring: dict[str, str],
) -> Iterator[System]:
    """Everything, running, on the same servers and a corner of each that no other test sees."""
    corner = f"system-{uuid4().hex[:8]}"
    with (
        database_like(database_url, template) as database,
        collections(mongo_url) as videos,
        collections(mongo_url) as mp3s,
    ):
        environ = {
            "DATABASE_URL": database,
            "MONGO_URI": videos,
            "MONGO_MP3_URI": mp3s,
            "AMQP_URL": amqp_url,
            "EVENTS_EXCHANGE": corner,
            "VIDEO_QUEUE": f"{corner}.video",
            "MP3_QUEUE": f"{corner}.mp3",
            "MAX_UPLOAD_BYTES": "300000000",
            **measuring,
        }
        with System(tmp_path_factory.mktemp("system"), environ) as system:
            yield system


@contextmanager
def database_like(server: str, template: str) -> Iterator[str]:
    """The URL of a new copy of a database, dropped in the end."""
    name = f"test_{uuid4().hex}"
    with closing(psycopg2.connect(server)) as connection:
        connection.autocommit = True
        cursor = connection.cursor()
        cursor.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        yield with_name(server, name)
        cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def collections(server: str) -> Iterator[str]:
    """The URI of a new MongoDB database, dropped in the end."""
    name = f"test_{uuid4().hex}"
    yield with_name(server, name)
    client: pymongo.MongoClient[dict[str, Any]] = pymongo.MongoClient(server)
    with client:
        client.drop_database(name)


def with_name(url: str, database: str) -> str:
    """That server's URL with the name of another database."""
    return re.sub(r"^(\w+://[^/?]+)(/[^?]*)?", rf"\1/{database}", url)
