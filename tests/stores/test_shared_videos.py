"""A video that several jobs are made from is kept as long as any of them may need it, and goes with the last."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import Any
from uuid import UUID, uuid4

import psycopg2
import pytest

from functions.model.jobs import Again, Job, State
from functions.model.options import Options
from functions.model.source import Source
from functions.stores.expiry import Expiry
from functions.stores.jobs import Jobs
from functions.stores.postgres import Database, load_queries
from tests.jobs import finish
from tests.stores.conftest import add_user
from tests.waiting import until

Add = Callable[..., Job]
Sql = Callable[..., list[tuple[Any, ...]]]
MOST = 10
DAY, HOUR = 86400, 3600
QUERIES = load_queries()


@pytest.fixture
def expiry(postgres: Database) -> Expiry:
    return Expiry(postgres)


@pytest.fixture
def remove(expiry: Expiry) -> Callable[[], list[UUID]]:
    """What sweep does about videos: takes names off rows, and gives the videos whose bytes may then go."""

    def run() -> list[UUID]:
        deleted, _ = expiry.remove_deleted(HOUR, 100)
        return expiry.orphans(deleted + expiry.take_old_videos(DAY, 100))

    return run


@pytest.fixture
def claim(jobs: Jobs, sql: Sql) -> Callable[[Job], Job]:
    """Claims that very job, whosever turn it is."""

    def run(job: Job) -> Job:
        sql("UPDATE jobs SET turn = NULL WHERE id = %s", job.id)
        claimed = jobs.claim(job.id)
        assert claimed
        return claimed

    return run


@pytest.fixture
def end(jobs: Jobs, claim: Callable[[Job], Job]) -> Callable[[Job], Job]:
    def run(job: Job) -> Job:
        done = finish(jobs, claim(job))
        assert done
        return done

    return run


def request(job: Job, **changes: Any) -> Again:
    """What is new about another job of that one's video."""
    values: dict[str, Any] = {
        "id": uuid4(),
        "owner": job.owner,
        "origin": job.id,
        "idempotency_key": None,
        "options": Options(),
        "traceparent": None,
        "correlationid": None,
    }
    return Again(**values | changes)


def again(jobs: Jobs, origin: Job, **changes: Any) -> Job:
    job = jobs.add_again(request(origin, **changes), MOST)
    assert job
    return job


def age(sql: Sql, job: Job, days: float) -> None:
    """Makes it look as if it ended, or was deleted, so long ago."""
    ago = f"- interval '{days} days'"
    sql(f"UPDATE jobs SET finished_at = finished_at {ago}, deleted_at = deleted_at {ago} WHERE id = %s", job.id)


@pytest.mark.parametrize("state", State)
def test_a_video_is_converted_again_whatever_became_of_its_first_job(
    state: State, add: Add, end: Callable[[Job], Job], jobs: Jobs, sql: Sql
) -> None:
    """As long as that job's row still names it. What is asked of it, and all that happens to it, is its own."""
    first = add(filename="größe.mp4", traceparent="old", idempotency_key="k", options=Options(vbr=7))
    if state in (State.DONE, State.EXPIRED):
        end(first)
    if state is State.CONVERTING:
        jobs.claim(first.id)
    else:
        sql("UPDATE jobs SET state = %s, reason = 'no_audio'", state)
    before = sql("SELECT * FROM jobs")
    made = again(jobs, first, options=Options(vbr=4), traceparent="new")
    assert (made.state, made.generation, made.fence, made.tries, made.fid) == (State.QUEUED, 0, 0, 0, made.id)
    assert (made.origin, made.video, made.video_size) == (first.id, first.video, first.video_size)
    assert (made.filename, made.container, made.video_sha256) == ("größe.mp4", first.container, first.video_sha256)
    assert (made.options, made.traceparent, made.reason, made.audio) == (Options(vbr=4), "new", None, None)
    assert sql("SELECT * FROM jobs WHERE id = %s", first.id) == before
    assert jobs.take_owed(10) == []  # the request sends the first event itself
    sql("UPDATE jobs SET next_hint_at = now()")
    assert made.id in [owed.id for owed in jobs.take_owed(10)]


def test_what_was_found_in_the_video_is_known_at_once(jobs: Jobs, add: Add) -> None:
    claimed = jobs.claim(add().id)
    assert claimed
    found = Source(4.0, (), ())
    jobs.note_source(claimed, found)
    assert again(jobs, claimed).source == found


def test_nothing_is_made_of_a_video_that_is_not_the_owner_s_to_use(
    jobs: Jobs, add: Add, postgres: Database, sql: Sql
) -> None:
    """Nor of one that is no longer kept, or of a job that was deleted."""
    first = add()
    assert jobs.add_again(request(first, owner=add_user(postgres, email=None)), MOST) is None
    assert jobs.add_again(request(first, origin=uuid4()), MOST) is None
    gone, hidden = add(), add()
    sql("UPDATE jobs SET video = NULL WHERE id = %s", gone.id)
    jobs.delete(hidden.id, hidden.owner)
    assert jobs.add_again(request(gone), MOST) is None
    assert jobs.add_again(request(hidden), MOST) is None
    assert sql("SELECT count(*) FROM jobs") == [(3,)]


def test_the_cover_that_was_uploaded_is_copied_if_it_is_asked_for(jobs: Jobs, add: Add) -> None:
    """From job to job, as long as each has it; what a job has not, no other gets from it."""
    uploaded = Options(cover="upload")
    first = add(cover=b"\xff\xd8\xff", options=uploaded)
    second = again(jobs, again(jobs, first, options=uploaded), options=uploaded)
    without = again(jobs, first)
    assert (jobs.cover(second.id), jobs.cover(without.id)) == (b"\xff\xd8\xff", None)
    assert jobs.add_again(request(without, options=uploaded), MOST) is None


def test_a_key_makes_one_job_however_many_requests_come_at_once(jobs: Jobs, add: Add, sql: Sql) -> None:
    """Of the same video, of another one, or with an upload's key."""
    first, other = add(idempotency_key="used"), add()
    with ThreadPoolExecutor(8) as pool:
        asked = [request(origin, idempotency_key="k") for origin in [first, other] * 4]
        made = [job for job in pool.map(jobs.add_again, asked, [MOST] * 8) if job]
    assert made == [jobs.by_key(first.owner, "k")]
    assert jobs.add_again(request(first, idempotency_key="used"), MOST) is None
    assert sql("SELECT count(*) FROM jobs") == [(3,)]


def test_an_owner_has_so_many_of_them_at_most_that_have_not_ended(
    jobs: Jobs, add: Add, postgres: Database, end: Callable[[Job], Job]
) -> None:
    """Uploads do not count, nor do others' jobs; with each that ends there is room for one more."""
    first, second = add(), add()
    made = [again(jobs, each) for each in (first, second, first)]
    assert jobs.add_again(request(first), 3) is None
    other = add(owner=add_user(postgres))
    assert jobs.add_again(request(other), 3)
    end(made[0])
    assert jobs.add_again(request(second), 3)
    assert jobs.add_again(request(second), 3) is None


def test_a_video_goes_a_day_after_the_last_of_its_jobs_has_ended(
    remove: Callable[[], list[UUID]], add: Add, end: Callable[[Job], Job], jobs: Jobs, sql: Sql
) -> None:
    """However long ago the others have; until then it can be converted once more from a job that is not as old."""
    first = end(add())
    second = end(again(jobs, first))
    third = again(jobs, second)
    age(sql, first, 2)
    assert remove() == []
    assert jobs.add_again(request(first), MOST) is None
    fourth = end(again(jobs, second))
    age(sql, second, 2)
    age(sql, fourth, 2)
    sql("UPDATE jobs SET created_at = now() - interval '1 year', queued_at = now() - interval '1 year'")
    assert remove() == []
    assert end(third).video == first.video
    assert remove() == []
    age(sql, third, 2)
    assert remove() == [first.video]
    assert remove() == []


def test_deleting_one_job_takes_the_video_from_no_other(
    remove: Callable[[], list[UUID]], add: Add, end: Callable[[Job], Job], jobs: Jobs, sql: Sql
) -> None:
    """Neither the first of them nor the second; the last takes it along."""
    for last in range(2):
        both = [first := end(add()), end(again(jobs, first))]
        kept = both.pop(last)
        for deleted in (*both, kept):
            assert remove() == []
            jobs.delete(deleted.id, deleted.owner)
            age(sql, deleted, 1)
            if deleted is not kept:
                assert remove() == []
                assert again(jobs, kept).video == first.video
                sql("DELETE FROM jobs WHERE state = 'queued'")
        assert remove() == [first.video]


def test_jobs_of_one_video_that_are_old_at_once_give_it_back_once(
    remove: Callable[[], list[UUID]], add: Add, end: Callable[[Job], Job], jobs: Jobs, sql: Sql
) -> None:
    """Or else it would be counted as two."""
    first = end(add())
    deleted = again(jobs, first)
    jobs.delete(deleted.id, deleted.owner)
    for job in (first, deleted, end(again(jobs, first))):
        age(sql, job, 2)
    assert remove() == [first.video]


@pytest.mark.parametrize("which", [0, 1])
def test_a_job_is_retried_though_its_video_is_another_s_too(
    which: int, remove: Callable[[], list[UUID]], add: Add, claim: Callable[[Job], Job], jobs: Jobs, sql: Sql
) -> None:
    """And though the other is gone meanwhile."""
    first = add()
    both = [first, again(jobs, first)]
    failed, other = both.pop(which), both[0]
    jobs.fail(claim(failed), "timed_out", "")
    jobs.delete(other.id, other.owner)
    age(sql, other, 2)
    assert remove() == []
    retried = jobs.retry(failed.id, failed.owner)
    assert retried
    assert (retried.state, retried.video) == (State.QUEUED, first.video)
    age(sql, retried, 2)
    assert remove() == []


def test_what_a_sweep_that_dies_has_taken_is_an_orphan_only_if_nobody_names_it(
    expiry: Expiry, add: Add, end: Callable[[Job], Job], jobs: Jobs, sql: Sql
) -> None:
    """It took the name off a row, and died before it asked who else has it."""
    first = end(add())
    second = again(jobs, first)
    age(sql, first, 2)
    assert expiry.take_old_videos(DAY, 100) == [first.video]
    assert expiry.orphans([first.video or uuid4()]) == []
    end(second)
    age(sql, second, 2)
    assert expiry.take_old_videos(DAY, 100) == [first.video]
    assert expiry.orphans([first.video or uuid4()]) == [first.video]


class Session:
    """A connection of its own, in one transaction."""

    def __init__(self, connection: Any) -> None:
        self._cursor = connection.cursor()
        self.commit = connection.commit

    def run(self, query: str, **values: Any) -> list[Any]:
        self._cursor.execute(QUERIES[query], values)
        return list(self._cursor.fetchall())

    def add_again(self, new: Again) -> list[Any]:
        options = '{"cover": "keep"}'
        return self.run("add_job_again", **vars(new) | {"options": options, "most": MOST})


@pytest.fixture
def session(database: str) -> Callable[[], Any]:
    @contextmanager
    def open_one() -> Iterator[Session]:
        with closing(psycopg2.connect(database)) as connection:
            yield Session(connection)

    return open_one


TAKE: dict[str, tuple[str, dict[str, Any]]] = {
    "by age": ("take_old_videos", {"video_age": DAY, "batch": 100}),
    "by deletion": ("remove_deleted_jobs", {"transfer": HOUR, "batch": 100}),
}


def waits_for_a_lock(sql: Sql) -> bool:
    return bool(sql("SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"))


def test_who_asks_while_the_video_is_taken_waits_and_finds_it_gone(
    session: Callable[[], Any], add: Add, end: Callable[[Job], Job], jobs: Jobs, expiry: Expiry, sql: Sql
) -> None:
    """Without the lock the new row would name a video whose bytes sweep removes a moment later."""
    first = end(add())
    age(sql, first, 2)
    with session() as sweep, ThreadPoolExecutor(1) as pool:
        assert sweep.run("take_old_videos", video_age=DAY, batch=100) == [(first.video,)]
        asked = pool.submit(jobs.add_again, request(first), MOST)
        until(lambda: waits_for_a_lock(sql))
        sweep.commit()
        assert asked.result() is None
    assert expiry.orphans([first.video or uuid4()]) == [first.video]


def test_who_asks_while_the_job_is_deleted_waits_and_finds_it_gone(
    session: Callable[[], Any], add: Add, jobs: Jobs, sql: Sql
) -> None:
    first = add()
    with session() as deletion, ThreadPoolExecutor(1) as pool:
        deletion.run("delete_job", id=first.id, owner=first.owner)
        asked = pool.submit(jobs.add_again, request(first), MOST)
        until(lambda: waits_for_a_lock(sql))
        deletion.commit()
        assert asked.result() is None


def test_the_video_is_not_taken_from_a_row_while_somebody_asks_for_it(
    session: Callable[[], Any], remove: Callable[[], list[UUID]], add: Add, end: Callable[[Job], Job], sql: Sql
) -> None:
    """Sweep passes over the row, and takes its name later; by then the other row is there."""
    first = end(add())
    age(sql, first, 2)
    with session() as asking:
        new = request(first)
        assert asking.add_again(new)
        assert remove() == []
        assert sql("SELECT video FROM jobs") == [(first.video,)]
        asking.commit()
    assert remove() == []
    assert sql("SELECT id FROM jobs WHERE video IS NOT NULL") == [(new.id,)]


def test_a_job_that_is_deleted_while_somebody_asks_for_its_video_leaves_it_to_the_new_one(
    session: Callable[[], Any],
    remove: Callable[[], list[UUID]],
    add: Add,
    end: Callable[[Job], Job],
    jobs: Jobs,
    sql: Sql,
) -> None:
    first = end(add())
    with session() as asking, ThreadPoolExecutor(1) as pool:
        new = request(first)
        assert asking.add_again(new)
        deleted = pool.submit(jobs.delete, first.id, first.owner)
        until(lambda: waits_for_a_lock(sql))
        asking.commit()
        assert deleted.result()
    age(sql, first, 2)
    assert remove() == []
    assert sql("SELECT id, video FROM jobs") == [(new.id, first.video)]


@pytest.mark.parametrize("other", TAKE)
def test_of_two_sweeps_that_take_the_last_names_at_once_one_removes_the_video(
    other: str, session: Callable[[], Any], add: Add, end: Callable[[Job], Job], jobs: Jobs, expiry: Expiry, sql: Sql
) -> None:
    """Neither sees what the other has not committed, so that whoever asks first leaves it to the other."""
    first = end(add())
    second = end(again(jobs, first))
    if other == "by deletion":
        jobs.delete(second.id, second.owner)
    age(sql, second, 2)
    video = first.video or uuid4()
    with session() as one:
        name, values = TAKE[other]
        assert len(one.run(name, **values)) == 1
        age(sql, first, 2)
        assert expiry.take_old_videos(DAY, 100) == [video]
        assert expiry.orphans([video]) == []
        one.commit()
        assert one.run("find_orphans", files=[video]) == [(video,)]
