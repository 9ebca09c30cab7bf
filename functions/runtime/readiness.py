"""Whether a function's stores answer, and whether they ever have."""

import time
from collections.abc import Callable
from threading import Lock

from functions.model.errors import Unavailable

BELIEVED = 2.0  # seconds an answer of the stores is believed: a probe never costs more than that


class Readiness:
    """Asks the stores at most once in `BELIEVED` seconds. `ask` raises Unavailable where one of them is away."""

    def __init__(self, ask: Callable[[], None]) -> None:
        self._ask = ask
        self._asking = Lock()  # who comes while the stores are being asked waits for that answer
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
        """The same until they have answered once; from then on None.

        A store that goes away later goes away for every instance. A platform that then sent work to none of them would
        hold its callers until their time is up; the function itself tells them within a moment.
        """
        return None if self._answered else self.trouble_now()
