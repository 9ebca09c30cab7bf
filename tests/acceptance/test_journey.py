"""The main job: a film goes in, an MP3 comes out, by every real part."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import requests

from events.emulator.ports import reserve_port
from tests import films
from tests.acceptance.person import Person, until
from tests.emulator.waiting import has_ended

ROOT = Path(__file__).resolve().parents[2]
EMULATOR = [sys.executable, "-m", "events.emulator"]


@pytest.mark.parametrize("form", ["multipart", "raw"])
def test_a_film_becomes_an_mp3_and_its_owner_gets_a_link(person: Person, form: str, tmp_path: Path):
    """Register, login, upload, convert, mail and download, each by its real part."""
    with films.bunny().open("rb") as film:
        if form == "multipart":
            answer = person.ask("POST", "/upload", files={"file": ("Big Bück.mp4", film)})
        else:
            answer = person.ask("POST", "/upload", params={"filename": "Big Bück.mp4"}, data=film)
    assert answer.status_code == 202, answer.text
    assert answer.headers["Location"] == f"/jobs/{answer.json()['id']}"

    job = person.ended(answer.json())
    assert job["state"] == "done", job

    mp3 = tmp_path / "film.mp3"
    download = person.ask("GET", job["download"])
    mp3.write_bytes(download.content)
    assert "filename*=UTF-8''Big%20B%C3%BCck.mp3" in download.headers["Content-Disposition"]
    assert films.play(mp3) == pytest.approx(films.play(films.bunny()), abs=0.1)

    letter = person.letter()
    assert letter["Subject"] == "Your MP3 is ready: Big Bück.mp4"
    (link,) = re.findall(r"http://\S+/download\S+", letter["Text"])
    assert requests.get(link, timeout=30).content == download.content


def test_a_film_without_sound_fails_and_its_owner_is_told_why(person: Person, tmp_path: Path):
    """What cannot be converted is recorded with its reason and mailed."""
    with films.silent(tmp_path).open("rb") as film:
        answer = person.ask("POST", "/upload", files={"file": ("mute.mp4", film)})
    job = person.ended(answer.json())
    assert (job["state"], job["reason"]) == ("failed", "no_audio")
    assert "no sound" in person.letter()["Text"]


def test_one_command_takes_a_film_through_the_system(tmp_path: Path):
    """`make run VIDEO=` writes the MP3 beside the film, says where the mail went, and leaves nothing running."""
    film = tmp_path / "my film.mp4"
    film.write_bytes(films.bunny().read_bytes())
    done = subprocess.run(EMULATOR, env=environ(tmp_path, VIDEO=str(film)), cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert films.play(film.with_suffix(".mp3")) == pytest.approx(films.play(film), abs=0.1)
    (letter,) = re.findall(r"\S+\.eml", done.stdout)
    assert "Your MP3 is ready" in Path(letter).read_text()
    assert "Traceback" not in done.stderr
    assert running_below(tmp_path) == []


def test_a_port_that_is_taken_is_named_with_what_to_do(tmp_path: Path):
    """Nothing starts that could not be reached."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        ports = {"GATEWAY_PORT": str(other.getsockname()[1]), "AUTH_PORT": str(reserve_port())}
        done = subprocess.run(EMULATOR, env=environ(tmp_path, **ports), cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert f"another program has port {ports['GATEWAY_PORT']}" in done.stderr
    assert "make run GATEWAY_PORT=" in done.stderr
    assert running_below(tmp_path) == []


def test_one_command_says_why_a_film_cannot_be_converted(tmp_path: Path):
    """The exit code is 1 and the reason stands there in plain words."""
    done = subprocess.run(
        [*EMULATOR, films.silent(tmp_path)], env=environ(tmp_path), cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "no_audio" in done.stderr
    assert "The film has no sound" in done.stderr


def test_a_film_that_is_not_there_is_named_with_the_usage(tmp_path: Path):
    """Nothing is started for a name with a typo in it."""
    done = subprocess.run([*EMULATOR, "nowhere.mp4"], env=environ(tmp_path), cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert "nowhere.mp4" in done.stderr
    assert "make run VIDEO=" in done.stderr


def test_a_system_killed_at_once_does_not_stand_in_the_way_of_the_next(tmp_path: Path):
    """Break: kill -9 of the emulator. Nothing goes on running; the next start has what the first has kept."""
    with started(tmp_path) as (emulator, lines):
        assert '"sample.mp4"' in paste(lines)
        emulator.send_signal(signal.SIGKILL)
        emulator.wait()
        until(lambda: running_below(tmp_path) == [], within=30)
    with started(tmp_path) as (emulator, lines):
        shown = paste(lines)
        assert "409" in shown, shown
        assert shown.count('"sample.mp4"') == 3, shown
        emulator.send_signal(signal.SIGINT)
        assert emulator.wait(timeout=60) == 0
    assert running_below(tmp_path) == []


def environ(directory: Path, **more: str) -> dict[str, str]:
    """A person's environment, the system's state in a directory of the test."""
    kept = {name: value for name, value in os.environ.items() if not name.endswith(("_URL", "_URI"))}
    return {**kept, "STATE": str(directory / "state"), **more}


@contextmanager
def started(directory: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The emulator as a person starts it, and what it has said once it is ready."""
    ports = {name: str(reserve_port()) for name in ("GATEWAY_PORT", "AUTH_PORT")}
    emulator = subprocess.Popen(
        EMULATOR, env=environ(directory, **ports), cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        lines = ""
        assert emulator.stdout
        while "Ctrl-C stops" not in lines:
            line = emulator.stdout.readline()
            assert line, lines
            lines += line
        yield emulator, lines
    finally:
        emulator.kill()
        emulator.communicate()


def paste(lines: str) -> str:
    """What a person sees who pastes what the emulator says."""
    shell = lines.partition("paste these lines:\n")[2].partition("\nLogs")[0]
    return subprocess.run(["bash", "-c", shell], cwd=ROOT, capture_output=True, text=True, check=True).stdout


def running_below(directory: Path) -> list[psutil.Process]:
    """Processes that have something to do with that directory."""
    return [
        process
        for process in psutil.process_iter()
        if any(str(directory) in argument for argument in cmdline(process)) and not has_ended(process)
    ]


def cmdline(process: psutil.Process) -> list[str]:
    try:
        return [*process.cmdline(), process.cwd(), *process.environ().values()]
    except psutil.Error:
        return []
