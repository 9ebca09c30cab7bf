"""Telling the owner: one notification per job, outcome and generation, owed until it is sent or given up."""

from dataclasses import fields
from typing import Any
from uuid import UUID

from functions.model.jobs import Job
from functions.model.notifications import Notification
from functions.stores.postgres import Database

LEASE = 120  # seconds a claimed notification is left alone: longer than notify's time limit


class Notifications:
    """All raise Unavailable where Postgres is away."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def claim(self, job: UUID) -> Notification | None:
        """What the job's owner is to be told now; None where nothing is owed, or another is telling."""
        row = self._database.one("claim_notification", job=job, lease=LEASE)
        if row is None or row["email"] is None:
            return None
        return Notification(**{field.name: row[field.name] for field in fields(Notification)})

    def sent(self, notification: Notification) -> None:
        self._database.all("note_sent", **notification.key, email=notification.email)

    def postpone(self, notification: Notification, seconds: int, why: str) -> None:
        self._database.all("postpone_notification", **notification.key, seconds=seconds, last_error=why)

    def give_up(self, notification: Notification, why: str) -> None:
        self._database.all("give_up_notification", **notification.key, last_error=why)

    def give_up_old(self, age: int) -> int:
        """How many were given up for being owed longer than `age` seconds."""
        return len(self._database.all("give_up_old_notifications", age=age))

    def take_owed(self, batch: int) -> list[Job]:
        """Ended jobs whose result is due to be announced again; taking notes the hint."""
        return [Job.of(row) for row in self._database.all("take_owed_results", batch=batch)]

    def postpone_result(self, job: Job) -> None:
        """The result could not be announced after all."""
        self._database.all("postpone_result", job=job.id)

    def counts(self) -> list[dict[str, Any]]:
        """Notifications by state."""
        return self._database.all("count_notifications")

    def note_dead_letter(self, job: UUID, why: str) -> bool:
        """Whether something is still owed for that job: then the note stands on it, and sweep goes on."""
        return bool(self._database.all("note_dead_letter", job=job, last_error=why))
