"""Postgres: runs named queries, and turns every error of the driver into one of ours.

The only user of psycopg2.
"""

import re
import select
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg2
import psycopg2.errorcodes
import psycopg2.errors
import psycopg2.extensions
import psycopg2.extras

from functions.model.errors import Unavailable
from functions.stores.pool import Pool

HERE = Path(__file__).parent
HEADING = re.compile(r"^-- (name|part): (\w+)\n", re.MULTILINE)
PLACEHOLDER = re.compile(r"\{(\w+)\}")
COMMENT = re.compile(r"^--.*\n", re.MULTILINE)
ANSWER_WITHIN = 10.0  # seconds; a server that stalls with its connection open must not hold a request for ever
IDLE = 10.0  # seconds that a connection is kept for the next query; a Postgres has about 100 for all functions together
CONNECT: dict[str, Any] = {
    "connect_timeout": 3,
    "application_name": "video-to-mp3",
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "options": "-c statement_timeout=8000 -c timezone=UTC",
}
# An operator, or time, will mend these: the query can be repeated.
TRANSIENT_SQLSTATES = {
    psycopg2.errorcodes.QUERY_CANCELED,
    psycopg2.errorcodes.DISK_FULL,
    psycopg2.errorcodes.OUT_OF_MEMORY,
    psycopg2.errorcodes.TOO_MANY_CONNECTIONS,
    psycopg2.errorcodes.READ_ONLY_SQL_TRANSACTION,
    psycopg2.errorcodes.DEADLOCK_DETECTED,
    psycopg2.errorcodes.SERIALIZATION_FAILURE,
}


class Database:
    """Runs the named queries of the .sql files beside this module; connects when the first of them is run."""

    def __init__(self, url: str, connections: int = 16) -> None:
        psycopg2.extras.register_uuid()  # type: ignore[no-untyped-call] # the stubs leave it untyped
        psycopg2.extensions.set_wait_callback(_wait)
        psycopg2.extras.register_default_jsonb(loads=str)  # which the stores read: most rows have the same options
        self._queries = load_queries()
        self._pool: Pool[Any] = Pool(lambda: _connect(url), connections, IDLE)

    def all(self, query: str, **values: Any) -> list[dict[str, Any]]:
        """Every row the named query returns. Raises Unavailable."""
        with self._connection() as connection, connection.cursor() as cursor:
            cursor.execute(self._queries[query], values)
            if not cursor.description:
                return []
            names = [column.name for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def one(self, query: str, **values: Any) -> dict[str, Any] | None:
        """The first row the named query returns, or None. Raises what `all` raises."""
        rows = self.all(query, **values)
        return rows[0] if rows else None

    def ping(self) -> None:
        """Raises Unavailable where Postgres does not answer or lacks our tables."""
        self.all("ping")

    @contextmanager
    def _connection(self) -> Iterator[Any]:
        try:
            connection = self._checked_out()
        except (psycopg2.Error, TimeoutError) as error:
            raise Unavailable("the database cannot be reached; try again soon") from error
        try:
            yield connection
        except psycopg2.errors.UndefinedTable as error:
            raise Unavailable("the database has no tables yet: run `python -m functions.runtime.migrate`") from error
        except psycopg2.Error as error:
            if _is_transient(error):
                raise Unavailable("the database did not answer; try again soon") from error
            raise
        finally:
            self._pool.put(connection)

    def _checked_out(self) -> Any:
        """A connection that looks alive.

        One that the server closed while it lay in the pool can be read from: what comes is the end of the stream.
        """
        while True:
            connection = self._pool.get(ANSWER_WITHIN)
            if not connection.closed and not _is_ready(connection, select.POLLIN, 0):
                return connection
            connection.close()
            self._pool.put(connection)


def load_queries(folder: Path = HERE) -> dict[str, str]:
    """The text of each query in the folder's .sql files, by the name in the line `-- name: …` above it.

    What several queries share is written once, below a line `-- part: …`, and stands as `{…}` where it belongs.
    Raises ValueError where two have one name, for the later would replace the earlier without a word, and where a part
    is missing.
    """
    loaded: dict[str, dict[str, str]] = {"name": {}, "part": {}}
    for path in sorted(folder.glob("*.sql")):
        _, *found = HEADING.split(path.read_text(encoding="utf-8"))
        for kind, name, text in zip(found[::3], found[1::3], found[2::3], strict=True):
            if name in loaded[kind]:
                raise ValueError(f"{path}: there is another {kind} {name}")
            loaded[kind][name] = text.strip()
    parts = {name: COMMENT.sub("", text) for name, text in loaded["part"].items()}
    try:
        return {name: PLACEHOLDER.sub(lambda found: parts[found[1]], text) for name, text in loaded["name"].items()}
    except KeyError as error:
        raise ValueError(f"{folder}: there is no part {error}") from error


def migrate(url: str) -> list[str]:
    """Brings the schema up to date, one transaction per numbered file, and returns the names of those applied.

    Safe to run twice at once: an advisory lock makes the second wait. Raises Unavailable where Postgres is away.
    """
    try:
        # Without the time limit of queries: a large table, or waiting for another's migration, may take longer.
        connection = psycopg2.connect(url, **CONNECT | {"options": "-c timezone=UTC"})
    except psycopg2.OperationalError as error:
        raise Unavailable(f"the database cannot be reached: {str(error).splitlines()[0]}") from error
    applied = []
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('video-to-mp3 migrations'))")
        cursor.execute(
            "CREATE TABLE IF NOT EXISTS migrations (name text PRIMARY KEY, applied_at timestamptz DEFAULT now())"
        )
        cursor.execute("SELECT name FROM migrations")
        known = {name for (name,) in cursor.fetchall()}
        for path in sorted((HERE / "migrations").glob("*.sql")):
            if path.name not in known:
                cursor.execute(path.read_text(encoding="utf-8"))
                cursor.execute("INSERT INTO migrations (name) VALUES (%s)", (path.name,))
                applied.append(path.name)
    connection.close()
    return applied


def _connect(url: str) -> Any:
    connection = psycopg2.connect(url, **CONNECT)
    connection.autocommit = True
    return connection


def _is_transient(error: psycopg2.Error) -> bool:
    """Whether the same query may succeed later."""
    if isinstance(error, psycopg2.InterfaceError):
        return True
    if error.pgcode is None:  # the server did not send this error: the connection broke
        return isinstance(error, psycopg2.OperationalError | psycopg2.DatabaseError)
    # 57: operator intervention (shutdown, crash); 08: a broken connection (PostgreSQL manual, appendix A).
    return error.pgcode in TRANSIENT_SQLSTATES or error.pgcode[:2] in {"57", "08"}


def _wait(connection: Any) -> None:
    """psycopg2's wait callback: waits as the driver itself does, but not for ever."""
    until = time.monotonic() + ANSWER_WITHIN
    while True:
        state = connection.poll()
        if state == psycopg2.extensions.POLL_OK:
            return
        wanted = select.POLLIN if state == psycopg2.extensions.POLL_READ else select.POLLOUT
        if not _is_ready(connection, wanted, max(0.0, until - time.monotonic())):
            # psycopg2 then closes the connection. Closing it here would deadlock: this very query holds its lock.
            raise psycopg2.OperationalError("no answer in time")


def _is_ready(connection: Any, events: int, seconds: float) -> bool:
    """Whether one of these events, or a hang-up, comes in time. poll(), for select() fails from descriptor 1,024 on."""
    poll = select.poll()
    poll.register(connection, events)
    return bool(poll.poll(seconds * 1000))
