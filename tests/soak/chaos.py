"""Break a running system at random, by a seed: one fault after the other, each repaired before the next."""

import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from random import Random
from threading import Event, Thread

from emulator.parts import Part
from emulator.processes import PartFailed
from tests.faults.harness import Harness, freeze, wake

POINTS = (
    *("videos.write", "videos.read", "videos.delete", "audios.write", "audios.read", "audios.delete"),
    *("jobs.add", "jobs.claim", "jobs.renew", "jobs.finish", "jobs.fail", "jobs.hand_back", "jobs.note_hint"),
    *("jobs.cancel", "jobs.delete", "jobs.retry", "jobs.free_lapsed", "jobs.take_owed", "sink.send", "mailer.send"),
    *("notifications.claim", "notifications.sent", "notifications.take_owed", "expiry.remove_deleted"),
    *("jobs.add_again", "expiry.take_old_videos", "expiry.orphans"),
)


class Chaos(Thread):
    """Breaks things from start() until stop(). `faults` counts them by (kind, what was hit)."""

    def __init__(self, harness: Harness, seed: int) -> None:
        super().__init__(name="chaos", daemon=True)
        self.faults: Counter[tuple[str, str]] = Counter()
        self._harness, self._random, self._over = harness, Random(seed), Event()

    def stop(self) -> None:
        self._over.set()
        self.join()

    def run(self) -> None:
        kinds: list[Callable[[], tuple[str, str]]] = [self._kill, self._kill, self._freeze, self._restart, self._cut]
        kinds += [self._stall, self._crash, self._crash]
        while not self._over.wait(self._random.uniform(0.2, 2.5)):
            self.faults[self._random.choice(kinds)()] += 1

    def _kill(self) -> tuple[str, str]:
        part = self._choose()
        part.kill()
        self._hold(3)
        start(part)
        return "killed", part.name

    def _restart(self) -> tuple[str, str]:
        part = self._choose()
        part.stop()
        start(part)
        return "restarted", part.name

    def _freeze(self) -> tuple[str, str]:
        part = self._choose()
        freeze(part)
        self._hold(8)
        wake(part)
        return "stopped and woken", part.name

    def _cut(self) -> tuple[str, str]:
        name = self._random.choice([*self._harness.wires])
        self._harness.wires[name].cut()
        self._hold(4)
        self._harness.wires[name].restore()
        return "cut off", name

    def _stall(self) -> tuple[str, str]:
        name = self._random.choice([*self._harness.wires])
        self._harness.wires[name].stall()
        self._hold(6)
        self._harness.wires[name].restore()
        return "stalled", name

    def _crash(self) -> tuple[str, str]:
        """Kill or stop a function at an exact point of its work. A point that none reaches within 3 s is given up."""
        point = self._random.choice(POINTS)
        number = self._random.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGSTOP])
        crash_point = self._harness.crash_at(point, number)
        until = time.monotonic() + 3
        while crash_point.exists() and time.monotonic() < until:
            time.sleep(0.05)
        if crash_point.exists():
            crash_point.unlink(missing_ok=True)
            return "not reached", "a crash point"
        if number == signal.SIGSTOP:
            self._hold(8)
            for instances in self._harness.functions.values():
                for each in instances:
                    wake(each)
        return "killed after" if number == signal.SIGKILL else "stopped after", point

    def _choose(self) -> Part:
        """A server or a function, as likely the one as the other."""
        harness = self._harness
        servers: list[Part] = [
            harness.postgres,
            harness.mongo,
            harness.rabbitmq,
            harness.bridge,
            harness.mailbox,
            harness.gateway,
        ]
        functions: list[Part] = [each for instances in harness.functions.values() for each in instances]
        return self._random.choice(self._random.choice([servers, functions]))

    def _hold(self, seconds: float) -> None:
        """Keep the fault for a random time of up to `seconds`, or until the end."""
        self._over.wait(self._random.uniform(0.1, seconds))


def start(part: Part) -> None:
    """Start a part that has ended. Its port may take a moment to be free, so try for 20 s. Raises PartFailed."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        with suppress(PartFailed):
            return part.start()
        part.kill()
    return part.start()
