"""Jobs and their moves: each method is one conditional statement of jobs.sql.

None means that the row was not as the move needs it.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from functions.model.errors import AccountGone
from functions.model.jobs import Job
from functions.stores.postgres import Database, NothingThere


class Jobs:
    """All raise Unavailable where Postgres is away."""

    def __init__(self, database: Database, lease_seconds: int, max_tries: int) -> None:
        self._database = database
        self.lease_seconds = lease_seconds
        self._max_tries = max_tries

    def add(self, **columns: Any) -> Job | None:
        """None where the owner used that idempotency key before. Raises AccountGone."""
        try:
            return self._job("add_job", **columns)
        except NothingThere as error:
            raise AccountGone from error

    def by_key(self, owner: UUID, idempotency_key: str) -> Job | None:
        return self._job("find_job_by_key", owner=owner, idempotency_key=idempotency_key)

    def note_hint(self, job: Job) -> None:
        """The job's event was sent: sweep need not send it soon."""
        self._database.all("note_hint", id=job.id, generation=job.generation)

    def find(self, id_: UUID) -> Job | None:
        return self._job("find_job", id=id_)

    def find_own(self, id_: UUID, owner: UUID) -> Job | None:
        return self._job("find_own_job", id=id_, owner=owner)

    def list_own(self, owner: UUID, before: datetime | None, limit: int) -> list[Job]:
        return self._jobs("list_jobs", owner=owner, before=before, limit=limit)

    def find_audio(self, fid: UUID, owner: UUID | None) -> Job | None:
        """The job of that MP3, finished or not; without an owner for whoever holds a signed link."""
        if owner is None:
            return self._job("find_linked_audio", fid=fid)
        return self._job("find_own_audio", fid=fid, owner=owner)

    def claim(self, id_: UUID) -> Job | None:
        """The job under a new fence and lease."""
        return self._job("claim_job", id=id_, lease=self.lease_seconds, max_tries=self._max_tries)

    def renew(self, attempt: Job, progress: float) -> bool:
        """Whether the lease is still this attempt's: not after a cancel, a deletion or another's claim."""
        row = self._database.one(
            "renew_lease", id=attempt.id, fence=attempt.fence, lease=self.lease_seconds, progress=progress
        )
        return row is not None

    def finish(self, attempt: Job, *, audio: UUID, audio_size: int, duration: float) -> Job | None:
        return self._job(
            "finish_job", id=attempt.id, fence=attempt.fence, audio=audio, audio_size=audio_size, duration=duration
        )

    def fail(self, attempt: Job, reason: str, last_error: str) -> Job | None:
        return self._job("fail_job", id=attempt.id, fence=attempt.fence, reason=reason, last_error=last_error)

    def hand_back(self, attempt: Job, last_error: str, *, refund: bool) -> None:
        """Queued again; `refund` gives the try back where the trouble was not the job's own."""
        self._database.all(
            "hand_back_job", id=attempt.id, fence=attempt.fence, last_error=last_error, refund=int(refund)
        )

    def give_up(self, id_: UUID | None, batch: int = 1) -> list[Job]:
        """Those (that one, where named) without a live lease or a try left, failed for good."""
        return self._jobs("give_up_jobs", id=id_, max_tries=self._max_tries, batch=batch)

    def free_lapsed(self, batch: int) -> list[Job]:
        return self._jobs("free_lapsed_jobs", max_tries=self._max_tries, batch=batch)

    def take_owed(self, batch: int) -> list[Job]:
        """Queued jobs whose event is due again; taking notes the hint."""
        return self._jobs("take_owed_jobs", max_tries=self._max_tries, batch=batch)

    def postpone_hint(self, job: Job) -> None:
        """The event could not be sent after all."""
        self._database.all("postpone_hint", id=job.id)

    def cancel(self, id_: UUID, owner: UUID) -> Job | None:
        return self._job("cancel_job", id=id_, owner=owner)

    def delete(self, id_: UUID, owner: UUID) -> Job | None:
        return self._job("delete_job", id=id_, owner=owner)

    def retry(self, id_: UUID, owner: UUID) -> Job | None:
        return self._job("retry_job", id=id_, owner=owner)

    def counts(self) -> list[dict[str, Any]]:
        """Jobs by state, with the most tries among them and the age of the oldest that waits, in seconds."""
        return self._database.all("count_jobs")

    def _job(self, query: str, **values: Any) -> Job | None:
        row = self._database.one(query, **values)
        return Job.of(row) if row else None

    def _jobs(self, query: str, **values: Any) -> list[Job]:
        return [Job.of(row) for row in self._database.all(query, **values)]
