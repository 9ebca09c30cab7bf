"""`python -m tests.bench` measures what the system promises and exits with 1 where it is missed.

Things done in turn, as ratios within one run: what else the machine does is in all of them.
"""

import argparse
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psutil

from emulator import terminal
from functions.convert import jail
from tests.bench import answers, growth, latency, memory, starts, throughput, transcoding, transfers
from tests.bench.harness import harness
from tests.bench.table import HEAD, Row, line

IN_SYSTEM = ("memory", "latency", "throughput", "answers", "transfers")
PARTS = ("transcoding", "starts", *IN_SYSTEM, "growth")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("parts", nargs="*", help=f"measure only these: {', '.join(PARTS)}")
    parser.add_argument("--quick", action="store_true", help="small videos and few rounds: to try it")
    parser.add_argument("--print", action="store_true", help="exit with 0 whatever was missed")
    parser.add_argument("--markdown", action="store_true", help="the table as docs/performance.md has it")
    chosen = parser.parse_args()
    if unknown := set(chosen.parts) - set(PARTS):
        parser.error(f"there is no {', '.join(unknown)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # so that nothing is left behind
    began = time.monotonic()
    say(f"{_machine()}; load {_load()}\n\n{line(HEAD, markdown=chosen.markdown)}")
    if chosen.markdown:
        say(line(["---"] * len(HEAD), markdown=True))
    missed = 0
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        for row in measure(Path(folder), set(chosen.parts or PARTS), chosen.quick):
            say(line(row.cells, markdown=chosen.markdown))
            missed += not row.kept
    say(f"\n{missed or 'none'} missed, in {time.monotonic() - began:.0f} s; load now {_load()}")
    return 1 if missed and not chosen.print else 0


def measure(directory: Path, parts: set[str], quick: bool) -> Iterator[Row]:
    rounds = 3 if quick else 5
    if "transcoding" in parts:
        yield from transcoding.rows(directory, 3 if quick else 10, 3)
    if "starts" in parts:
        yield from starts.rows(directory / "starts", rounds)
    if parts & set(IN_SYSTEM):
        with harness(directory / "system") as system:
            if "memory" in parts:  # first: what was busy before would be idle with more
                yield from memory.rows(system, directory, 200 if quick else 2048)
            if "latency" in parts:
                yield from latency.rows(system, directory, 5 if quick else 15)
            if "throughput" in parts:
                yield from throughput.rows(system, directory, 10 if quick else 20, 3)
            system.system.bridge.stop()  # from here on what is uploaded is not to be converted
            if "answers" in parts:
                yield from answers.rows(system, directory / "answers", 100 if quick else 200, rounds)
            if "transfers" in parts:
                yield from transfers.rows(system, directory, 32 if quick else 64, rounds)
    if "growth" in parts:  # last: what it writes would keep the disk busy for the others
        yield from growth.rows(directory / "growth", 50_000 if quick else 500_000, rounds)


def say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 -- a table for people


def _machine() -> str:
    """What it was measured on, and when."""
    ffmpeg = subprocess.run(
        [jail.binary(), "-version"], capture_output=True, encoding="utf-8", check=True
    ).stdout.split()[2]
    memory = f"{psutil.virtual_memory().total / 2**30:.0f} GiB"
    versions = f"Linux {platform.release()}, Python {platform.python_version()}, ffmpeg {ffmpeg}"
    return f"{datetime.now(UTC):%Y-%m-%d}: {os.cpu_count()} cores, {memory}, {versions}"


def _load() -> str:
    load, cores = os.getloadavg()[0], os.cpu_count() or 1
    return f"{load:.1f}" + (" (more than the cores: the ratios are blurred)" if load > cores else "")


if __name__ == "__main__":
    terminal.accept_everything()
    sys.exit(main())
