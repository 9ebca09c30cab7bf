"""Notifications: one per job, outcome and generation, owed to the owner until its email is sent or given up."""

from dataclasses import fields
from typing import Any
from uuid import UUID

from functions.model.jobs import Job, State
from functions.model.notifications import Notification, NotificationCount
from functions.stores import jobs
from functions.stores.postgres import Database

LEASE = 120  # seconds that a claimed notification is left to its worker: longer than notify's time limit


class Notifications:
    """All methods raise Unavailable where Postgres is away."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def claim(self, job: UUID) -> Notification | None:
        """What the job's owner is to be told now; None where nothing is owed, or another worker is sending it."""
        row = self._database.one("claim_notification", job=job, lease=LEASE)
        if row is None or row["email"] is None:
            return None
        columns = {field.name: row[field.name] for field in fields(Notification)}
        typed = {
            "outcome": State(row["outcome"]),
            "options": jobs.options(row["options"]),
            "facts": jobs.facts(row["facts"]),
        }
        return Notification(**columns | typed)

    def sent(self, notification: Notification) -> None:
        """Notes that the email was sent, and to which address."""
        self._database.all("note_sent", **_key(notification), email=notification.email)

    def postpone(self, notification: Notification, seconds: int, why: str) -> None:
        """Leaves it owed; its event is sent again in so many seconds."""
        self._database.all("postpone_notification", **_key(notification), seconds=seconds, last_error=why)

    def give_up(self, notification: Notification, why: str) -> None:
        """Ends it unsent."""
        self._database.all("give_up_notification", **_key(notification), last_error=why)

    def give_up_old(self, age: int) -> int:
        """How many were given up for having been owed longer than `age` seconds."""
        return len(self._database.all("give_up_old_notifications", age=age))

    def take_owed(self, batch: int) -> list[Job]:
        """At most `batch` ended jobs whose result is due to be announced again.

        Each counts as announced until `postpone_result` says otherwise.
        """
        return [jobs.job(row) for row in self._database.all("take_owed_results", batch=batch)]

    def postpone_result(self, job: Job) -> None:
        """Takes back what `take_owed` noted: the result could not be announced after all."""
        self._database.all("postpone_result", job=job.id)

    def recall_results(self, lost: float, batch: int) -> int:
        """How many of at most `batch` results are due again, because the broker lost them `lost` seconds ago."""
        return len(self._database.all("recall_results", lost=lost, batch=batch))

    def counts(self) -> list[NotificationCount]:
        """One for each state that any notification is in."""
        return [NotificationCount(**row) for row in self._database.all("count_notifications")]

    def note_dead_letter(self, job: UUID, why: str) -> bool:
        """Notes on what is still owed for the job why its event was given up; False where nothing is owed."""
        return bool(self._database.all("note_dead_letter", job=job, last_error=why))


def _key(notification: Notification) -> dict[str, Any]:
    return {
        "job": notification.job,
        "outcome": notification.outcome,
        "generation": notification.generation,
    }
