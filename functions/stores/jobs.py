"""Jobs and their moves: each method is one conditional statement of jobs.sql.

A method that returns None, or an empty list, moved nothing: the row was not in the state that the move needs.
"""

import json
from collections.abc import Callable
from dataclasses import fields
from datetime import datetime
from functools import lru_cache
from typing import Any, TypeVar
from uuid import UUID

from functions.model.audio import Audio
from functions.model.errors import AccountGone
from functions.model.jobs import Again, Job, JobCount, NewJob, State
from functions.model.options import Options
from functions.model.source import Source
from functions.stores.postgres import Database

T = TypeVar("T")
_SMALL = 2000  # characters
TYPED = ("options", "state", "source", "facts")  # columns that are more than a plain value
COLUMNS = tuple(field.name for field in fields(Job) if field.name not in TYPED)


class Jobs:
    """All methods raise Unavailable where Postgres is away."""

    def __init__(self, database: Database, lease_seconds: int, max_tries: int) -> None:
        self._database = database
        self.lease_seconds = lease_seconds
        self._max_tries = max_tries

    def add(self, new: NewJob) -> Job | None:
        """The queued job; None where the owner used that idempotency key before. Raises AccountGone."""
        job = self._job("add_job", **vars(new) | {"options": json.dumps(new.options.as_json())})
        if job is None and self._database.one("find_account", id=new.owner) is None:
            raise AccountGone
        return job

    def add_again(self, new: Again, most: int) -> Job | None:
        """The queued job, made from what is kept of its origin.

        None where the owner has no such origin or its video is no longer kept, where the cover that was uploaded is
        asked for and it has none, where the owner used that idempotency key before, or has already `most` jobs of this
        kind that have not ended. Of requests that come at once, each may miss the others in that count.
        """
        return self._job("add_job_again", **vars(new) | {"options": json.dumps(new.options.as_json()), "most": most})

    def cover(self, id_: UUID) -> bytes | None:
        """The picture that was uploaded as the job's cover."""
        row = self._database.one("find_cover", id=id_)
        return bytes(row["image"]) if row else None

    def waveform(self, id_: UUID) -> bytes | None:
        """The waveform of the job's audio: a byte for each peak, 255 for full scale."""
        row = self._database.one("find_waveform", id=id_)
        return bytes(row["peaks"]) if row else None

    def by_key(self, owner: UUID, idempotency_key: str) -> Job | None:
        """The job that an earlier request of the owner with that Idempotency-Key has made."""
        return self._job("find_job_by_key", owner=owner, idempotency_key=idempotency_key)

    def note_hint(self, job: Job) -> None:
        """Notes that the job's event was sent, so that sweep need not send it soon."""
        self._database.all("note_hint", id=job.id, generation=job.generation)

    def find(self, id_: UUID) -> Job | None:
        """The job, whoever owns it; None if there is none, or if it was deleted."""
        return self._job("find_job", id=id_)

    def find_own(self, id_: UUID, owner: UUID) -> Job | None:
        """The owner's job; None if they have none of that id, or have deleted it."""
        return self._job("find_own_job", id=id_, owner=owner)

    def list_own(self, owner: UUID, limit: int, after: tuple[datetime, UUID] | None = None) -> list[Job]:
        """At most `limit` jobs, the newest first; `after` is created_at and id of the last job on the page before."""
        created_at, id_ = after or (None, None)
        return self._jobs("list_jobs", owner=owner, created_at=created_at, id=id_, limit=limit)

    def find_audio(self, fid: UUID, owner: UUID | None) -> Job | None:
        """The job whose audio has that public id, finished or not; without an owner for whoever holds a signed link."""
        if owner is None:
            return self._job("find_linked_audio", fid=fid)
        return self._job("find_own_audio", fid=fid, owner=owner)

    def claim(self, id_: UUID) -> Job | None:
        """The job whose turn it is under a new fence and lease, for one worker alone; it spends one try.

        That need not be the one of that id, whose event a worker was given: its own turn comes with another event.
        """
        return self._job("claim_job", id=id_, lease=self.lease_seconds, max_tries=self._max_tries)

    def renew(self, claimed: Job, progress: float) -> bool:
        """Notes the progress (0 to 1) and prolongs the lease.

        False where the worker has lost the job: to a cancel, a deletion, or another worker's claim.
        """
        row = self._database.one(
            "renew_lease", id=claimed.id, fence=claimed.fence, lease=self.lease_seconds, progress=progress
        )
        return row is not None

    def note_source(self, claimed: Job, source: Source) -> None:
        """Notes what the worker has found in the video, unless it has lost the job."""
        self._database.all("note_source", id=claimed.id, fence=claimed.fence, source=json.dumps(source.as_json()))

    def finish(self, claimed: Job, *, audio: UUID, audio_size: int, facts: Audio, peaks: bytes = b"") -> Job | None:
        """The job, done; None where the worker has lost it. `audio` is the file in GridFS, of `audio_size` bytes."""
        return self._job(
            "finish_job",
            id=claimed.id,
            fence=claimed.fence,
            audio=audio,
            audio_size=audio_size,
            duration=facts.duration,
            facts=json.dumps(facts.as_json()),
            peaks=peaks,
        )

    def fail(self, claimed: Job, reason: str, last_error: str, detail: str | None = None) -> Job | None:
        """The job, failed for good; None where the worker has lost it. `last_error` is for operators, not the owner.

        `detail` is for the owner, where the reason's own sentence does not say all.
        """
        values = {"reason": reason, "detail": detail, "last_error": last_error}
        return self._job("fail_job", id=claimed.id, fence=claimed.fence, **values)

    def hand_back(self, claimed: Job, last_error: str, *, refund: bool) -> None:
        """Queues the job again; `refund` gives the try back where the trouble was not the job's own."""
        self._database.all(
            "hand_back_job", id=claimed.id, fence=claimed.fence, last_error=last_error, refund=int(refund)
        )

    def give_up(self, id_: UUID | None, batch: int = 1) -> list[Job]:
        """Fails jobs that have no live lease and no try left: that one or, without an id, at most `batch` of them."""
        return self._jobs("give_up_jobs", id=id_, max_tries=self._max_tries, batch=batch)

    def free_lapsed(self, batch: int) -> list[Job]:
        """At most `batch` jobs whose worker let its lease lapse, queued again under a new generation."""
        return self._jobs("free_lapsed_jobs", max_tries=self._max_tries, batch=batch)

    def take_owed(self, batch: int) -> list[Job]:
        """At most `batch` queued jobs whose event is due again.

        Each counts as sent until `postpone_hint` says otherwise.
        """
        return self._jobs("take_owed_jobs", max_tries=self._max_tries, batch=batch)

    def postpone_hint(self, job: Job) -> None:
        """Takes back what `take_owed` noted: the event could not be sent after all."""
        self._database.all("postpone_hint", id=job.id)

    def recall_hints(self, lost: float, batch: int) -> int:
        """How many of at most `batch` queued jobs are due again, because the broker lost their events.

        That was `lost` seconds ago; what was sent since is not meant.
        """
        return len(self._database.all("recall_hints", lost=lost, batch=batch))

    def cancel(self, id_: UUID, owner: UUID) -> Job | None:
        """The job, cancelled; None where it has ended already, was cancelled before, or is not the owner's."""
        return self._job("cancel_job", id=id_, owner=owner)

    def delete(self, id_: UUID, owner: UUID) -> bool:
        """Hides the job in whatever state, and cancels it if it has not ended.

        True again for a job that is hidden already; False where the owner has no such job.
        """
        return self._database.one("delete_job", id=id_, owner=owner) is not None

    def retry(self, id_: UUID, owner: UUID) -> Job | None:
        """The job, queued again with all its tries; None unless it failed or was cancelled and its video is kept."""
        return self._job("retry_job", id=id_, owner=owner)

    def counts(self) -> list[JobCount]:
        """One for each state that any job is in; hidden jobs do not count."""
        return [JobCount(**row | {"state": State(row["state"])}) for row in self._database.all("count_jobs")]

    def _job(self, query: str, **values: Any) -> Job | None:
        row = self._database.one(query, **values)
        return job(row) if row else None

    def _jobs(self, query: str, **values: Any) -> list[Job]:
        return [job(row) for row in self._database.all(query, **values)]


def job(row: dict[str, Any]) -> Job:
    """The job of a whole row; columns that Job does not have, such as those of a later release, are left out."""
    columns = {name: row[name] for name in COLUMNS}
    return Job(
        **columns,
        options=options(row["options"]),
        state=State(row["state"]),
        source=source(row["source"]),
        facts=facts(row["facts"]),
    )


@lru_cache(maxsize=1024)
def options(text: str) -> Options:
    """The options of a row: most rows have the same."""
    return Options.of(json.loads(text))


def _remembered(of: Callable[[Any], T]) -> Callable[[str | None], T | None]:
    """Reads what a row knows; whoever polls reads the same rows again and again.

    What is long is not remembered: a video may have thousands of chapters.
    """
    remembered = lru_cache(maxsize=1024)(lambda text: of(json.loads(text)))

    def read(text: str | None) -> T | None:
        if not text:
            return None
        return remembered(text) if len(text) <= _SMALL else of(json.loads(text))

    return read


source = _remembered(Source.of)
facts = _remembered(Audio.of)
