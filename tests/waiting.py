"""Waiting for conditions, never for a time: tests hold an order of events; how fast they are is for `make bench`."""

import time
from collections.abc import Callable
from typing import Any

import psutil

PATIENCE = 120.0  # seconds until what does not happen is said never to: a busy machine is slow, not broken


def until(condition: Callable[[], Any], within: float = PATIENCE) -> Any:
    """Wait until the condition is true, and give its value. Raises AssertionError after `within` seconds."""
    deadline = time.monotonic() + within
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {within:g} s: {condition}"
        time.sleep(0.02)
    return value


def has_ended(process: psutil.Process) -> bool:
    """Tell whether a process runs no more, whether or not its parent has asked for its exit code."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
