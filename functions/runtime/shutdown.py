"""Whether this process has been told to stop and its grace is nearly over: long work then hands back what it holds."""

import time

MARGIN = 5.0  # seconds left for handing back

_deadline: list[float] = []


def begin(grace: float) -> None:
    """The server's SIGTERM handler calls it: what is running has `grace` seconds."""
    if not _deadline:
        _deadline.append(time.monotonic() + max(0.0, grace - MARGIN))


def overdue() -> bool:
    """Whether work that is not finished by now will not be finished by this process."""
    return bool(_deadline) and time.monotonic() > _deadline[0]
