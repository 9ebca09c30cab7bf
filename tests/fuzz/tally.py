"""What was sent and what came of it: counts for the table, and each find with its input in a file."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

TOLD = 5  # finds of one sort that are kept with their inputs; more are counted


@dataclass
class Tally:
    folder: Path  # where inputs are kept
    inputs: Counter[str] = field(default_factory=Counter)  # by kind: http, media, job
    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)  # by kind and status, or reason
    finds: list[str] = field(default_factory=list)
    _sorts: Counter[str] = field(default_factory=Counter)
    _lock: Lock = field(default_factory=Lock)

    def count(self, kind: str, *outcomes: str) -> None:
        with self._lock:
            self.inputs[kind] += 1
            for outcome in outcomes or ("none",):
                self.outcomes[kind, outcome] += 1

    def find(self, kind: str, number: int, name: str, what: str, data: bytes) -> None:
        """Note what an input of that name has done, and keep the input unless there are enough of its sort."""
        sort = f"{kind} {what[:40]}"
        with self._lock:
            self._sorts[sort] += 1
            if self._sorts[sort] > TOLD:
                return
            self.finds.append(f"{kind}:{number}  {name}: {what}")
        self.folder.mkdir(exist_ok=True)
        (self.folder / f"{kind}-{number}").write_bytes(data)

    def add(self, *finds: str) -> None:
        """Note what no single input has done."""
        with self._lock:
            self.finds += finds

    def lines(self) -> list[str]:
        """The table."""
        lines = []
        for kind, count in sorted(self.inputs.items()):
            told = sorted(((times, what) for (its, what), times in self.outcomes.items() if its == kind), reverse=True)
            lines.append(f"{kind + ' inputs':<16}{count}")
            lines.append(f"{'':<16}{', '.join(f'{what} {times}' for times, what in told)}")
        more = {sort: times for sort, times in self._sorts.items() if times > TOLD}
        lines.append(f"{'finds':<16}{len(self.finds)}")
        return [*lines, *(f"{'':<16}{times} times in all: {sort}" for sort, times in more.items())]
