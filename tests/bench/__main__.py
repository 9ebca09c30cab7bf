"""`python -m tests.bench` measures what the system promises and exits with 1 where it is missed.

Two things done in turn, as ratios within one run: what else the machine does is in both.
"""

import argparse
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from emulator import terminal
from tests.bench import latency, memory, starts, transcoding, transfers
from tests.bench.harness import harness
from tests.bench.table import HEAD, Row

PARTS = ("transcoding", "starts", "memory", "latency", "transfers")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("parts", nargs="*", help=f"measure only these: {', '.join(PARTS)}")
    parser.add_argument("--quick", action="store_true", help="small videos and few rounds: to try it")
    parser.add_argument("--print", action="store_true", help="exit with 0 whatever was missed")
    chosen = parser.parse_args()
    if unknown := set(chosen.parts) - set(PARTS):
        parser.error(f"there is no {', '.join(unknown)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # so that nothing is left behind
    began = time.monotonic()
    say(f"{os.cpu_count()} cores, load {_load()}\n\n{HEAD}")
    missed = 0
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        for row in measure(Path(folder), set(chosen.parts or PARTS), chosen.quick):
            say(str(row))
            missed += not row.kept
    say(f"\n{missed or 'none'} missed, in {time.monotonic() - began:.0f} s; load now {_load()}")
    return 1 if missed and not chosen.print else 0


def measure(directory: Path, parts: set[str], quick: bool) -> Iterator[Row]:
    rounds = 3 if quick else 5
    if "transcoding" in parts:
        yield from transcoding.rows(directory, 1 if quick else 5, rounds)
    if "starts" in parts:
        yield from starts.rows(directory / "starts", rounds)
    if parts & {"memory", "latency", "transfers"}:
        with harness(directory / "system") as system:
            if "memory" in parts:  # first: what was busy before would be idle with more
                yield from memory.rows(system, directory, 200 if quick else 2048)
            if "latency" in parts:
                yield from latency.rows(system, directory, 5 if quick else 15)
            if "transfers" in parts:
                system.system.bridge.stop()
                yield from transfers.rows(system, directory, 32 if quick else 64, rounds)


def say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 -- a table for people


def _load() -> str:
    load, cores = os.getloadavg()[0], os.cpu_count() or 1
    return f"{load:.1f}" + (" (more than the cores: the ratios are blurred)" if load > cores else "")


if __name__ == "__main__":
    terminal.accept_everything()
    sys.exit(main())
