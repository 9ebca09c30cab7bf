"""`python -m tests.fuzz --minutes 30 --seed 1`: hostile inputs for a running system, then a look at what is left.

Prints a table, and exits with 1 if anything was found. `--only http:1234` sends that one again.
"""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from emulator import terminal
from tests.fuzz.fuzz import Bounds, Fuzz


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--http", type=int, default=200_000, help="requests at most")
    parser.add_argument("--only", help="one input, by its kind and number, such as http:1234")
    options = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="fuzz-"))
    fuzz = Fuzz(directory, options.seed)
    if options.only:
        kind, _, number = options.only.partition(":")
        for line in fuzz.send(kind, int(number)):
            sys.stdout.write(f"{line}\n")
        shutil.rmtree(directory)
        return 0
    finds = fuzz.run(Bounds(options.minutes * 60, options.http))
    sys.stdout.write(f"{fuzz.table()}\n")
    if finds:
        sys.stdout.write("\n".join([*finds, f"Inputs, logs and data are in {directory}\n"]))
        return 1
    shutil.rmtree(directory)
    return 0


if __name__ == "__main__":
    terminal.accept_everything()
    sys.exit(main())
