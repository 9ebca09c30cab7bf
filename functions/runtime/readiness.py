"""Whether a function's stores answer, and whether they ever have."""

import time
from collections.abc import Callable
from threading import Lock

from functions.model.errors import Unavailable

BELIEVED = 2.0  # seconds an answer of the stores is believed: probes ask them no more often than that


class Readiness:
    """Asks the stores at most once in BELIEVED seconds. `ask` raises Unavailable where one of them is away."""

    def __init__(self, ask: Callable[[], None]) -> None:
        self._ask = ask
        self._asking = Lock()  # whoever comes while the stores are being asked waits for that answer
        self._until = 0.0
        self._trouble: Unavailable | None = None
        self._answered = False

    def trouble_now(self) -> Unavailable | None:
        """What keeps the stores from answering now; None where they do."""
        with self._asking:
            if time.monotonic() > self._until:
                try:
                    self._ask()
                    self._trouble, self._answered = None, True
                except Unavailable as trouble:
                    self._trouble = trouble
                self._until = time.monotonic() + BELIEVED
            return self._trouble

    def trouble_until_first_answer(self) -> Unavailable | None:
        """As `trouble_now` until the stores have answered once; from then on None.

        A store that goes away later is away for every instance. If all of them became unready, the platform would send
        requests to none and let its callers wait until their time is up; a ready function answers 503 at once.
        """
        return None if self._answered else self.trouble_now()
