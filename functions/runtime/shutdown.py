"""How long work learns that its process is being stopped, so that it hands its job back while there is still time."""

import time

MARGIN = 5.0  # seconds left for handing back

_deadline: list[float] = []


def begin(grace: float) -> None:
    """Called by the server's SIGTERM handler: whatever is running has `grace` seconds left."""
    if not _deadline:
        _deadline.append(time.monotonic() + max(0.0, grace - MARGIN))


def begun() -> bool:
    """Whether the process was told to stop: nothing new should be begun."""
    return bool(_deadline)


def overdue() -> bool:
    """Whether the process was told to stop and its time is nearly over: work that still runs must be handed back."""
    return bool(_deadline) and time.monotonic() > _deadline[0]
