"""What a new user does on a fresh machine, step by step, and the row that comes of it."""

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.fresh.root import ROOT, Account, Failed, Root, unpacked
from tests.fresh.systems import Archive, System

USERS = ("root", "user")  # in /root; without sudo, in a home that is closed to others
PIPS = ("oldest", "newest")  # what the system brings; what the registry has
TESTS = "tests/check tests/stores tests/functions tests/emulator"

# README asks for the first; where there is neither root nor sudo, an administrator installs what make would.
_REQUIRED = "make git python3"
_BY_AN_ADMINISTRATOR = "python3-venv rabbitmq-server nginx-light"
_INSTALL = "apt-get -q update && DEBIAN_FRONTEND=noninteractive apt-get -q -y install --no-install-recommends"
# No service may start here: it would listen on this machine's own ports.
_NO_SERVICES = r"printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d && chmod 755 /usr/sbin/policy-rc.d"
_CLONE = "git clone -q /srv/video-to-mp3.bundle video-to-mp3"
_NEWEST_PIP = "cd video-to-mp3 && python3 -m venv .venv && .venv/bin/python -m pip install -q --upgrade pip"
_VERSIONS = "cd video-to-mp3 && .venv/bin/python -V && .venv/bin/python -m pip --version"


@dataclass(frozen=True)
class Trial:
    """Who tries it where, and with which pip."""

    system: System
    user: str
    pip: str

    def __str__(self) -> str:
        return f"{self.system.name}, {self.user}, {self.pip} pip"


@dataclass
class Row:
    """How far a trial came, and how many seconds its steps took. What was not reached stays empty."""

    trial: Trial
    python: str = ""
    pip: str = ""
    tests: str = ""
    failed: str = ""
    seconds: dict[str, float] = field(default_factory=dict)


@dataclass
class Steps:
    """The steps of a trial in a root of its own."""

    row: Row
    root: Root
    tell: Callable[[str], None]
    step: str = ""

    def run(self, tests: str) -> None:
        """Run all steps, then these tests if any are named. Raises Failed."""
        account = self._install()
        if account is ROOT:  # who has `make run` install the packages too
            self._do("clone", account, _CLONE, 60)
            self._make_mp3("from nothing", account)
            self._do("forget", account, "rm -rf video-to-mp3 .cache", 60)
        self._do("clone", account, _CLONE, 60)
        if self.row.trial.pip == "newest":
            self._do("newest pip", account, _NEWEST_PIP, 300)
        self._do("set-up", account, "make -C video-to-mp3 .venv/local", 600)
        versions = self._do("versions", account, _VERSIONS, 60)
        self.row.python, self.row.pip = re.findall(r"(?:Python|pip) (\S+)", versions)[:2]
        self._make_mp3("to the MP3", account)
        self._make_mp3("warm", account)
        if tests:
            command = f"make -C video-to-mp3 test ARGS='-q --tb=short --no-cov {tests}'"
            written = self._do("tests", account, command, 3600)
            self.row.tests = re.findall(r"(\d+ passed.*) in ", written)[-1]

    def _install(self) -> Account:
        """Install what README.md asks for, and give the account that the other steps run as."""
        trial = self.row.trial
        if trial.user == "root":
            self._do("packages", ROOT, f"{_INSTALL} {_REQUIRED}", 600)
            return ROOT
        more = f"{_BY_AN_ADMINISTRATOR} {trial.system.browser}"
        self._do("packages", ROOT, f"{_NO_SERVICES} && {_INSTALL} {_REQUIRED} {more}", 900)
        return self.root.add(trial.user)

    def _make_mp3(self, step: str, account: Account) -> None:
        self._do(step, account, "cp /srv/clip.mp4 . && make -C video-to-mp3 run VIDEO=$HOME/clip.mp4", 600)
        [mp3] = self.root.home(account).glob("*.mp3")
        mp3.unlink()

    def _do(self, step: str, account: Account, script: str, limit: float) -> str:
        self.step = step
        done = self.root.run(account, script, limit)
        self.row.seconds[step] = done.seconds
        self.tell(f"  {step:<14}{done.seconds:6.1f} s")
        return done.text


def run(trial: Trial, archive: Archive, bundle: Path, clip: Path, tests: str, tell: Callable[[str], None]) -> Row:
    """Do all steps in a root that is gone afterwards; one that fails is the last, and the end of its output is told."""
    row = Row(trial)
    with unpacked(archive) as root:
        shutil.copy(bundle, root.directory / "srv/video-to-mp3.bundle")
        shutil.copy(clip, root.directory / "srv/clip.mp4")
        steps = Steps(row, root, tell)
        try:
            steps.run(tests)
        except Failed as failed:
            row.failed = steps.step
            tell("\n".join(f"    {line}" for line in [f"{steps.step}:", *str(failed).splitlines()[-100:]]))
    return row
