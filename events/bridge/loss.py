"""What the broker has lost is sent again: whoever knows from the rows what is owed is asked for it at once.

Without that it would be sent too, but only when sweep thinks that nothing came of it: minutes later.
"""

import logging
import time
from collections.abc import Iterable
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Event, Thread

from events.calls import Callee, NotAnswered, call
from serving.logs import fields

FIRST_PAUSE, LAST_PAUSE = 1.0, 30.0  # seconds before a function that did not answer is asked again; doubled each time

log = logging.getLogger(__name__)


class Loss:
    """Asks the functions that send again what is owed, in a thread of its own, until each has answered."""

    def __init__(self, callees: Iterable[Callee]) -> None:
        self._callees = tuple(callees)
        self._found: SimpleQueue[float] = SimpleQueue()

    def start(self, ready: Iterable[Event]) -> None:
        """Starts the thread; like those of the connections, it must not be made before a fork.

        It waits until all is `ready` that takes events: both connections have noticed the loss by then.
        """
        Thread(target=self._run, args=(tuple(ready),), name="loss", daemon=True).start()

    def note(self) -> None:
        """Work queues were missing just now: the installation is new, or the broker has lost them with their events."""
        self._found.put(time.monotonic())

    def _run(self, ready: tuple[Event, ...]) -> None:
        while True:
            at = self._found.get()
            for each in ready:
                each.wait()
            with suppress(Empty):
                while True:  # the last loss includes those before it
                    at = self._found.get_nowait()
            for callee in self._callees:
                self._ask(callee, at)

    def _ask(self, callee: Callee, at: float) -> None:
        pause = FIRST_PAUSE
        while self._found.empty():
            lost = round(time.monotonic() - at, 3)
            try:
                call(callee, timeout=callee.timeout, query=f"lost={lost}")
            except NotAnswered as reason:
                log.warning("no answer", extra=fields(function=callee.name, reason=str(reason), pause=pause))
                time.sleep(pause)
                pause = min(2 * pause, LAST_PAUSE)
            else:
                return log.info("asked to send again what is owed", extra=fields(function=callee.name, lost=lost))
        return None
