"""Child processes that do not outlive us, and parts of the system made of them."""

import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, Self

from emulator import privileges
from emulator.ports import LOOPBACK, is_free

_PLAIN = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
_LARGEST_LOG = 20_000_000
# A child gets its death signal when the *thread* that started it ends, so one lasting thread starts them all.
_spawner = ThreadPoolExecutor(1, "spawner")


class PartFailed(Exception):
    """A part of the system cannot start, or has stopped by itself."""

    def __init__(self, part: str, why: str, remedy: str) -> None:
        super().__init__(f"{part}: {why.strip()}\n  What to do: {remedy}")
        self.part, self.why, self.remedy = part, why, remedy


@dataclass
class Process:
    """One program, its log `<name>.log` and its record `<name>.pid` in a directory of its part.

    Its session is its own (Ctrl-C at the terminal reaches us alone), it gets `stop_signal` when we die, and the record,
    locked while we live, lets the next start find what a crash left running. It does not inherit our environment, and
    where we are root it runs as another account (privileges.py).
    """

    name: str
    argv: Sequence[str]
    directory: Path
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: Path | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    ports: Sequence[int] = ()  # where it will listen
    _child: subprocess.Popen[bytes] | None = field(default=None, init=False)
    _record: IO[str] | None = field(default=None, init=False)
    _log_start: int = field(default=0, init=False)

    @property
    def log(self) -> Path:
        """Everything the program has written, this start's last."""
        return self.directory / f"{self.name}.log"

    @property
    def pid(self) -> int:
        """The process id, also its group's and session's. Raises RuntimeError before the first start."""
        if self._child is None:
            raise RuntimeError(f"{self.name} was never started")
        return self._child.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs, and the negative number of the signal that ended it."""
        if self._child is None:
            return None
        if self._child.returncode is None and _has_ended(self.pid):
            # Until it is reaped the id is still its own: the one moment to end its children without hitting a stranger.
            _signal_group(self.pid, signal.SIGKILL)
        return self._child.poll()

    @property
    def alive(self) -> bool:
        """Whether it was started and still runs."""
        return self._child is not None and self.exit_code is None

    @property
    def log_tail(self) -> str:
        """The last lines written since this start, for error messages."""
        with self.log.open("rb") as log:
            log.seek(max(self._log_start, log.seek(0, os.SEEK_END) - 4000))
            return "\n".join(log.read().decode(errors="replace").splitlines()[-20:])

    def start(self) -> None:
        """Start the program, after ending what an earlier, crashed run left of it. Raises PartFailed."""
        self._record = self._claim_record()
        self._require_ports()
        mode = "a" if self.log.exists() and self.log.stat().st_size < _LARGEST_LOG else "w"
        dying = ("--pdeathsig", self.stop_signal.name.removeprefix("SIG"))
        with privileges.open_private(self.log, mode) as log:
            privileges.hand_over(log)
            self._log_start = log.seek(0, os.SEEK_END)
            self._child = _spawner.submit(
                subprocess.Popen,
                ["setpriv", *dying, *privileges.options(), "--", *self.argv],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=_PLAIN | dict(self.env),
                cwd=self.cwd,
                umask=0o077,
                start_new_session=True,
            ).result()
        self._record.write(f"{self.pid} {_started(self.pid)}\n")
        self._record.flush()

    def stop(self, grace: float = 15) -> None:
        """Ask it to stop, and after `grace` seconds kill it and its children."""
        if self._child is not None and self.alive:
            self._child.send_signal(self.stop_signal)
            _wait(lambda: not self.alive, grace)
        self.kill()

    def kill(self) -> None:
        """End it and its group at once, as a crash would."""
        if self._child is not None and self.alive:
            _signal_group(self.pid, signal.SIGKILL)
            _wait(lambda: not self.alive, 10)
        if self._record is not None:
            self._record.truncate(0)
            self._record.close()
            self._record = None

    def finish(self, seconds: float) -> None:
        """Run to the end. Raises PartFailed unless it exits with 0 in time."""
        try:
            self.start()
            _wait(lambda: not self.alive, seconds)
            if self.exit_code != 0:
                raise self.failed("failed" if self.exit_code else f"is not done after {seconds:g} s")
        finally:
            self.kill()

    def failed(self, what: str) -> PartFailed:
        """Tell what happened to it with the end of its log."""
        code = self.exit_code
        ending = "" if code is None else f" (exit code {code})" if code >= 0 else f" ({signal.Signals(-code).name})"
        return PartFailed(self.name, f"{what}{ending}\n{self.log_tail}", f"read {self.log}")

    def _claim_record(self) -> IO[str]:
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        record = privileges.open_private(self.directory / f"{self.name}.pid", "a+")
        try:
            fcntl.flock(record, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            record.close()
            raise PartFailed(
                self.name,
                f"another run holds {self.directory}",
                "stop the other run (Ctrl-C in its terminal), or give this one another state directory",
            ) from None
        record.seek(0)
        if left_behind := record.read().split():
            _end_left_behind(int(left_behind[0]), left_behind[1], self.stop_signal)
        record.truncate(0)
        return record

    def _require_ports(self) -> None:
        for port in self.ports:
            # What ended a moment ago may still be closing its own.
            if not _wait(partial(is_free, port), 2):
                remedy = f"stop it (`ss -tlnp 'sport = :{port}'` names it), or choose another port"
                raise PartFailed(self.name, f"another program has port {port}", remedy)


class Part(ABC):
    """Something the system is made of: started without waiting, then awaited, so that many can start side by side."""

    grace = 15.0  # seconds it may take to stop

    def __init__(self, name: str, directory: Path) -> None:
        self.name = name
        self.directory = directory.absolute()
        self.processes: list[Process] = []

    @abstractmethod
    def start(self) -> None:
        """Start the processes. Raises PartFailed."""

    @abstractmethod
    def is_ready(self) -> bool:
        """Look once whether it serves."""

    def has_loaded(self) -> bool:
        """Look once whether starting it costs nothing more, though it may be waiting for others."""
        return self.is_ready()

    def wait(self, seconds: float = 60) -> None:
        """Wait until it serves. Raises PartFailed when a process has ended or time is up."""
        if not _wait(self._serves, seconds):
            raise self.processes[-1].failed(f"is not ready after {seconds:g} s")

    def check(self) -> None:
        """Raises PartFailed when one of its processes has ended by itself."""
        for process in self.processes:
            if not process.alive:
                raise process.failed("has stopped")

    def _serves(self) -> bool:
        self.check()
        return self.is_ready()

    def stop(self) -> None:
        """Stop the processes, the last started first. What has not loaded has nothing to finish, so gets less time."""
        grace = self.grace if self.processes and self.has_loaded() else 1
        while self.processes:
            self.processes.pop().stop(grace)

    def kill(self) -> None:
        """End the processes as a crash would."""
        while self.processes:
            self.processes.pop().kill()

    def run(self, process: Process) -> Process:
        """Start one more process of this part."""
        self.processes.append(process)  # first, so that `stop` cleans up after a start that fails half way
        process.start()
        return process

    def __enter__(self) -> Self:
        with ExitStack() as on_failure:
            on_failure.callback(self.stop)
            self.start()
            self.wait()
            on_failure.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


@contextmanager
def running(*parts: Part) -> Iterator[None]:
    """Start parts side by side, wait for each in turn, and in the end stop all, whatever happens."""
    try:
        for part in parts:
            part.start()
        for part in parts:
            part.wait()
        yield
    finally:
        with ThreadPoolExecutor() as side_by_side:
            list(side_by_side.map(lambda part: part.stop(), parts))


def answers(port: int, greeting: bytes = b"", answer: bytes = b"") -> bool:
    """Tell whether a server on loopback accepts a connection and, told `greeting`, starts with `answer`."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=2) as connection:
            connection.sendall(greeting)
            return not answer or connection.recv(len(answer)) == answer
    except OSError:
        return False


def python(*arguments: str) -> list[str]:
    """Give the command that runs this very Python, deaf to the user's own settings and packages."""
    return [sys.executable, "-s", "-u", *privileges.bytecode(), *arguments]


def _wait(condition: Callable[[], object], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _has_ended(pid: int) -> bool:
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _signal_group(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(pid, number)


def _end_left_behind(pid: int, started: str, stop_signal: signal.Signals) -> None:
    """End a process of a crashed run, if the id is still that process'. It may be dying already."""
    for number, grace in ((stop_signal, 15), (signal.SIGKILL, 10)):
        if _started(pid) == started:
            _signal_group(pid, number)
            _wait(lambda: _started(pid) != started, grace)


def _started(pid: int) -> str:
    """Give when a process started, in ticks since boot; with the id this names it for ever. Empty if there is none."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].decode("ascii").split()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return "" if state == "Z" else fields[18]
