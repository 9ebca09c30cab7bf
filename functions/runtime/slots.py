"""So many of a kind at once: of one user's transfers, or of passwords that are hashed."""

from collections import Counter
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from threading import Condition

from functions.model.errors import Throttled

RETRY_AFTER = 5  # seconds, for the header of that name
HASHING_PATIENCE = 0.5  # seconds


class Slots:
    """At most `each` at once for each key, in this process.

    Whoever comes beyond that waits `patience` seconds for a slot, and is then refused. A platform that starts more
    instances gives more slots.
    """

    def __init__(self, each: int, refusal: str, patience: float = 0.0) -> None:
        self._each, self._refusal, self._patience = each, refusal, patience
        self._taken: Counter[Hashable] = Counter()
        self._given_back = Condition()

    @contextmanager
    def of(self, key: Hashable) -> Iterator[None]:
        """Holds a slot for as long as the block lasts. Raises Throttled where there is none."""
        with self._given_back:
            if not self._given_back.wait_for(lambda: self._taken[key] < self._each, self._patience):
                raise Throttled(self._refusal, retry_after=RETRY_AFTER)
            self._taken[key] += 1
        try:
            yield
        finally:
            with self._given_back:
                self._taken[key] -= 1
                if not self._taken[key]:
                    del self._taken[key]  # nobody is remembered for ever
                self._given_back.notify_all()


def transfers(each: int, kind: str) -> Slots:
    """Those of each user: one who lets theirs lie idle leaves threads for the others."""
    return Slots(each, f"you have {each} {kind}s under way; wait until one of them has ended")


def hashing(cores: int) -> Slots:
    """Those of all: a password costs a third of a second of a core, so more at once would only make all wait longer."""
    return Slots(cores, "too many passwords are being checked at this moment; try again soon", HASHING_PATIENCE)
