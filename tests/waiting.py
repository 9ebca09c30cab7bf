"""Waiting on conditions, never on time: a test holds an order of events, and how fast they are is for `make bench`."""

import time
from collections.abc import Callable
from typing import Any

PATIENCE = 120.0  # seconds until what does not happen is said never to: a busy machine is slow, not broken


def until(condition: Callable[[], Any], within: float = PATIENCE) -> Any:
    """What the condition gives as soon as it is true."""
    deadline = time.monotonic() + within
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {within:g} s: {condition}"
        time.sleep(0.02)
    return value
