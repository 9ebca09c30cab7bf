"""Promises, what was measured of each, and the table that holds one against the other."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TypeVar

T = TypeVar("T")
Deed = Callable[[], float]  # does something once, and gives what it cost: seconds, or what else is measured

TIMES = "x"
_LINE = "{:<58}{:>10}  {:<16}{:<10}{}"
HEAD = _LINE.format("row", "median", "spread", "must be", "verdict")


@dataclass(frozen=True)
class Row:
    """One promise; `values` has one for each round, and their median must keep it."""

    what: str
    values: Sequence[float]
    unit: str = TIMES
    at_most: float | None = None
    at_least: float | None = None

    @property
    def kept(self) -> bool:
        value = median(self.values)
        return value <= (self.at_most or value) and value >= (self.at_least or value)

    def __str__(self) -> str:
        low, high = (self._number(each(self.values)) for each in (min, max))
        spread = f"{low} to {high}" if low != high else ""
        bound = f"≤ {self.at_most:g}" if self.at_most is not None else f"≥ {self.at_least:g}"
        measured = f"{self._number(median(self.values))} {self.unit}"
        verdict = "ok" if self.kept else "MISSED"
        return _LINE.format(self.what, measured, spread, f"{bound} {self.unit}", verdict)

    def _number(self, value: float) -> str:
        return f"{value:.2f}" if self.unit == TIMES else f"{value:.0f}"


def in_turn(rounds: int, plain: Callable[[], T], ours: Callable[[], T]) -> list[tuple[T, T]]:
    """What the two give, round by round: A B A B, after a first round that is not counted.

    What the machine does beside us hits both of a round alike, so their ratio says more than either.
    """
    return [(plain(), ours()) for _ in range(rounds + 1)][1:]


def ratios(rounds: int, plain: Deed, ours: Deed) -> list[float]:
    """What ours costs in costs of plain, round by round."""
    return [mine / theirs for theirs, mine in in_turn(rounds, plain, ours)]


def timed(deed: Callable[[], object]) -> Deed:
    """The seconds a deed takes."""

    def watch() -> float:
        began = time.perf_counter()
        deed()
        return time.perf_counter() - began

    return watch
