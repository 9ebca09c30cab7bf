"""The wrapper of Postgres: every error of the driver becomes one of ours, within a bounded time."""

import os
import re
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg2
import pytest

from functions.model.errors import Unauthorized, Unavailable
from functions.model.jobs import Job
from functions.stores import postgres as module
from functions.stores.postgres import Database
from tests.conftest import database_like
from tests.events.wire import Wire
from tests.waiting import until

USER = {"username": "ada", "name": "Ada", "email": "ada@example.org", "password_hash": "-"}
SESSIONS = "FROM pg_stat_activity WHERE application_name = 'video-to-mp3' AND datname = current_database()"
ROOT = Path(__file__).parents[2]
Sql = Callable[..., list[tuple[Any, ...]]]


@pytest.fixture
def wire(database: str) -> Iterator[Wire]:
    """A proxy in front of Postgres that can cut or stall its connections."""
    server = urlsplit(database)
    wire = Wire(str(server.hostname), server.port or 5432)
    yield wire
    wire.close()


@pytest.fixture
def wired(database: str, wire: Wire) -> Database:
    return Database(re.sub(r"@[^/?]+", f"@127.0.0.1:{wire.port}", database))


@pytest.fixture
def locked(database: str) -> Iterator[None]:
    """Another session holds a lock on the table of users."""
    connection = psycopg2.connect(database)
    connection.cursor().execute("LOCK TABLE users")
    yield
    connection.close()


@pytest.fixture
def empty(database_url: str) -> Iterator[str]:
    """A database without our tables."""
    with database_like(database_url, "template1") as url:
        yield url


def test_a_connection_is_kept_for_the_next_query(postgres: Database, sql: Sql) -> None:
    """Opening one costs more than most queries. So many as were busy at once are kept, and no new one is opened."""
    for _ in range(3):
        postgres.ping()
    assert sql(f"SELECT count(*) {SESSIONS}") == [(1,)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: postgres.ping(), range(100)))
        sessions = sql(f"SELECT pid {SESSIONS} ORDER BY pid")
        assert len(sessions) <= 8
        list(pool.map(lambda _: postgres.ping(), range(100)))
    assert {*sql(f"SELECT pid {SESSIONS}")} >= {*sessions}


def test_a_connection_that_nobody_wants_is_closed(
    database: str, monkeypatch: pytest.MonkeyPatch, sql: Sql, at_once: Callable[[Callable[[], Any]], list[Any]]
) -> None:
    """A Postgres has about a hundred for all instances of all functions, and most of them rest most of the time."""
    monkeypatch.setattr(module, "IDLE", 0.2)
    postgres = Database(database)
    at_once(postgres.ping)
    assert sql(f"SELECT count(*) {SESSIONS}")[0][0] >= 1
    until(lambda: sql(f"SELECT count(*) {SESSIONS}") == [(0,)])
    postgres.ping()


def test_more_queries_than_connections_wait_for_one_another(database: str, sql: Sql) -> None:
    """And no query opens a connection beyond the limit."""
    postgres = Database(database, connections=2)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: postgres.ping(), range(200)))
    assert sql(f"SELECT count(*) {SESSIONS}")[0][0] <= 2


def test_the_first_queries_at_once_share_one_pool(
    database: str, at_once: Callable[[Callable[[], Any]], list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection must go back to the pool it came from, or it would count in another one."""
    monkeypatch.setattr(module, "IDLE", 0.1)  # the sessions of twenty pools would take long to end with their database
    for _ in range(20):
        at_once(Database(database).ping)


def test_a_job_for_a_user_who_is_gone_is_refused(add: Callable[..., Job]) -> None:
    """A token can outlive its user."""
    with pytest.raises(Unauthorized, match="log in"):
        add(owner=uuid4())


def test_no_server_is_unavailable() -> None:
    with pytest.raises(Unavailable, match="cannot be reached"):
        Database("postgresql://127.0.0.1:1/app").ping()


def test_a_database_without_our_tables_is_unavailable(empty: str) -> None:
    """A function is not ready before the database has been migrated."""
    with pytest.raises(Unavailable, match="migrate"):
        Database(empty).ping()


def test_a_session_that_ended_while_it_lay_in_the_pool_is_replaced(wired: Database, wire: Wire, sql: Sql) -> None:
    """After a restart of the server, or when the network forgot the connection, no request fails."""
    wired.ping()
    assert sql(f"SELECT pg_terminate_backend(pid, 5000) {SESSIONS}") == [(True,)]
    until(lambda: not wire.connections)
    wired.ping()
    wire.cut()
    wire.restore()
    wired.ping()


@pytest.mark.usefixtures("locked")
def test_a_session_that_ends_within_a_query_is_unavailable(postgres: Database, sql: Sql) -> None:
    """A failover ends sessions like that; the next query gets a new one."""
    with ThreadPoolExecutor() as pool:
        stuck = pool.submit(postgres.one, "find_user", username="ada")
        until(lambda: sql(f"SELECT pg_terminate_backend(pid, 5000) {SESSIONS} AND wait_event_type = 'Lock'"))
        with pytest.raises(Unavailable, match="did not answer"):
            stuck.result()
    postgres.ping()


@pytest.mark.usefixtures("locked")
def test_a_server_that_stalls_is_waited_for_a_while(wired: Database, wire: Wire, postgres: Database) -> None:
    """In a query, in making a connection, before a lock: a request ends and gives its thread back.

    All three do so while the server still says nothing and the lock is still held.
    """
    wired.ping()
    wire.stall()
    with ThreadPoolExecutor() as pool:
        stuck: list[Future[Any]] = [
            pool.submit(wired.ping),
            pool.submit(wired.ping),
            pool.submit(postgres.one, "find_user", username="ada"),
        ]
        for each in stuck:
            with pytest.raises(Unavailable):
                each.result()
    wire.restore()
    wired.ping()


def test_migrating_twice_does_nothing_the_second_time(empty: str) -> None:
    """It runs at every deployment."""
    assert module.migrate(empty) == sorted(path.name for path in (module.HERE / "migrations").iterdir())
    assert module.migrate(empty) == []
    Database(empty).ping()


def test_several_migrations_at_once_are_one(empty: str) -> None:
    """Every instance may try on its start: one does the work, the others wait for it."""
    with ThreadPoolExecutor(4) as pool:
        applied = [names for names in pool.map(module.migrate, [empty] * 4) if names]
    assert len(applied) == 1


def test_migrate_says_what_is_missing(empty: str) -> None:
    """In one line, with an exit status that stops a deployment."""
    done = migrate(DATABASE_URL=empty)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("migrate: 0001_")
    assert migrate(DATABASE_URL=empty).stdout == "migrate: nothing to do\n"
    away = migrate(DATABASE_URL="postgresql://127.0.0.1:1/app")
    assert (away.returncode, away.stderr.count("\n")) == (1, 1)
    assert "cannot be reached" in away.stderr
    assert "DATABASE_URL is not set" in migrate().stderr


def migrate(**environ: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "functions.runtime.migrate"]
    measured = {name: value for name, value in os.environ.items() if name.startswith("COVERAGE")}
    environ |= {"PYTHONPATH": str(ROOT), **measured}
    return subprocess.run(command, env=environ, capture_output=True, encoding="utf-8", check=False)


def test_a_process_with_very_many_descriptors_can_still_ask(database: str) -> None:
    """select() fails from descriptor 1,024 on."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    with ExitStack() as opened:
        opened.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        while opened.enter_context(Path(os.devnull).open("rb")).fileno() < 1100:
            pass
        many = Database(database)
        many.ping()
        many.ping()  # on a connection that was kept, which is looked at first
