"""Promises, what was measured of each, and the table that holds one against the other."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TypeVar

T = TypeVar("T")
Deed = Callable[[], float]  # does something once, and gives what it cost: seconds, or what else is measured

TIMES = "x"
HEAD = ("row", "median", "spread", "must be", "verdict")
_LINE = "{:<70}{:>10}  {:<18}{:<10}{}"


@dataclass(frozen=True)
class Row:
    """What was measured, once for each round, and the bound that the median must keep.

    A row without a bound informs: it says where we stand, and nothing is promised of it.
    """

    what: str
    values: Sequence[float]
    unit: str = TIMES
    at_most: float | None = None
    at_least: float | None = None

    @property
    def kept(self) -> bool:
        value = median(self.values)
        return value <= (self.at_most or value) and value >= (self.at_least or value)

    @property
    def cells(self) -> tuple[str, ...]:
        """Its text below each column of HEAD."""
        low, high = (self._number(each(self.values)) for each in (min, max))
        spread = f"{low} to {high}" if low != high else ""
        bounds = {"≤": self.at_most, "≥": self.at_least}
        bound = "".join(f"{sign} {limit:g} {self.unit}" for sign, limit in bounds.items() if limit is not None)
        measured = f"{self._number(median(self.values))} {self.unit}"
        verdict = ("ok" if self.kept else "MISSED") if bound else "informs"
        return self.what, measured, spread, bound, verdict

    def _number(self, value: float) -> str:
        return f"{value:.2f}" if self.unit == TIMES else f"{value:.0f}" if value >= 10 else f"{value:.1f}"


def line(cells: Sequence[str], *, markdown: bool = False) -> str:
    """A line of the table, for people or for a page."""
    return f"| {' | '.join(cells)} |" if markdown else _LINE.format(*cells).rstrip()


def in_turn(rounds: int, *deeds: Callable[[], T]) -> list[tuple[T, ...]]:
    """What they give, round by round: A B A B, after a first round that is not counted.

    What the machine does beside us hits all of a round alike, so their ratio says more than either.
    """
    return [tuple(deed() for deed in deeds) for _ in range(rounds + 1)][1:]


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
