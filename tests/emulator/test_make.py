"""What is typed after `make run` arrives as it was typed."""

import os
import subprocess
from pathlib import Path

import pytest

from emulator.functions import ROOT

# As Python would be started; it says what it was told.
_STAND_IN = '#!/bin/sh\nprintf %s "$VIDEO" >video\nprintf %s "$STATE" >state\nprintf %s "$FORCE" >force\n'
NAMES = (
    *("A$AP Mob.mp4", "$$.mp4", "a$", "${HOME}", "$(shell touch broken)", "`touch broken`", 'it\'s "x".mp4', "a#b"),
    *("50%:x", "back\\slash\\", "-x.mp4", "two\nlines", "trail ", "über", "Gr\udcf6\udcdfe.mp4", "a;b&c|d<e>*?[f]"),
)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A directory with the Makefile's Python."""
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(_STAND_IN, encoding="ascii")
    python.chmod(0o755)
    return tmp_path


@pytest.mark.parametrize("name", [*NAMES, ""])
@pytest.mark.parametrize("by", ["the command line", "the environment"])
def test_a_video_s_name_is_not_read_as_make_s_language(checkout: Path, name: str, by: str) -> None:
    """make expands what is given after it, and the environment is passed on."""
    given = {"VIDEO": name, "STATE": f"/state/{name}", "FORCE": "1"}
    words = [f"{key}={value}" for key, value in given.items()] if by == "the command line" else []
    environ = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS"))}
    # Nothing is installed: the environment is taken as it is.
    command = ["make", "-s", "-f", ROOT / "Makefile", "-o", ".venv/local", "run", *words]
    subprocess.run(command, cwd=checkout, env=environ | ({} if words else given), check=True)
    said = {key: os.fsdecode((checkout / key.lower()).read_bytes()) for key in given}
    assert said == given
    assert not (checkout / "broken").exists()
