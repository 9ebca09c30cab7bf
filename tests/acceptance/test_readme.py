"""The commands in README.md work as they stand there."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from emulator.system import System
from tests import videos
from tests.acceptance.terminal import ROOT
from tests.waiting import PATIENCE

(LINES,) = re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
SHELLS = ("sh", "bash")


def paste(shell: str, system: System, directory: Path) -> subprocess.CompletedProcess[str]:
    """Run them in a directory that has a `video.mp4`; only the gateway's port is replaced."""
    if not (directory / "video.mp4").exists():
        shutil.copyfile(videos.bunny(), directory / "video.mp4")
    lines = LINES.replace("localhost:8002", system.gateway.url.removeprefix("http://"))
    return subprocess.run([shell, "-c", lines], cwd=directory, capture_output=True, encoding="utf-8", timeout=PATIENCE)


@pytest.mark.parametrize("shell", SHELLS)
def test_its_lines_make_an_mp3(shell: str, system: System, tmp_path: Path):
    """In every shell, and also when they are run again and the user Ann is there already."""
    pasted = paste(shell, system, tmp_path)
    assert (pasted.returncode, pasted.stderr) == (0, "")
    assert videos.play(tmp_path / "video.mp3") == pytest.approx(videos.play(tmp_path / "video.mp4"), abs=0.1)


@pytest.mark.parametrize("shell", SHELLS)
def test_its_lines_save_nothing_that_is_no_mp3(shell: str, system: System, tmp_path: Path):
    """Break: the video has no sound. Symptom: the last line fails with 409, and no problem is saved as `download`."""
    shutil.copyfile(videos.silent(tmp_path), tmp_path / "video.mp4")
    pasted = paste(shell, system, tmp_path)
    assert pasted.returncode == 22
    assert "409" in pasted.stderr
    assert not {path.name for path in tmp_path.iterdir()} & {"download", "video.mp3"}
