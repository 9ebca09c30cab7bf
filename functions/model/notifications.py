"""A notification: what an owner is to be told about one job, outcome and generation."""

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True)
class Notification:
    job: UUID
    generation: int
    outcome: str
    tries: int
    fid: UUID
    filename: str
    reason: str | None
    duration: float | None
    audio_size: int | None
    name: str
    email: str
    mails_this_hour: int

    @property
    def key(self) -> dict[str, object]:
        return {"job": self.job, "outcome": self.outcome, "generation": self.generation}
