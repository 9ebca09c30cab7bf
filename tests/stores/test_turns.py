"""Owners take turns: nobody waits for all that another has queued before."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any
from uuid import UUID

import psycopg2
import pytest

from functions.model.jobs import Job
from functions.stores.jobs import Jobs
from functions.stores.postgres import Database
from tests.jobs import finish
from tests.stores.conftest import add_user
from tests.waiting import until

Add = Callable[..., Job]
Sql = Callable[..., list[tuple[Any, ...]]]


@pytest.fixture
def other(postgres: Database) -> UUID:
    return add_user(postgres)


def serve(jobs: Jobs, event: Job) -> Job:
    """What a worker does that is given the event of that job."""
    claimed = jobs.claim(event.id)
    assert claimed
    done = finish(jobs, claimed)
    assert done
    return done


def test_one_video_starts_within_one_conversion_behind_a_thousand(add: Add, jobs: Jobs, other: UUID, sql: Sql) -> None:
    """All that its owner waits for is the one that is being converted."""
    first = add()
    sql(
        """INSERT INTO jobs (id, owner, fid, filename, container, video, video_size, video_sha256, next_hint_at, turn)
        SELECT gen_random_uuid(), owner, gen_random_uuid(), filename, container, video, video_size, '', now(), turn + n
        FROM jobs, generate_series(1, 999) AS n"""
    )
    running = jobs.claim(first.id)
    assert running
    single = add(owner=other)
    events = [
        UUID(id_) for (id_,) in sql("SELECT id::text FROM jobs WHERE state = 'queued' ORDER BY turn DESC LIMIT 3")
    ]
    claimed = [jobs.claim(event) for event in events]
    assert [each.owner == other for each in claimed if each] == [True, False, False]
    assert claimed[0]
    assert claimed[0].id == single.id


def test_every_event_brings_a_job(add: Add, jobs: Jobs, other: UUID) -> None:
    """In whatever order events come, each job is converted once; an event too many finds nothing."""
    queued = [add() for _ in range(5)] + [add(owner=other) for _ in range(2)]
    served = [serve(jobs, event) for event in reversed(queued)]
    assert sorted(job.id for job in served) == sorted(job.id for job in queued)
    assert jobs.claim(queued[0].id) is None


def test_whoever_has_less_waiting_is_not_behind(add: Add, jobs: Jobs, other: UUID) -> None:
    mine, theirs = [add() for _ in range(6)], [add(owner=other) for _ in range(2)]
    served = [serve(jobs, event) for event in (*mine, *theirs)]
    assert [job.owner == other for job in served] == [False, True, False, True, False, False, False, False]
    assert [job.id for job in served if job.owner != other] == [job.id for job in mine]


def test_those_who_come_at_once_are_served_as_they_came(add: Add, jobs: Jobs, postgres: Database) -> None:
    queued = [add(owner=add_user(postgres)) for _ in range(4)]
    assert [serve(jobs, event).id for event in queued] == [job.id for job in queued]


def test_whoever_comes_again_and_again_does_not_stay_in_front(add: Add, jobs: Jobs, other: UUID) -> None:
    """One video at a time, each sent when the last one has begun."""
    backlog = [add() for _ in range(4)]
    served = [serve(jobs, backlog[0])]
    for event in backlog[1:]:
        add(owner=other)
        served.append(serve(jobs, event))
    assert [job.owner == other for job in served] == [False, True, False, True]


def test_a_double_share_has_two_turns_for_each_of_another(add: Add, jobs: Jobs, other: UUID, sql: Sql) -> None:
    sql("UPDATE users SET share = 2 WHERE id = %s", str(other))
    queued = [add() for _ in range(6)] + [add(owner=other) for _ in range(6)]
    served = [serve(jobs, event).owner == other for event in queued[:9]]
    assert (served.count(True), served.count(False)) == (6, 3)


@pytest.mark.parametrize("remove", [Jobs.cancel, Jobs.delete])
def test_turns_that_were_not_taken_do_not_count(
    remove: Callable[[Jobs, UUID, UUID], object], add: Add, jobs: Jobs, other: UUID
) -> None:
    """Whoever cancels what they have queued begins anew."""
    backlog = [add() for _ in range(5)]
    for job in backlog:
        remove(jobs, job.id, job.owner)
    theirs = [add(owner=other) for _ in range(3)]
    mine = add()
    assert mine.id in [serve(jobs, event).id for event in theirs[:2]]


def test_what_is_tried_again_has_a_new_turn(add: Add, jobs: Jobs, other: UUID) -> None:
    first = add()
    claimed = jobs.claim(first.id)
    assert claimed
    jobs.fail(claimed, "damaged", "")
    mine, theirs = [add() for _ in range(2)], add(owner=other)
    assert jobs.retry(first.id, first.owner)
    served = [serve(jobs, event).id for event in (*mine, theirs, first)]
    assert served == [theirs.id, mine[0].id, mine[1].id, first.id]


def test_what_was_handed_back_waits_for_its_own_event(add: Add, jobs: Jobs) -> None:
    """Its trouble, such as a disk without room for it, would else keep all others from being converted."""
    large, small = add(), add()
    claimed = jobs.claim(small.id)
    assert claimed
    assert claimed.id == large.id
    jobs.hand_back(claimed, "no room", refund=True)
    assert serve(jobs, small).id == small.id
    assert jobs.claim(small.id) is None
    assert serve(jobs, large).id == large.id


def test_what_killed_its_worker_waits_for_its_own_event(add: Add, jobs: Jobs, late: Jobs) -> None:
    poison, other = add(), add()
    assert late.claim(poison.id)
    jobs.free_lapsed(10)
    assert serve(jobs, other).id == other.id
    assert serve(jobs, poison).id == poison.id


def test_an_event_waits_for_its_job_while_somebody_changes_that(add: Add, jobs: Jobs, database: str) -> None:
    """Upload notes that it has sent the event, for example: to pass the job over would leave it to the next sweep."""
    job = add()
    with closing(psycopg2.connect(database)) as connection, ThreadPoolExecutor() as threads:
        with connection, connection.cursor() as cursor:
            cursor.execute("SELECT FROM jobs FOR UPDATE")
            claimed = threads.submit(jobs.claim, job.id)
            until(lambda: _is_waited_for(cursor))
        found = claimed.result()
    assert found
    assert found.id == job.id


def _is_waited_for(cursor: Any) -> bool:
    cursor.execute("SELECT count(*) > 0 FROM pg_locks WHERE NOT granted")
    return bool(cursor.fetchone()[0])
