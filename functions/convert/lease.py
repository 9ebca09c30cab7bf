"""A worker's hold on the job that it has claimed.

A thread renews the lease in Postgres. It is lost when the row says so (a cancel, a deletion, another worker's claim),
or when Postgres could not be reached until the lease had run out.
"""

import threading
import time
from types import TracebackType
from typing import Protocol

from functions.model.errors import Unavailable
from functions.model.jobs import Job

BEAT = 1.0  # seconds between renewals: a cancel is learnt of within two


class LeaseLost(Exception):
    """The job belongs to another worker, or was cancelled or deleted: stop, and store nothing."""


class Renewer(Protocol):
    """What a lease needs of stores/jobs.py."""

    lease_seconds: int

    def renew(self, claimed: Job, progress: float, /) -> bool:
        """Whether the row still carries the job's fence. Raises Unavailable where Postgres is away."""


class Lease:
    """Held as long as the `with` block lasts; the work calls check() wherever it can stop."""

    def __init__(self, jobs: Renewer, claimed: Job) -> None:
        self._jobs = jobs
        self._claimed = claimed
        self._progress = 0.0
        self._lost = threading.Event()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lease", daemon=True)
        # When the lease ends by our own clock. Postgres granted it a moment ago, so this is later than the truth by
        # that moment. In between the fence protects the row.
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
        """Notes how far the work is (0 to 1), to be told with the next renewal. Raises LeaseLost."""
        if progress is not None:
            self._progress = progress
        if self._lost.is_set() or time.monotonic() > self._until:
            raise LeaseLost

    def _run(self) -> None:
        while not self._over.wait(BEAT):
            asked = time.monotonic()
            try:
                if not self._jobs.renew(self._claimed, self._progress):
                    self._lost.set()
                    return
            except Unavailable:
                continue  # the next beat tries again; once the lease has run out, check() says so
            self._until = asked + self._jobs.lease_seconds
