"""No query costs more because much was done long ago, or because much is waiting: each reads the rows that it is about.

Each is carried out beside 500,000 jobs and 100,000 notifications, with 5,000 jobs queued, and its plan counts the rows,
which must not depend on that. How long it takes beside 500,000 against an empty database, `make bench` measures.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import psycopg2
import psycopg2.extensions
import pytest

from functions.stores import postgres
from tests.conftest import database_like

JOBS, NOTIFICATIONS, QUEUED = 500_000, 100_000, 5_000
BATCH = 100
ADA = str(uuid4())
# The last rows are the newest. Those that ended are kept, expired or deleted, with and without their files.
FILL = """
    ALTER TABLE jobs DISABLE TRIGGER USER;
    ALTER TABLE notifications DISABLE TRIGGER USER;
    INSERT INTO users (id, username, name, email, password_hash) VALUES (%(ada)s, 'ada', 'Ada', 'ada@example.org', '-');
    INSERT INTO users (username, name, email, password_hash)
    SELECT 'user' || n, 'User', 'user' || n || '@example.org', '-' FROM generate_series(1, 1000) AS n;
    INSERT INTO jobs (id, owner, fid, filename, container, video, video_size, video_sha256, state, audio, reason,
                      idempotency_key, created_at, queued_at, finished_at, expired_at, next_hint_at, deleted_at, turn)
    SELECT gen_random_uuid(), %(ada)s, gen_random_uuid(), 'video.mp4', 'mov',
        CASE WHEN n %% 5 = 0 THEN gen_random_uuid() END, 1, '',
        (ARRAY['expired', 'done', 'failed', 'cancelled'])[n %% 4 + 1],
        CASE WHEN n %% 4 IN (0, 1) THEN gen_random_uuid() END, 'damaged', CASE WHEN n %% 5 = 0 THEN 'key ' || n END,
        past, past, past, past, past, CASE WHEN n %% 100 = 0 THEN now() - interval '1 minute' END, -n
    FROM generate_series(1, %(jobs)s) AS n, LATERAL (SELECT now() - n * interval '1 second' AS t) AS t (past);
    INSERT INTO jobs (id, owner, fid, filename, container, video, video_size, video_sha256, next_hint_at,
                      created_at, turn)
    SELECT gen_random_uuid(), %(ada)s, gen_random_uuid(), 'video.mp4', 'mov', gen_random_uuid(), 1, '', now(),
        now() + n * interval '1 ms', n
    FROM generate_series(1, %(queued)s) AS n;
    INSERT INTO notifications (job, generation, outcome, state, next_hint_at, created_at, sent_at, sent_to)
    SELECT id, 0, 'done', 'sent', created_at, created_at, created_at, 'user' || n %% 1000 || '@example.org'
    FROM (SELECT *, row_number() OVER () AS n FROM jobs WHERE state = 'done' LIMIT %(notifications)s) AS j;
    DELETE FROM counts;
    INSERT INTO counts SELECT 'jobs', state, count(*) FROM jobs GROUP BY state;
    ALTER TABLE jobs ENABLE TRIGGER USER;
    ALTER TABLE notifications ENABLE TRIGGER USER
"""
# They are made again when the tables are full, which takes a quarter of the time.
INDEXES = """
    SELECT indexname, indexdef FROM pg_indexes
    WHERE schemaname = 'public' AND tablename IN ('jobs', 'notifications') AND indexdef NOT LIKE 'CREATE UNIQUE%'
"""
# Whatever a query asks for; the ids are of nothing unless a test says otherwise.
ASKED: dict[str, Any] = {
    **dict.fromkeys(("id", "fid", "job", "origin", "video", "audio"), str(uuid4())),
    **dict.fromkeys(("correlationid", "created_at", "detail", "facts", "source", "traceparent"), None),
    **dict.fromkeys(("last_error", "password_hash", "reason", "video_sha256"), "-"),
    **dict.fromkeys(("fence", "generation", "progress", "refund"), 0),
    # Nothing is so old: what is looked for is not there.
    **dict.fromkeys(("age", "result_age", "transfer", "video_age"), 365 * 86400),
    "owner": ADA,
    "options": '{"cover": "upload"}',
    "outcome": "done",
    "username": "grace",
    "name": "orphans",
    "filename": "video.mp4",
    "container": "mov",
    "cover": b"-",
    "peaks": b"-",
    "idempotency_key": "new",
    "email": "ada@example.org",
    "audio_size": 1,
    "video_size": 1,
    "duration": 1.0,
    "files": [],
    "batch": BATCH,
    "limit": 51,
    "most": BATCH,
    "max_tries": 3,
    "lease": 60,
    "seconds": 60,
    "every": 600,
    "free": 5,
    "lost": 0,
}
Explain = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def explain(database_url: str, template: str) -> Iterator[Explain]:
    """The plan that Postgres carries out for a query, with the rows that it counted on the way; it changes nothing."""
    texts = postgres.load_queries()
    with database_like(database_url, template) as url, closing(psycopg2.connect(url)) as connection:
        connection.autocommit = True
        cursor = connection.cursor()
        psycopg2.extensions.set_wait_callback(None)  # to fill tables takes longer than a query of ours may
        cursor.execute(INDEXES)
        indexes = cursor.fetchall()
        for name, _ in indexes:
            cursor.execute(f"DROP INDEX {name}")
        cursor.execute(FILL, {"ada": ADA, "jobs": JOBS, "queued": QUEUED, "notifications": NOTIFICATIONS})
        for _, definition in indexes:
            cursor.execute(definition)
        cursor.execute("VACUUM ANALYZE")
        psycopg2.extensions.set_wait_callback(postgres._wait)

        def run(name: str, **values: Any) -> dict[str, Any]:
            cursor.execute("BEGIN")
            try:
                cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {texts[name]}", ASKED | values)
                ((plans,),) = cursor.fetchall()
            finally:
                cursor.execute("ROLLBACK")
            plan: dict[str, Any] = plans[0]["Plan"]
            return plan

        yield run


@pytest.mark.parametrize("query", postgres.load_queries())
def test_no_query_looks_through_history(query: str, explain: Explain) -> None:
    """No step of any query reads more rows than a page or a batch has, also when it passes them over."""
    values = postgres.load_queries()[query]
    assert {*re.findall(r"%\((\w+)\)s", values)} <= {*ASKED}, "say above what it is asked"
    assert max(met(explain(query))) <= BATCH


@pytest.mark.parametrize(
    "query", ["expire_jobs", "take_old_videos", "take_expired_audios", "remove_deleted_jobs", "take_owed_jobs"]
)
def test_a_batch_of_many_that_are_due_reads_little_more_than_itself(query: str, explain: Explain) -> None:
    """However many are due: thousands after an outage."""
    plan = explain(query, result_age=0, transfer=0, video_age=0)
    assert plan["Actual Rows"] == BATCH
    assert max(met(plan)) <= BATCH


def test_a_page_in_the_middle_reads_little_more_than_itself(explain: Explain) -> None:
    """jobs_owner_idx leads to where the page begins; only jobs of one instant are then sorted by their ids."""
    plan = explain("list_jobs", created_at=datetime.now(UTC) - timedelta(seconds=JOBS // 2))
    assert plan["Actual Rows"] == 51
    assert max(met(plan)) < 60


@pytest.mark.parametrize("count", [0, 1, 200])
def test_a_file_s_name_is_found_by_an_index(count: int, explain: Explain) -> None:
    """Of as many files as a run of sweep asks about at most."""
    plan = explain("find_orphans", files=[str(uuid4()) for _ in range(count)])
    assert plan["Actual Rows"] == count
    assert max(met(plan)) <= max(count, 1)


def met(plan: dict[str, Any]) -> Iterator[int]:
    """For the step and each one below it: the rows it returned and those it passed over, in all of its rounds."""
    passed = sum(plan.get(f"Rows Removed by {kind}", 0) for kind in ("Filter", "Index Recheck"))
    yield (plan["Actual Rows"] + passed) * plan["Actual Loops"]
    for step in plan.get("Plans", ()):
        yield from met(step)
