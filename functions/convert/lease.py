"""A worker's hold on a job: renewed by a thread, lost when the row says so or Postgres is away too long."""

import threading
import time
from types import TracebackType
from typing import Protocol

from functions.model.errors import Unavailable
from functions.model.jobs import Job

BEAT = 1.0  # seconds between renewals: a cancel is learnt of within two


class LeaseLost(Exception):
    """The job is another's, cancelled or deleted: stop, and store nothing."""


class Renewer(Protocol):
    lease_seconds: int

    def renew(self, attempt: Job, progress: float) -> bool:
        """Whether the lease is still this attempt's."""


class Lease:
    """`with Lease(jobs, attempt) as lease:` and `lease.check(progress)` wherever the work can stop."""

    def __init__(self, jobs: Renewer, attempt: Job) -> None:
        self._jobs = jobs
        self._attempt = attempt
        self._progress = 0.0
        self._lost = threading.Event()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lease", daemon=True)
        # Our own clock's idea of its end. Postgres granted it a moment ago, so this is late by that moment; the
        # fence makes that good.
        self._until = time.monotonic() + jobs.lease_seconds

    def __enter__(self) -> "Lease":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def check(self, progress: float | None = None) -> None:
        """Notes the progress (0 to 1). Raises LeaseLost."""
        if progress is not None:
            self._progress = progress
        if self._lost.is_set() or time.monotonic() > self._until:
            raise LeaseLost

    def _run(self) -> None:
        while not self._over.wait(BEAT):
            asked = time.monotonic()
            try:
                if not self._jobs.renew(self._attempt, self._progress):
                    self._lost.set()
                    return
            except Unavailable:
                continue  # tries until the lease ends by our own clock: check() sees that
            self._until = asked + self._jobs.lease_seconds
