"""The commands in README.md work as they stand there."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from emulator.system import System
from tests import videos
from tests.acceptance.person import Person
from tests.acceptance.terminal import ROOT
from tests.waiting import PATIENCE

README = (ROOT / "README.md").read_text(encoding="utf-8")
API = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
(LINES,) = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
ACCEPTED, DONE = (json.loads(text) for text in re.findall(r"```json\n(.*?)```", README, re.DOTALL))
SHELLS = ("sh", "bash")


def paste(shell: str, system: System, directory: Path) -> subprocess.CompletedProcess[str]:
    """Run them in a directory that has a `video.mp4`; only the gateway's port is replaced."""
    if not (directory / "video.mp4").exists():
        shutil.copyfile(videos.bunny(), directory / "video.mp4")
    lines = LINES.replace("localhost:8002", system.gateway.url.removeprefix("http://"))
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


def test_its_sample_answers_are_what_the_system_says(person: Person) -> None:
    """The same video is answered with the same members; only ids, times and sizes may differ."""
    with videos.bunny().open("rb") as video:
        accepted = person.ask("POST", "/upload", files={"file": ("video.mp4", video)})
    done = person.ended(accepted.json())
    assert accepted.status_code == 202
    for sample, answer in ((ACCEPTED, accepted.json()), (DONE, done)):
        assert set(sample) == set(answer)
        fixed = ("filename", "size", "state", "progress")
        assert {name: sample[name] for name in fixed} == {name: answer[name] for name in fixed}
        assert sample["options"].items() <= answer["options"].items()
    for shortened in ("source", "audio"):
        assert set(DONE[shortened]) < set(done[shortened])
    assert done["download"] == f"/download?fid={done['fid']}"
    assert (done["mp3_size"], done["duration"]) == pytest.approx((DONE["mp3_size"], DONE["duration"]), rel=0.05)


def test_every_member_of_a_job_is_told_with_when_it_is_there(person: Person, tmp_path: Path) -> None:
    """Of one that is done, and of one that has failed: docs/api.md names these and no others."""
    answers = []
    for path in (videos.bunny(), videos.silent(tmp_path)):
        with path.open("rb") as video:
            answers.append(person.ended(person.ask("POST", "/upload", files={"file": video}).json()))
    done, failed = answers
    told = dict(re.findall(r"^\| `(\w+)` \| ([a-z ]+) \|", job_table(), re.MULTILINE))
    ended = {name for name, when in told.items() if when in ("always", "once it has ended")}
    assert set(done) == ended | {name for name, when in told.items() if when == "done"}
    assert set(failed) == ended | {name for name, when in told.items() if when == "failed"}


def job_table() -> str:
    return API.partition("\n### The job\n")[2].partition("\n\n| state |")[0]
