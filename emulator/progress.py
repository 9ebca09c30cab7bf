"""How far a step is, shown to a person: a bar at a terminal, and elsewhere one line at its end."""

import sys
import time
from collections.abc import Iterator
from typing import Self

_WIDTH = 40  # characters of the bar


class ProgressBar:
    """The bar of one step, which begins when this is made and ends with the `with` block."""

    def __init__(self, step: str) -> None:
        self._step = step
        self._began = time.monotonic()
        self._shown = -1  # percent
        self._full, self._empty = _shades(sys.stdout.encoding)

    def show(self, percent: float) -> None:
        """Draw it at so many percent of the step."""
        percent = int(min(percent, 100))
        if sys.stdout.isatty() and percent != self._shown:
            self._shown = percent
            done = _WIDTH * percent // 100
            bar = self._full * done + self._empty * (_WIDTH - done)
            print(f"\r{self._step:<13}{bar} {percent:3} %", end="", flush=True)

    def follow(self, pieces: Iterator[bytes], size: int) -> Iterator[bytes]:
        """Hand on the pieces of what is `size` bytes long, and show how much of it has passed."""
        passed = 0
        for piece in pieces:
            yield piece
            passed += len(piece)
            self.show(100 * passed / max(size, 1))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        start = "\r\033[K" if sys.stdout.isatty() else ""
        print(f"{start}{self._step:<13}{time.monotonic() - self._began:.1f} s", flush=True)


def _shades(encoding: str) -> tuple[str, str]:
    """The characters for done and for not done yet, in what the terminal can show."""
    try:
        "█░".encode(encoding)
    except UnicodeEncodeError:
        return "#", "."
    return "█", "░"
