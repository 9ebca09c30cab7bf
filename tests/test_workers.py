"""Tests run side by side: they share servers, and nothing is left behind however a worker or the whole run ends."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.terminal import running_below
from tests.waiting import PATIENCE, until

ROOT = Path(__file__).parents[1]
DIES = """
def test_a(mongo_url, amqp_url, tmp_path):
    Bridge({"AMQP_URL": amqp_url}, tmp_path / "bridge.log").ready()
    Path("writing").write_text(mongo_url, encoding="ascii")
    Path("writing").rename("url")
    os.kill(os.getpid(), signal.SIGKILL)
"""
WORKS_ON = """
def test_b(mongo_url):
    until(Path("url").exists)
    assert mongo_url == Path("url").read_text(encoding="ascii")
    pymongo.MongoClient(mongo_url).admin.command("ping")
"""
WAITS = """
def test_c(mongo_url):
    Path("ready").touch()
    until(lambda: False)
"""
FAILS = """
def test_d():
    assert False
"""
PASSES = """
def test_e():
    pass
"""
IMPORTS = """
import os, signal
from pathlib import Path
import pymongo
from tests.events.harness import Bridge
from tests.waiting import until
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A directory with our pytest's settings and no tests yet; what a run there starts names it in its environment."""
    (tmp_path / "pyproject.toml").write_bytes((ROOT / "pyproject.toml").read_bytes())
    return tmp_path


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "pytest", "-p", "tests.conftest", *words]


def environment(checkout: Path) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "TMPDIR": str(checkout), "CI": "true"}


def write(checkout: Path, **tests: str) -> None:
    for name, text in tests.items():
        (checkout / f"test_{name}.py").write_text(IMPORTS + text, encoding="utf-8")


def run(checkout: Path, *words: str) -> str:
    """What pytest says there, run to its end."""
    env = environment(checkout)
    return subprocess.run(
        command(*words), cwd=checkout, env=env, capture_output=True, encoding="utf-8", check=False, timeout=PATIENCE
    ).stdout


def test_a_worker_that_dies_takes_no_server_along_and_leaves_none(checkout: Path) -> None:
    """Break: kill -9 of the worker that asked for the server first, and has a bridge of its own. Symptom: its test
    fails, and no other does. Recovery: the kernel ends the bridge.
    """
    write(checkout, a=DIES, b=WORKS_ON)
    said = run(checkout, "--numprocesses=2", "test_a.py", "test_b.py")
    assert re.search(r"\n=+ 1 failed, 1 passed", said), said
    until(lambda: running_below(checkout) == [])
    assert list(checkout.glob("video-to-mp3-*")) == []


def test_a_run_that_is_killed_leaves_nothing_running(checkout: Path) -> None:
    """kill -9 gives it no time to stop its servers; the kernel ends them."""
    write(checkout, c=WAITS)
    with subprocess.Popen(command("--numprocesses=2", "test_c.py"), cwd=checkout, env=environment(checkout)) as pytest_:
        until(lambda: (checkout / "ready").exists())
        pytest_.send_signal(signal.SIGKILL)
    until(lambda: running_below(checkout) == [])


@pytest.mark.parametrize("workers", ["--numprocesses=0", "--numprocesses=1"])
def test_what_failed_last_comes_first(checkout: Path, workers: str) -> None:
    """`make test ARGS=--ff`; what failed is kept below .venv, so that a checkout stays clean."""
    write(checkout, d=FAILS, a=PASSES, e=PASSES)
    for _ in range(2):
        said = run(checkout, workers, "--ff", "-v")
    assert re.findall(r"test_[ade]\.py(?=::)", said)[0] == "test_d.py"
    assert (checkout / ".venv" / "pytest").is_dir()
    assert not (checkout / ".pytest_cache").exists()
