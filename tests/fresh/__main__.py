"""`make fresh-test`: the commands of README.md on fresh systems, as root and as a user without sudo.

Each trial has a throw-away root, made by debootstrap, which is gone afterwards; bare systems and the packages they
fetched are kept for the next time. Prints a table, and exits with 1 where a trial failed.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import TypeVar

from tests import videos
from tests.fresh import machine, systems, trial
from tests.fresh.systems import SYSTEMS
from tests.fresh.table import table
from tests.fresh.trial import PIPS, USERS, Row, Trial

T = TypeVar("T")
_CHECKOUT = Path(__file__).parents[2]
_KEPT = _CHECKOUT / ".local/fresh"
_NEEDED = {"debootstrap": "debootstrap", "unshare": "util-linux", "git": "git"}


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    if os.geteuid() != 0:
        _say("This needs root: it makes root directories with debootstrap, and enters them with mounts of their own.")
        return 2
    if missing := [package for program, package in _NEEDED.items() if not shutil.which(program)]:
        _say(f"This needs {', '.join(missing)}: apt-get install {' '.join(missing)}")
        return 2
    rows: list[Row] = []
    try:
        with tempfile.TemporaryDirectory(prefix="fresh-") as directory:
            bundle, clip = _bundle(Path(directory)), videos.plain(Path(directory))
            for each in (Trial(*choice) for choice in product(options.systems, options.users, options.pips)):
                _say(str(each))
                archive = systems.bare(each.system, _KEPT, options.mirror)
                rows.append(trial.run(each, archive, bundle, clip, options.tests, _say))
    except machine.Unreachable as failure:
        _say(str(failure))
        return 2
    finally:
        _say(f"\n{table(rows)}")
    return 1 if any(row.failed for row in rows) else 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fresh", description=__doc__)
    parser.add_argument("--systems", type=_some_of(SYSTEMS), default="bookworm,trixie", help=", ".join(SYSTEMS))
    parser.add_argument("--users", type=_some_of({name: name for name in USERS}), default=",".join(USERS))
    parser.add_argument("--pips", type=_some_of({name: name for name in PIPS}), default=",".join(PIPS))
    parser.add_argument("--tests", default=trial.TESTS, help="what pytest is to run; empty: nothing (%(default)s)")
    parser.add_argument("--mirror", help="where a distribution's packages come from that is not this machine's own")
    return parser.parse_args(arguments)


def _some_of(choices: Mapping[str, T]) -> Callable[[str], list[T]]:
    def chosen(text: str) -> list[T]:
        names = text.split(",")
        if unknown := [name for name in names if name not in choices]:
            raise argparse.ArgumentTypeError(f"there is no {', '.join(unknown)}; there are {', '.join(choices)}")
        return [choices[name] for name in names]

    return chosen


def _bundle(directory: Path) -> Path:
    """What is committed here, in one file to clone from."""
    bundle = directory / "video-to-mp3.bundle"
    subprocess.run(["git", "-C", _CHECKOUT, "bundle", "create", "-q", bundle, "HEAD"], check=True)
    return bundle


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 -- a report for people


if __name__ == "__main__":
    sys.exit(main())
