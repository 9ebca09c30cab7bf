"""What runs for every request or every minute, in a database with a long history against one without."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any
from uuid import uuid4

import psycopg2

from emulator.parts import running
from emulator.servers.postgres import Postgres
from functions.stores import postgres
from functions.stores.expiry import Expiry
from functions.stores.jobs import Jobs
from functions.stores.notifications import Notifications
from tests.bench.table import Row, ratios
from tests.conftest import database_like
from tests.jobs import finish, new_job

DAY = 86400  # seconds
CALLS = 5  # of which the median counts
OWN = 60  # jobs that the user has, whose requests are measured, in either database
PIECE = 25_000  # jobs in one statement, none of which may take longer than those of the functions
# sweep adds the counts up every minute; what is added here at once would leave more of them than a month of work.
UNCOUNTED = "ALTER TABLE jobs DISABLE TRIGGER USER; ALTER TABLE notifications DISABLE TRIGGER USER; DELETE FROM counts"
COUNTED = """
    INSERT INTO counts SELECT 'jobs', state, count(*) FROM jobs GROUP BY state;
    INSERT INTO counts SELECT 'notifications', state, count(*) FROM notifications GROUP BY state;
    ALTER TABLE jobs ENABLE TRIGGER USER;
    ALTER TABLE notifications ENABLE TRIGGER USER
"""
USERS = """
    INSERT INTO users (username, name, email, password_hash)
    SELECT 'user' || n, 'User', 'user' || n || '@example.org', '-' FROM generate_series(0, 999) AS n
"""
# One of 20 jobs is that user's, the others are spread over a thousand. One of 25 ended today, the rest a month ago.
JOBS = """
    WITH added AS (
        INSERT INTO jobs (id, owner, fid, filename, container, video_size, video_sha256, state, audio, audio_size,
                          created_at, queued_at, started_at, finished_at, expired_at)
        SELECT gen_random_uuid(), CASE WHEN n %% 20 = 0 THEN %(owner)s ELSE u.id END, gen_random_uuid(), 'video.mp4',
            'mov', 1000, repeat('0', 64), CASE WHEN recent THEN 'done' ELSE 'expired' END,
            CASE WHEN recent THEN gen_random_uuid() END, 1000,
            ended, ended, ended, ended, CASE WHEN NOT recent THEN ended + interval '1 day' END
        FROM generate_series(%(first)s, %(last)s) AS n
        JOIN users AS u ON lower(username) = 'user' || n %% 1000
        CROSS JOIN LATERAL (SELECT n %% 25 = 0 AS recent) AS r
        CROSS JOIN LATERAL (SELECT now() - CASE WHEN recent THEN interval '2 hours' ELSE interval '30 days' END
                                   - n * interval '0.1 second' AS ended) AS e
        RETURNING id, owner, finished_at
    )
    INSERT INTO notifications (job, generation, outcome, state, next_hint_at, created_at, sent_at, sent_to)
    SELECT added.id, 0, 'done', 'sent', finished_at, finished_at, finished_at, lower(email)
    FROM added JOIN users ON users.id = owner
"""


class Stores:
    """A database's stores, with a user who has some jobs."""

    def __init__(self, url: str, history: int) -> None:
        postgres.migrate(url)
        database = postgres.Database(url)
        self.jobs, self.notifications, self.expiry = Jobs(database, 60, 3), Notifications(database), Expiry(database)
        user = database.one("add_user", username="ada", name="Ada", email="ada@example.org", password_hash="-")
        assert user
        self.owner = user["id"]
        self.done = [self.convert() for _ in range(OWN)][-1]
        with closing(psycopg2.connect(url)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(UNCOUNTED)
                cursor.execute(USERS)
                for first in range(0, history, PIECE):
                    cursor.execute(JOBS, {"owner": str(self.owner), "first": first, "last": first + PIECE - 1})
                cursor.execute(COUNTED)
                cursor.execute("VACUUM ANALYZE")

    def convert(self) -> Any:
        added = self.jobs.add(new_job(self.owner))
        claimed = self.jobs.claim(added.id) if added else None
        assert claimed
        return finish(self.jobs, claimed)

    def claim_notification(self) -> None:
        notification = self.notifications.claim(self.done.id)
        assert notification
        self.notifications.postpone(notification, DAY, "measured")

    def heal(self) -> None:
        """What sweep looks for: nothing is there to be healed."""
        self.jobs.give_up(None, 100)
        self.jobs.free_lapsed(100)
        self.jobs.take_owed(100)
        self.notifications.take_owed(100)
        self.notifications.give_up_old(7 * DAY)

    def expire(self) -> None:
        self.expiry.expire_jobs(7 * DAY, 100)
        self.expiry.take_old_videos(7 * DAY, 100)
        self.expiry.take_expired_audios(365 * DAY, 100)
        self.expiry.remove_deleted(DAY, 100)
        self.expiry.forget_keys(100)


ASKED: dict[str, Callable[[Stores], object]] = {
    "a job by its id": lambda stores: stores.jobs.find_own(stores.done.id, stores.owner),
    "a page of 50 jobs": lambda stores: stores.jobs.list_own(stores.owner, 50),
    "audio by its id": lambda stores: stores.jobs.find_audio(stores.done.fid, stores.owner),
    "a job by an Idempotency-Key": lambda stores: stores.jobs.by_key(stores.owner, "none"),
    "a job is added, claimed and finished": Stores.convert,
    "a notification is claimed and postponed": Stores.claim_notification,
    "what sweep heals": Stores.heal,
    "what sweep expires": Stores.expire,
    "200 files are looked up for orphans": lambda stores: stores.expiry.orphans([uuid4() for _ in range(200)]),
    "metrics: jobs by state": lambda stores: stores.jobs.counts(),
    "metrics: notifications by state": lambda stores: stores.notifications.counts(),
}


def rows(directory: Path, history: int, rounds: int) -> Iterator[Row]:
    """Both databases are on one server."""
    server = Postgres(directory, durable=False)
    with running(server), ExitStack() as databases:
        new, old = (
            Stores(databases.enter_context(database_like(server.url, "template0")), jobs) for jobs in (0, history)
        )
        for what, ask in ASKED.items():
            values = ratios(rounds, partial(_seconds, ask, new), partial(_seconds, ask, old))
            yield Row(f"{what}: beside {history:,} jobs against none", values, at_most=2)


def _seconds(ask: Callable[[Stores], object], stores: Stores) -> float:
    """The median of some calls."""
    times = []
    for _ in range(CALLS):
        began = time.perf_counter()
        ask(stores)
        times.append(time.perf_counter() - began)
    return median(times)
