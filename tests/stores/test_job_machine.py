"""Whatever workers, sweeps and owners do at once, a job is as if they had done it one after the other.

Hypothesis chooses who does what, Postgres carries it out at the same time, and the row must be what some order of the
same moves makes of the model below.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import permutations
from threading import Barrier
from typing import Any
from uuid import UUID, uuid4

from hypothesis import HealthCheck, settings
from hypothesis import strategies as some
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from functions.model.jobs import Job, State
from functions.stores.accounts import Accounts
from functions.stores.jobs import Jobs
from functions.stores.postgres import Database
from tests.jobs import finish, new_job
from tests.stores.conftest import MAX_TRIES

Sql = Callable[..., list[tuple[Any, ...]]]
ADDRESS = "ada@example.org"
Said = int | bool | None  # what a move returned: the fence of a claim, or whether it moved anything


@dataclass(frozen=True)
class Model:
    """A job. Each move that docs/architecture.md draws gives the job after it, or None where it is not allowed now."""

    state: State = State.QUEUED
    generation: int = 0
    fence: int = 0
    tries: int = 0
    lapsed: bool = False  # its lease
    deleted: bool = False
    winner: int | None = None  # the fence of the worker whose audio the row names
    addressed: bool = True  # whether its owner has an address
    owed: frozenset[tuple[int, str, bool]] = (
        frozenset()
    )  # each end it had: generation, outcome, whether an email was owed

    def claim(self, _: int) -> "Model | None":
        able = self.state == State.QUEUED and self.tries < MAX_TRIES
        return self._to(State.CONVERTING, fence=self.fence + 1, tries=self.tries + 1) if able else None

    def renew(self, fence: int) -> "Model | None":
        return self._to(State.CONVERTING) if self._is_held_by(fence) else None

    def finish(self, fence: int) -> "Model | None":
        return self._end(State.DONE, winner=fence) if self._is_held_by(fence) else None

    def fail(self, fence: int) -> "Model | None":
        return self._end(State.FAILED) if self._is_held_by(fence) else None

    def hand_back(self, fence: int) -> "Model | None":
        return self._to(State.QUEUED, tries=self.tries - 1) if self._is_held_by(fence) else None

    def interrupt(self, fence: int) -> "Model | None":
        return self._to(State.QUEUED) if self._is_held_by(fence) else None

    def lapse(self, fence: int) -> "Model | None":
        return replace(self, lapsed=True) if self._is_held_by(fence) else None

    def free(self, _: int) -> "Model | None":
        able = self.lapsed and self.tries < MAX_TRIES
        return self._to(State.QUEUED, generation=self.generation + 1) if able else None

    def give_up(self, _: int) -> "Model | None":
        able = (self.lapsed or self.state == State.QUEUED) and self.tries >= MAX_TRIES
        return self._end(State.FAILED) if able else None

    def cancel(self, _: int) -> "Model | None":
        return self._to(State.CANCELLED) if self.state in (State.QUEUED, State.CONVERTING) else None

    def delete(self, _: int) -> "Model":
        ended = self._to(State.CANCELLED) if self.state in (State.QUEUED, State.CONVERTING) else self
        return replace(ended, deleted=True)

    def retry(self, _: int) -> "Model | None":
        able = self.state in (State.FAILED, State.CANCELLED) and not self.deleted
        return self._to(State.QUEUED, generation=self.generation + 1, tries=0) if able else None

    def give_address(self, _: int) -> "Model":
        return replace(self, addressed=True)

    def take_address(self, _: int) -> "Model":
        return replace(self, addressed=False)

    def _is_held_by(self, fence: int) -> bool:
        return self.state == State.CONVERTING and self.fence == fence

    def _to(self, state: State, **changes: Any) -> "Model":
        return replace(self, state=state, lapsed=False, **changes)

    def _end(self, state: State, **changes: Any) -> "Model":
        return self._to(state, owed=self.owed | {(self.generation, state, self.addressed)}, **changes)


MOVES = [name for name, made in vars(Model).items() if callable(made) and not name.startswith("_")]
SAID_NOTHING = ("hand_back", "interrupt")  # these return nothing, whether or not they moved the job
SKIPS = ("free", "give_up")  # these skip a row that is locked by another move


class Machine(RuleBasedStateMachine):
    """One job, and every worker that ever claimed it: each can still try to write under its old fence."""

    def __init__(self, jobs: Jobs, late: Jobs, accounts: Accounts, owner: UUID, sql: Sql) -> None:
        super().__init__()
        self._jobs, self._late, self._accounts, self._sql = jobs, late, accounts, sql
        accounts.set_email(owner, ADDRESS)
        sql("UPDATE jobs SET turn = NULL")  # those of earlier runs, so that a claim is of this one
        job = jobs.add(new_job(owner))
        assert job
        self._workers = [job]
        self._winners: dict[str, int] = {}
        self._model = Model()

    @rule(chosen=some.lists(some.tuples(some.sampled_from(MOVES), some.integers(0, 2)), min_size=1, max_size=4))
    def move_at_once(self, chosen: list[tuple[str, int]]) -> None:
        """Each move is made by the latest worker, or by one before it."""
        moves = [(name, self._workers[-1 - min(age, len(self._workers) - 1)]) for name, age in chosen]
        start = Barrier(len(moves))

        def make(name: str, worker: Job) -> tuple[str, int, Said]:
            start.wait()
            return name, worker.fence, self._make(name, worker)

        with ThreadPoolExecutor(len(moves)) as pool:
            made = list(pool.map(lambda move: make(*move), moves))
        seen = self._look()
        assert seen in map(self._replay, permutations(made)), f"{self._model} became {seen} by {made}, in no order"
        self._model = seen

    def _make(self, name: str, worker: Job) -> Said:
        jobs, id_ = self._jobs, worker.id
        match name:
            case "claim":
                claimed = jobs.claim(id_)
                self._workers += filter(None, [claimed])
                return claimed.fence if claimed else False
            case "renew":
                return jobs.renew(worker, 0.5)
            case "finish":
                self._winners[str(audio := uuid4())] = worker.fence
                return finish(jobs, worker, audio=audio) is not None
            case "fail":
                return jobs.fail(worker, "no_audio", "") is not None
            case "hand_back" | "interrupt":
                jobs.hand_back(worker, "", refund=name == "hand_back")
                return None
            case "lapse":
                return self._late.renew(worker, 0.5)
            case "free":
                return id_ in [job.id for job in jobs.free_lapsed(1000)]
            case "give_address" | "take_address":
                self._accounts.set_email(worker.owner, ADDRESS if name == "give_address" else None)
                return True
            case "give_up":
                return bool(jobs.give_up(id_))
            case _:
                return bool(getattr(jobs, name)(id_, worker.owner))

    def _replay(self, order: tuple[tuple[str, int, Said], ...]) -> Model | None:
        """The model after these moves in this order; None where one of them would have returned something else."""
        model = self._model
        for name, fence, said in order:
            after = getattr(model, name)(fence)
            if name in SKIPS and not said:
                continue
            if name not in SAID_NOTHING and said != (after.fence if after and name == "claim" else after is not None):
                return None
            model = after or model
        return model

    def _look(self) -> Model:
        id_ = self._workers[0].id
        columns = "state, generation, fence, tries, coalesce(lease_until < now(), false), deleted_at IS NOT NULL, audio"
        [(*seen, audio)] = self._sql(f"SELECT {columns} FROM jobs WHERE id = %s", id_)
        [(addressed,)] = self._sql("SELECT email IS NOT NULL FROM users WHERE id = %s", self._workers[0].owner)
        owed = self._sql("SELECT generation, outcome, state <> 'unwanted' FROM notifications WHERE job = %s", id_)
        winner = self._winners.get(str(audio))
        return Model(*seen, winner=winner, addressed=addressed, owed=frozenset(owed))  # type: ignore[misc] # it has six


def test_moves_made_at_once_are_as_moves_made_in_turn(
    jobs: Jobs, late: Jobs, postgres: Database, owner: UUID, sql: Sql
) -> None:
    """Claims, lapsed leases, cancels, deletions, retries and late workers, in whatever order."""
    run_state_machine_as_test(
        lambda: Machine(jobs, late, Accounts(postgres, 5), owner, sql),  # type: ignore[arg-type] # any factory will do
        settings=settings(
            max_examples=40, stateful_step_count=25, deadline=None, database=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )  # fmt: skip
