"""The commands in README.md work as they stand there."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import requests

from emulator.system import System
from tests import videos
from tests.acceptance.person import Person
from tests.acceptance.terminal import ROOT
from tests.waiting import PATIENCE

README = (ROOT / "README.md").read_text(encoding="utf-8")
LINES, CHOOSING = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
(SAMPLE,) = re.findall(r"```json\n(.*?)```", README, re.DOTALL)
DONE = json.loads(re.sub(r",\s*…", "", SAMPLE))  # what is left out there, the whole one in docs/api.md has
SHELLS = ("sh", "bash")


def paste(shell: str, system: System, directory: Path, lines: str = LINES) -> subprocess.CompletedProcess[str]:
    """Run them in a directory that has a `video.mp4`; only the gateway's port is replaced."""
    if not (directory / "video.mp4").exists():
        shutil.copyfile(videos.bunny(), directory / "video.mp4")
    lines = lines.replace("localhost:8002", system.gateway.url.removeprefix("http://"))
    return subprocess.run([shell, "-c", lines], cwd=directory, capture_output=True, encoding="utf-8", timeout=PATIENCE)


@pytest.mark.parametrize("shell", SHELLS)
def test_its_lines_make_an_mp3(shell: str, system: System, tmp_path: Path) -> None:
    """Register, log in, upload, wait and download; also the second time, when Ann is there already."""
    pasted = paste(shell, system, tmp_path)
    assert (pasted.returncode, pasted.stderr) == (0, "")
    assert videos.play(tmp_path / "video.mp3") == pytest.approx(videos.play(tmp_path / "video.mp4"), abs=0.1)


@pytest.mark.parametrize("shell", SHELLS)
def test_its_lines_save_nothing_that_is_no_mp3(shell: str, system: System, tmp_path: Path) -> None:
    """Break: the video has no sound. Symptom: the last line fails with 409, and no problem is saved as `download`."""
    shutil.copyfile(videos.silent(tmp_path), tmp_path / "video.mp4")
    pasted = paste(shell, system, tmp_path)
    assert pasted.returncode == 22
    assert "409" in pasted.stderr
    assert not {path.name for path in tmp_path.iterdir()} & {"download", "video.mp3"}


def test_its_sample_answer_is_what_the_system_says(person: Person) -> None:
    """The same video is answered with the same members; only ids, times and sizes may differ."""
    with videos.bunny().open("rb") as video:
        accepted = person.ask("POST", "/upload", files={"file": ("video.mp4", video)})
    done = person.ended(accepted.json())
    assert done["id"] == done["fid"] == accepted.json()["id"]
    for part in ("source", "options", "progress"):
        assert DONE[part].items() <= done[part].items()
    assert (DONE["state"], DONE["error"]) == (done["state"], done["error"])
    for name, value in DONE["audio"].items():
        assert done["audio"][name] == (value if isinstance(value, (str, list)) else pytest.approx(value, rel=0.05)), (
            name
        )


@pytest.mark.parametrize("shell", SHELLS)
def test_its_lines_about_options_do_what_stands_beside_them(shell: str, system: System, tmp_path: Path) -> None:
    """Each of them is accepted, and what comes out is what was asked for."""
    videos.bilingual(tmp_path).rename(tmp_path / "video.mp4")
    pasted = paste(shell, system, tmp_path, LINES + CHOOSING)
    assert pasted.returncode == 0
    accepted = [json.loads(line) for line in pasted.stdout.splitlines()[-5:]]
    ann = Person(system, mailed=False)
    token = requests.post(f"{system.gateway.url}/login", auth=("ann@example.org", "correct horse"), timeout=PATIENCE)
    ann.use(token.json()["access_token"])
    english, piece, loud, split, again = (ann.ended(job)["audio"] for job in accepted)
    assert english["track"] == 2
    assert piece["duration_seconds"] == pytest.approx(1.5, abs=0.05)
    assert loud["loudness_lufs"] == pytest.approx(-19, abs=0.5)  # it is mono
    assert [part["title"] for part in split["parts"]] == ["One", "Two"]
    assert again["filename"] == "video.opus"
