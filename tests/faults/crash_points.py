"""Crash points: exact points at which a test kills or stops the very process that does the work.

Each call of a store, of the event sink or of the mailer is such a point, just after it has returned: `videos.write`,
`jobs.finish`, `mailer.send`. A test makes a file of that name in $CRASH_POINTS that holds a signal. The first process
to reach the point removes the file and sends itself the signal. The functions know nothing of it:
tests/faults/gunicorn.conf.py gives them these services in place of their own.
"""

import os
import signal
import threading
from pathlib import Path
from typing import Any

from functions.runtime import wiring

CRASHABLE = ("videos", "audios", "jobs", "notifications", "expiry", "sink", "mailer")


class Services(wiring.Services):
    """Those of a function, with a crash point after each call."""

    def __getattribute__(self, name: str) -> Any:
        thing = super().__getattribute__(name)
        return _CrashPoints(name, thing) if name in CRASHABLE else thing


class _CrashPoints:
    def __init__(self, name: str, thing: Any) -> None:
        self._name = name
        self._thing = thing

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._thing, name)
        if not callable(found):
            return found

        def call(*arguments: Any, **named: Any) -> Any:
            result = found(*arguments, **named)
            _reach(f"{self._name}.{name}")
            return result

        return call


def place(directory: Path, point: str, number: signal.Signals = signal.SIGKILL) -> Path:
    """Make a crash point, and give its file, which is gone once a process has reached it."""
    (directory / f"{point}.new").write_text(str(int(number)), encoding="utf-8")
    return (directory / f"{point}.new").rename(directory / point)


def _reach(point: str) -> None:
    """End or stop this thread where the test wants that here."""
    crash_point = Path(os.environ["CRASH_POINTS"], point)
    if crash_point.exists():
        number = int(crash_point.read_text(encoding="utf-8"))
        crash_point.unlink()
        signal.pthread_kill(threading.get_ident(), number)  # this thread goes no further, not just any of them
