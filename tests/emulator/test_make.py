"""Names that are typed after `make run` reach the emulator unchanged."""

import os
import subprocess
from pathlib import Path

import pytest

from emulator.functions import ROOT

_GIVEN = ("VIDEO", "OPTIONS", "STATE", "FORCE")
# It takes the place of Python and writes down the settings that it gets.
_STAND_IN = "#!/bin/sh\n" + "\n".join(f'printf %s "${name}" >{name.lower()}' for name in _GIVEN)
NAMES = (
    *("A$AP Mob.mp4", "$$.mp4", "a$", "${HOME}", "$(shell touch broken)", "`touch broken`", 'it\'s "x".mp4', "a#b"),
    *("50%:x", "back\\slash\\", "-x.mp4", "two\nlines", "trail ", "über", "Gr\udcf6\udcdfe.mp4", "a;b&c|d<e>*?[f]"),
)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A directory in which the Makefile finds that script as its Python."""
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(_STAND_IN, encoding="ascii")
    python.chmod(0o755)
    return tmp_path


@pytest.mark.parametrize("name", [*NAMES, ""])
@pytest.mark.parametrize("by", ["the command line", "the environment"])
def test_a_video_s_name_is_not_read_as_make_s_language(checkout: Path, name: str, by: str) -> None:
    """make expands `$` in variables, both in those of its command line and in those that the environment has."""
    given = {"VIDEO": name, "OPTIONS": f"title={name}&artist=$$", "STATE": f"/state/{name}", "FORCE": "1"}
    words = [f"{key}={value}" for key, value in given.items()] if by == "the command line" else []
    environ = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS"))}
    # `-o` has make take .venv/local for up to date, so that it installs nothing.
    command = ["make", "-s", "-f", str(ROOT / "Makefile"), "-o", ".venv/local", "run", *words]
    subprocess.run(command, cwd=checkout, env=environ | ({} if words else given), check=True)
    said = {key: os.fsdecode((checkout / key.lower()).read_bytes()) for key in given}
    assert said == given
    assert not (checkout / "broken").exists()
