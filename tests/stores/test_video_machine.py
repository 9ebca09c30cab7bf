"""Whatever owners and sweeps do at once with jobs that share videos, no row names a video whose bytes may be gone.

Hypothesis chooses who does what, and Postgres carries it out at the same time. A sweep may die after each of its
statements: what it has taken off the rows is then forgotten, until a pass over all files asks about it.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as some
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from functions.model.jobs import Again, Job
from functions.model.options import Options
from functions.stores.expiry import Expiry
from functions.stores.jobs import Jobs
from functions.stores.postgres import Database
from tests.jobs import finish, new_job
from tests.stores.conftest import MAX_TRIES

Sql = Callable[..., list[tuple[Any, ...]]]
MOVES = (
    "again",
    "again",
    "again",
    "end",
    "cancel",
    "retry",
    "delete",
    "sweep",
    "sweep",
    "take and die",
    "bury and die",
)
WAITING = "SELECT id FROM jobs WHERE state IN ('queued', 'converting') AND deleted_at IS NULL AND video IS NULL"

END_ALL = "UPDATE jobs SET state = 'cancelled', lease_until = NULL, finished_at = now() WHERE finished_at IS NULL"


class Machine(RuleBasedStateMachine):
    """Videos, and every job that is made from them; what has ended is old at once."""

    def __init__(self, jobs: Jobs, expiry: Expiry, owner: UUID, sql: Sql, pool: ThreadPoolExecutor) -> None:
        super().__init__()
        self._jobs, self._expiry, self._owner, self._sql, self._pool = jobs, expiry, owner, sql, pool
        self._made: list[Job] = []
        self._videos: list[UUID] = []
        self._removed: set[UUID] = set()
        self.upload()

    @rule()
    def upload(self) -> None:
        job = self._jobs.add(new_job(self._owner))
        assert job
        assert job.video
        self._made.append(job)
        self._videos.append(job.video)

    @rule(chosen=some.lists(some.tuples(some.sampled_from(MOVES), some.integers(0, 3)), min_size=1, max_size=4))
    def move_by_chance(self, chosen: list[tuple[str, int]]) -> None:
        self.move_at_once(chosen)

    def move_at_once(self, chosen: list[tuple[str, int]]) -> None:
        """Each move is made with the latest job, or with one before it."""
        moves = [(name, self._made[-1 - min(age, len(self._made) - 1)]) for name, age in chosen]
        start = Barrier(len(moves))

        def make(name: str, job: Job) -> None:
            start.wait()
            self._make(name, job)

        list(self._pool.map(lambda move: make(*move), moves))

    @rule(age=some.integers(0, 3), sweeps=some.integers(1, 2))
    def ask_for_what_goes(self, age: int, sweeps: int) -> None:
        """All have ended, and a sweep is about to remove every video; somebody may be quicker."""
        self._sql(END_ALL)
        self.move_at_once([("again", age), *[("sweep", 0)] * sweeps])

    @rule()
    def look_at_all_files(self) -> None:
        """As sweep does from time to time, for what a crash has left."""
        self._removed.update(self._expiry.orphans(self._videos))

    @invariant()
    def no_row_names_what_is_removed(self) -> None:
        named = {video for (video,) in self._sql("SELECT video FROM jobs WHERE video IS NOT NULL")}
        assert not named & self._removed

    @invariant()
    def what_waits_has_its_video(self) -> None:
        assert self._sql(WAITING) == []

    def teardown(self) -> None:
        """Once all jobs have ended, no video is left."""
        self._sql(END_ALL)
        self._expiry.take_old_videos(-1, 1000)
        self.look_at_all_files()
        assert self._removed == set(self._videos)
        self._sql("DELETE FROM jobs")

    def _make(self, name: str, job: Job) -> None:
        jobs, expiry = self._jobs, self._expiry
        match name:
            case "again":
                made = jobs.add_again(Again(uuid4(), self._owner, job.id, None, Options(), None, None), 1000)
                self._made += filter(None, [made])
            case "end":
                if claimed := jobs.claim(job.id):  # or another whose turn it is
                    finish(jobs, claimed)
            case "sweep":
                deleted, _ = expiry.remove_deleted(-1, 100)
                self._removed.update(expiry.orphans(deleted + expiry.take_old_videos(-1, 100)))
            case "take and die":
                expiry.take_old_videos(-1, 100)
            case "bury and die":
                expiry.remove_deleted(-1, 100)
            case _:
                getattr(jobs, name)(job.id, self._owner)


@pytest.fixture
def slowly(sql: Sql) -> Iterator[None]:
    """Whoever makes a job has read of which video 20 ms before the row is there: as long as a sweep takes."""
    sql(
        "CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN PERFORM pg_sleep(0.04); RETURN NEW; END $$;"
        "CREATE TRIGGER dawdle BEFORE INSERT ON jobs FOR EACH ROW EXECUTE FUNCTION dawdle()"
    )
    yield
    sql("DROP FUNCTION dawdle CASCADE")


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as threads:
        yield threads


@pytest.mark.usefixtures("slowly")
def test_a_shared_video_is_there_as_long_as_a_row_names_it_and_no_longer(
    postgres: Database, owner: UUID, sql: Sql, pool: ThreadPoolExecutor
) -> None:
    """Conversions of conversions, deletions, retries, two sweeps at once and sweeps that die, in whatever order."""
    jobs, expiry = Jobs(postgres, 60, MAX_TRIES), Expiry(postgres)
    run_state_machine_as_test(
        lambda: Machine(jobs, expiry, owner, sql, pool),  # type: ignore[arg-type] # any factory will do
        settings=settings(
            max_examples=30, stateful_step_count=20, deadline=None, database=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )  # fmt: skip
