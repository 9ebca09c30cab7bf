"""`python -m tests.soak --minutes 10 --seed 1`: clients upload while everything is broken at random, then an audit.

Prints a table, and exits with 1 on any loss.
"""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from emulator import terminal
from tests.soak.soak import Soak


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--clients", type=int, default=5)
    options = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="soak-"))
    soak = Soak(directory, options.seed, options.clients)
    findings = soak.run(options.minutes * 60)
    sys.stdout.write(f"{soak.table(findings)}\n")
    if findings.wrong:
        sys.stdout.write("\n".join([*findings.wrong, f"Logs and data are in {directory}\n"]))
        return 1
    shutil.rmtree(directory)
    return 0


if __name__ == "__main__":
    terminal.accept_everything()
    sys.exit(main())
