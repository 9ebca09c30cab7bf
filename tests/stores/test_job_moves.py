"""Every move of a job, legal and illegal; and that a worker that lost its lease can change nothing."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest

from functions.model.jobs import Job, State
from functions.stores.expiry import Expiry
from functions.stores.jobs import Jobs
from functions.stores.postgres import Database
from tests.jobs import finish, new_job
from tests.stores.conftest import MAX_TRIES, add_user

Add = Callable[..., Job]
Sql = Callable[..., list[tuple[Any, ...]]]
Move = Callable[[Jobs, Job], Any]


MOVES: dict[str, Move] = {
    "claim": lambda jobs, job: jobs.claim(job.id),
    "renew": lambda jobs, job: jobs.renew(job, 0.5),
    "finish": finish,
    "fail": lambda jobs, job: jobs.fail(job, "no_audio", "no stream"),
    "hand back": lambda jobs, job: jobs.hand_back(job, "the store is away", refund=True),
    "give up": lambda jobs, job: jobs.give_up(job.id),
    "free": lambda jobs, _: jobs.free_lapsed(10),
    "cancel": lambda jobs, job: jobs.cancel(job.id, job.owner),
    "delete": lambda jobs, job: jobs.delete(job.id, job.owner),
    "retry": lambda jobs, job: jobs.retry(job.id, job.owner),
}
LEGAL = {
    (State.QUEUED, "claim"): State.CONVERTING,
    (State.QUEUED, "cancel"): State.CANCELLED,
    (State.CONVERTING, "renew"): State.CONVERTING,
    (State.CONVERTING, "finish"): State.DONE,
    (State.CONVERTING, "fail"): State.FAILED,
    (State.CONVERTING, "hand back"): State.QUEUED,
    (State.CONVERTING, "cancel"): State.CANCELLED,
    (State.QUEUED, "delete"): State.CANCELLED,
    (State.CONVERTING, "delete"): State.CANCELLED,
    (State.DONE, "delete"): State.DONE,
    (State.FAILED, "delete"): State.FAILED,
    (State.FAILED, "retry"): State.QUEUED,
    (State.CANCELLED, "delete"): State.CANCELLED,
    (State.CANCELLED, "retry"): State.QUEUED,
    (State.EXPIRED, "delete"): State.EXPIRED,
}
PATHS = {
    State.QUEUED: (),
    State.CONVERTING: ("claim",),
    State.DONE: ("claim", "finish"),
    State.FAILED: ("claim", "fail"),
    State.CANCELLED: ("claim", "cancel"),
    State.EXPIRED: ("claim", "finish"),
}


@pytest.fixture
def bring(jobs: Jobs, add: Add, postgres: Database) -> Callable[[State], Job]:
    """A job in that state, as its last worker saw it."""

    def to(state: State) -> Job:
        job = add()
        for move in PATHS[state]:
            seen = MOVES[move](jobs, job)
            job = seen if move == "claim" else job
        if state == State.EXPIRED:
            Expiry(postgres).expire_jobs(-1, 10)
        return job

    return to


@pytest.mark.parametrize(("state", "move"), LEGAL, ids=lambda word: word)
def test_a_legal_move_leads_where_the_design_says(
    state: State, move: str, bring: Callable[[State], Job], jobs: Jobs, sql: Sql
) -> None:
    """queued → converting → done | failed | cancelled, back to queued, and hidden at the end."""
    job = bring(state)
    MOVES[move](jobs, job)
    assert sql("SELECT state, deleted_at IS NOT NULL FROM jobs") == [(LEGAL[state, move], move == "delete")]


@pytest.mark.parametrize("state", PATHS)
def test_an_illegal_move_changes_nothing(state: State, bring: Callable[[State], Job], jobs: Jobs, sql: Sql) -> None:
    """It finds no row, says so, and leaves every column as it was."""
    job = bring(state)
    before = sql("SELECT * FROM jobs"), sql("SELECT * FROM notifications")
    for name, move in MOVES.items():
        if (state, name) not in LEGAL:
            assert not move(jobs, job), name
            assert (sql("SELECT * FROM jobs"), sql("SELECT * FROM notifications")) == before, name


@pytest.mark.parametrize("move", ["cancel", "delete", "retry"])
def test_a_job_moves_for_its_owner_only(move: str, jobs: Jobs, add: Add, postgres: Database) -> None:
    """Knowing its id is not enough."""
    job = add()
    claimed = jobs.claim(job.id)
    assert claimed
    jobs.fail(claimed, "no_audio", "")
    stranger = add_user(postgres)
    assert not getattr(jobs, move)(job.id, stranger)
    assert jobs.find_own(job.id, stranger) is None
    assert jobs.list_own(stranger, 10) == []


def test_a_claim_raises_the_fence_and_spends_a_try(jobs: Jobs, add: Add) -> None:
    """A fence is never given out twice, so each claim can be told from every other."""
    first = jobs.claim(add().id)
    assert first
    jobs.hand_back(first, "stopped", refund=False)
    second = jobs.claim(first.id)
    assert second
    assert (first.fence, first.tries, second.fence, second.tries) == (1, 1, 2, 2)


def test_of_many_claims_at_once_one_wins(jobs: Jobs, add: Add) -> None:
    """An event that is delivered twice at once starts one conversion."""
    job = add()
    with ThreadPoolExecutor(8) as pool:
        claims = list(pool.map(jobs.claim, [job.id] * 8))
    assert sum(claim is not None for claim in claims) == 1


@pytest.mark.parametrize("move", ["renew", "finish", "fail", "hand back"])
def test_a_worker_thought_dead_finds_no_row(move: str, jobs: Jobs, late: Jobs, add: Add, sql: Sql) -> None:
    """Its lease lapsed, sweep freed the job and another worker claimed it: only the other one can write."""
    stale = late.claim(add().id)
    assert stale
    jobs.free_lapsed(10)
    fresh = jobs.claim(stale.id)
    assert fresh
    before = sql("SELECT * FROM jobs")
    assert not MOVES[move](jobs, stale)
    assert sql("SELECT * FROM jobs") == before
    assert finish(jobs, fresh)


def test_a_lapsed_lease_that_nobody_freed_can_still_be_finished(jobs: Jobs, late: Jobs, add: Add) -> None:
    """As long as no other worker has claimed the job, being late does no harm."""
    claimed = late.claim(add().id)
    assert claimed
    assert finish(jobs, claimed)


def test_freeing_a_lapsed_lease_makes_the_next_event_a_new_one(jobs: Jobs, late: Jobs, add: Add) -> None:
    """An event under the old id may have been answered already, and would be taken for a repeat."""
    late.claim(add().id)
    [freed] = jobs.free_lapsed(10)
    assert (freed.state, freed.generation, freed.last_error) == (State.QUEUED, 1, "the worker was lost")


def test_a_live_lease_is_not_freed(jobs: Jobs, add: Add) -> None:
    jobs.claim(add().id)
    assert jobs.free_lapsed(10) == []


def test_renewing_keeps_the_lease_and_the_furthest_progress(jobs: Jobs, late: Jobs, add: Add, sql: Sql) -> None:
    """A renewal that arrives late, with less progress, does not turn it back."""
    claimed = late.claim(add().id)
    assert claimed
    assert jobs.renew(claimed, 0.5)
    assert jobs.renew(claimed, 0.25)
    assert jobs.free_lapsed(10) == []
    assert sql("SELECT progress FROM jobs") == [(0.5,)]


def test_a_job_without_tries_left_is_given_up_and_its_owner_is_owed_an_email(
    jobs: Jobs, late: Jobs, add: Add, sql: Sql
) -> None:
    """But not before its last lease has lapsed or was handed back."""
    job = add()
    for _ in range(MAX_TRIES - 1):
        late.claim(job.id)
        jobs.free_lapsed(10)
    last = jobs.claim(job.id)
    assert last
    assert jobs.give_up(job.id) == []
    jobs.hand_back(last, "killed", refund=False)
    assert jobs.claim(job.id) is None
    [failed] = jobs.give_up(None, 10)
    assert (failed.state, failed.reason, failed.last_error) == (State.FAILED, "retries_exhausted", "killed")
    assert sql("SELECT outcome, state FROM notifications") == [("failed", "owed")]


def test_an_outage_spends_no_try(jobs: Jobs, add: Add) -> None:
    """However often it hits the same job."""
    job = add()
    for _ in range(MAX_TRIES + 2):
        claimed = jobs.claim(job.id)
        assert claimed
        jobs.hand_back(claimed, "the store is away", refund=True)
    assert jobs.give_up(job.id) == []


def test_what_is_handed_back_again_and_again_is_told_of_ever_more_seldom(jobs: Jobs, add: Add, sql: Sql) -> None:
    """First after half a minute; a job that cannot go on for days (the disk is full) keeps nobody busy."""
    job = add()
    waits = []
    for _ in range(7):
        claimed = jobs.claim(job.id)
        assert claimed
        jobs.hand_back(claimed, "no room", refund=True)
        [(seconds,)] = sql("SELECT extract(epoch FROM next_hint_at - now())::float FROM jobs")
        waits.append(round(seconds, -1))
        sql("UPDATE jobs SET next_hint_at = now()")
        assert [owed.id for owed in jobs.take_owed(1)] == [job.id]
    assert waits == [30, 60, 120, 240, 480, 600, 600]


def test_retrying_starts_over_under_a_new_generation(jobs: Jobs, late: Jobs, add: Add, sql: Sql) -> None:
    """All tries are there again and the email about the failure is no longer owed, but the fence never starts over."""
    job = add()
    for _ in range(MAX_TRIES):
        late.claim(job.id)
        jobs.free_lapsed(10)
    jobs.give_up(job.id)
    retried = jobs.retry(job.id, job.owner)
    assert retried
    assert (retried.state, retried.tries, retried.reason, retried.generation) == (State.QUEUED, 0, None, MAX_TRIES)
    assert sql("SELECT state FROM notifications") == [("given_up",)]
    claimed = jobs.claim(job.id)
    assert claimed
    assert claimed.fence == MAX_TRIES + 1


def test_a_job_whose_video_is_no_longer_kept_cannot_be_retried(jobs: Jobs, add: Add, sql: Sql) -> None:
    job = add()
    jobs.cancel(job.id, job.owner)
    sql("UPDATE jobs SET video = NULL")
    assert jobs.retry(job.id, job.owner) is None


@pytest.mark.parametrize("state", PATHS)
def test_deleting_again_changes_nothing(state: State, bring: Callable[[State], Job], jobs: Jobs, sql: Sql) -> None:
    """It still finds the row, so that a request whose answer got lost can be repeated."""
    job = bring(state)
    assert jobs.delete(job.id, job.owner)
    before = sql("SELECT * FROM jobs"), sql("SELECT * FROM notifications")
    assert jobs.delete(job.id, job.owner)
    assert (sql("SELECT * FROM jobs"), sql("SELECT * FROM notifications")) == before


def test_a_worker_whose_job_was_deleted_can_write_nothing(jobs: Jobs, add: Add, sql: Sql) -> None:
    """It learns so by its next renewal, and nobody is owed an email."""
    claimed = jobs.claim(add().id)
    assert claimed
    assert jobs.delete(claimed.id, claimed.owner)
    for move in ("renew", "finish", "fail", "hand back"):
        assert not MOVES[move](jobs, claimed), move
    assert sql("SELECT state, audio FROM jobs") == [("cancelled", None)]
    assert sql("SELECT * FROM notifications") == []


def test_a_deleted_job_is_found_by_nobody(jobs: Jobs, add: Add) -> None:
    """Not by its owner, not by its audio's id or a link, not by an event that is delivered again."""
    job = add()
    claimed = jobs.claim(job.id)
    assert claimed
    finish(jobs, claimed)
    assert jobs.find_audio(job.fid, job.owner)
    assert jobs.find_audio(job.fid, None)
    jobs.delete(job.id, job.owner)
    assert jobs.find_own(job.id, job.owner) is None
    assert jobs.find_audio(job.fid, job.owner) is None
    assert jobs.find_audio(job.fid, None) is None
    assert jobs.find(job.id) is None
    assert jobs.list_own(job.owner, 10) == []


def test_an_idempotency_key_makes_one_job_however_many_come_at_once(jobs: Jobs, owner: UUID) -> None:
    """The other requests are led to that one."""
    with ThreadPoolExecutor(8) as pool:
        made = [job for job in pool.map(jobs.add, [new_job(owner, idempotency_key="k") for _ in range(8)]) if job]
    assert made == [jobs.by_key(owner, "k")]


def test_the_newest_jobs_come_first_and_page_by_page(jobs: Jobs, add: Add, owner: UUID) -> None:
    made = [add() for _ in range(3)]
    newest = jobs.list_own(owner, 2)
    assert newest == [made[2], made[1]]
    assert jobs.list_own(owner, 2, (made[1].created_at, made[1].id)) == [made[0]]


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 8])
def test_jobs_of_one_instant_are_each_on_one_page(limit: int, jobs: Jobs, add: Add, owner: UUID, sql: Sql) -> None:
    """The id decides their order. By the time alone, those beyond the end of a page would be skipped."""
    made = {add().id for _ in range(7)}
    sql("UPDATE jobs SET created_at = now()")
    seen: list[UUID] = []
    after = None
    while page := jobs.list_own(owner, limit, after):
        seen += [job.id for job in page]
        after = (page[-1].created_at, page[-1].id)
    assert seen == sorted(made, reverse=True)


def test_a_queued_job_is_announced_again_at_growing_intervals(jobs: Jobs, add: Add, sql: Sql) -> None:
    """2, 4, 8 … minutes and never more than an hour apart."""
    add()
    assert jobs.take_owed(10) == []
    intervals = []
    for _ in range(8):
        sql("UPDATE jobs SET next_hint_at = now()")
        assert len(jobs.take_owed(10)) == 1
        [(seconds,)] = sql("SELECT extract(epoch FROM next_hint_at - now()) FROM jobs")
        intervals.append(round(float(seconds) / 60))
    assert intervals == [2, 4, 8, 16, 32, 60, 60, 60]


def test_an_announced_job_is_left_alone_for_a_while(jobs: Jobs, add: Add, sql: Sql) -> None:
    """Upload notes that it sent the event. Where the sink was away, the job is due again in a second."""
    job = add()
    jobs.note_hint(job)
    assert sql("SELECT hints, next_hint_at > now() + interval '1 minute' FROM jobs") == [(1, True)]
    jobs.postpone_hint(job)
    assert sql("SELECT hints, next_hint_at < now() + interval '1 minute' FROM jobs") == [(0, True)]


def test_two_sweeps_at_once_share_what_is_owed(jobs: Jobs, add: Add, sql: Sql) -> None:
    """No job is announced twice."""
    made = {add().id for _ in range(20)}
    sql("UPDATE jobs SET next_hint_at = now()")
    with ThreadPoolExecutor(4) as pool:
        taken = [job.id for batch in pool.map(jobs.take_owed, [5] * 8) for job in batch]
    assert sorted(taken) == sorted(made)
