"""The packages of the distribution."""

import subprocess
import sys

from emulator.packages import list_missing


def test_nothing_is_installed_where_nothing_is_missing() -> None:
    """So the second `make run` asks nobody for a password, and needs no network."""
    assert list_missing() == []
    run = subprocess.run([sys.executable, "-m", "emulator.packages"], capture_output=True, encoding="utf-8")
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
