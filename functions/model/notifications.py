"""A notification: this owner is to get an email about this outcome of this job."""

from dataclasses import dataclass
from uuid import UUID

from functions.model.audio import Audio
from functions.model.jobs import State
from functions.model.options import Options


@dataclass(frozen=True)
class Notification:
    """A claimed notification, with all that its email says."""

    job: UUID
    generation: int
    outcome: State  # DONE or FAILED
    tries: int
    fid: UUID
    filename: str
    reason: str | None
    detail: str | None  # as in Job
    options: Options
    facts: Audio | None  # as in Job
    name: str
    email: str
    mails_this_hour: int  # how many emails went to this address within the last hour, whichever job they were about


@dataclass(frozen=True)
class NotificationCount:
    """How many notifications are in one state: owed, claimed, sent, given_up or unwanted."""

    state: str
    notifications: int
