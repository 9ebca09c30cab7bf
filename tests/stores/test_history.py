"""What runs every minute, or for every request, costs the same however many jobs ended long ago."""

from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import psycopg2
import pytest

from functions.stores import postgres
from tests.conftest import database_like

HISTORY = 20_000
ADA = str(uuid4())
FILL = """
    INSERT INTO users (id, username, name, email, password_hash) VALUES (%s, 'ada', 'Ada', 'ada@example.org', '-');
    INSERT INTO jobs (id, owner, fid, filename, container, video_size, video_sha256,
                      state, finished_at, expired_at, created_at)
    SELECT gen_random_uuid(), users.id, gen_random_uuid(), 'video.mp4', 'mov', 1, '', 'expired', past, past, past
    FROM users, generate_series(1, %s) AS n,
        LATERAL (SELECT now() - interval '30 days' - n * interval '1 minute') AS t (past);
    INSERT INTO notifications (job, generation, outcome, state, next_hint_at, created_at, sent_at)
    SELECT id, 0, 'done', 'sent', created_at, created_at, created_at FROM jobs;
    ANALYZE
"""
EVERY_MINUTE: dict[str, dict[str, Any]] = {
    **{name: {"max_tries": 3, "batch": 100} for name in ("free_lapsed_jobs", "take_owed_jobs")},
    "give_up_jobs": {"id": None, "max_tries": 3, "batch": 100},
    "take_owed_results": {"batch": 100},
    "give_up_old_notifications": {"age": 86400},
    "expire_jobs": {"result_age": 86400, "batch": 100},
    "remove_deleted_jobs": {"transfer": 3600, "batch": 100},
    "take_old_videos": {"video_age": 86400, "batch": 100},
    "take_expired_audios": {"transfer": 3600, "batch": 100},
    "forget_keys": {},
}  # fmt: skip


@pytest.fixture(scope="module")
def explain(database_url: str, template: str) -> Iterator[Callable[[str, dict[str, Any]], dict[str, Any]]]:
    """The plan that Postgres carries out for a query beside a long history, with the rows it counted on the way."""
    texts = postgres.load_queries()
    with database_like(database_url, template) as url, closing(psycopg2.connect(url)) as connection:
        connection.autocommit = True
        cursor = connection.cursor()
        cursor.execute(FILL, (ADA, HISTORY))

        def run(name: str, values: dict[str, Any]) -> dict[str, Any]:
            cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {texts[name]}", values)
            ((plans,),) = cursor.fetchall()
            plan: dict[str, Any] = plans[0]["Plan"]
            return plan

        yield run


@pytest.mark.parametrize("query", EVERY_MINUTE)
def test_nothing_looks_through_history(query: str, explain: Callable[[str, dict[str, Any]], dict[str, Any]]) -> None:
    """No step of any query reads more than a few rows, also when it passes them over."""
    assert max(met(explain(query, EVERY_MINUTE[query]))) < 10


@pytest.mark.parametrize("minutes", [None, HISTORY // 2], ids=["first page", "page in the middle"])
def test_a_page_of_jobs_reads_little_more_than_itself(
    minutes: int | None, explain: Callable[[str, dict[str, Any]], dict[str, Any]]
) -> None:
    """jobs_owner_idx leads to where the page begins; only jobs of one instant are then sorted by their ids."""
    begins = datetime.now(UTC) - timedelta(days=30, minutes=minutes) if minutes else None
    values = {"owner": ADA, "created_at": begins, "id": str(uuid4()) if minutes else None, "limit": 51}
    plan = explain("list_jobs", values)
    assert plan["Actual Rows"] == 51
    assert max(met(plan)) < 60


def test_converting_again_reads_a_few_rows(explain: Callable[[str, dict[str, Any]], dict[str, Any]]) -> None:
    """Its limit counts what has not ended, and finds that by an index."""
    new = {"id": str(uuid4()), "owner": ADA, "origin": str(uuid4()), "idempotency_key": "k", "traceparent": None}
    values = new | {"correlationid": None, "options": '{"cover": "upload"}', "most": 100}
    assert max(met(explain("add_job_again", values))) < 10


@pytest.mark.parametrize("count", [0, 1, 200])
def test_a_file_s_name_is_found_by_an_index(
    count: int, explain: Callable[[str, dict[str, Any]], dict[str, Any]]
) -> None:
    """Of as many files as a run of sweep asks about at most."""
    plan = explain("find_orphans", {"files": [str(uuid4()) for _ in range(count)]})
    assert plan["Actual Rows"] == count
    assert max(met(plan)) <= max(count, 1)


def met(plan: dict[str, Any]) -> Iterator[int]:
    """For the step and each one below it: the rows it returned and those it filtered out."""
    yield plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0)
    for step in plan.get("Plans", ()):
        yield from met(step)
