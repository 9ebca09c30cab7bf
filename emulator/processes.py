"""Child processes that end when we end, however we end."""

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO

from emulator import privileges
from emulator.ports import is_free

_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
_LARGEST_LOG = 20_000_000  # bytes; a larger one is begun anew at the next start
# The kernel sends a child its death signal when the *thread* that started it ends (prctl(2), PR_SET_PDEATHSIG), so one
# thread that lasts as long as we do starts them all.
_spawner = ThreadPoolExecutor(1, "spawner")


class PartFailed(Exception):
    """A part of the system (parts.py) cannot start, or has stopped by itself; the message says what to do about it."""

    def __init__(self, part: str, why: str, remedy: str) -> None:
        super().__init__(f"{part}: {why.strip()}\n  What to do: {remedy}")
        self.part, self.why, self.remedy = part, why, remedy


@dataclass
class Process:
    """One program that we run. Its output is in `<name>.log` and its process id in `<name>.pid`, both in `directory`.

    It has a session of its own, so that Ctrl-C at the terminal reaches only us, who stop the processes in order. It
    inherits nothing of our environment, and where we are root it runs as another account (privileges.py).

    It does not outlive us: the kernel sends it `stop_signal` when we die. In case it ignores that, `<name>.pid` tells
    the next start what to end. We hold a lock on that file, so a second run on the same directory is refused.
    """

    name: str
    argv: Sequence[str]
    directory: Path
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: Path | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    ports: Sequence[int] = ()  # on loopback, where it is going to listen: they must be free at its start
    _child: subprocess.Popen[bytes] | None = field(default=None, init=False)
    _pid_file: IO[str] | None = field(default=None, init=False)
    _log_start: int = field(default=0, init=False)

    @property
    def log(self) -> Path:
        """The file that has its output, of earlier starts too; what this start wrote comes last."""
        return self.directory / f"{self.name}.log"

    @property
    def pid(self) -> int:
        """Its process id, which is also the id of its group and session. Raises RuntimeError before the first start."""
        if self._child is None:
            raise RuntimeError(f"{self.name} was never started")
        return self._child.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs or was never started; the negative number of a signal if one ended it."""
        if self._child is None:
            return None
        if self._child.returncode is None and _has_ended(self.pid):
            # Its children are ended here, before it is reaped: from then on a stranger may get its id.
            _signal_group(self.pid, signal.SIGKILL)
        return self._child.poll()

    @property
    def alive(self) -> bool:
        """Whether it was started and still runs."""
        return self._child is not None and self.exit_code is None

    @property
    def log_tail(self) -> str:
        """The last twenty lines that it has written since this start."""
        with self.log.open("rb") as log:
            log.seek(max(self._log_start, log.seek(0, os.SEEK_END) - 4000))
            return "\n".join(log.read().decode(errors="replace").splitlines()[-20:])

    def start(self) -> None:
        """Start the program, after ending what a crashed run has left of it. Raises PartFailed."""
        self._pid_file = self._open_pid_file()
        self._require_ports()
        mode = "a" if self.log.exists() and self.log.stat().st_size < _LARGEST_LOG else "w"
        on_our_death = ("--pdeathsig", self.stop_signal.name.removeprefix("SIG"))
        with privileges.open_private_file(self.log, mode) as log:
            privileges.give_to_parts(log)
            self._log_start = log.seek(0, os.SEEK_END)
            self._child = _spawner.submit(
                subprocess.Popen,
                ["setpriv", *on_our_death, *privileges.setpriv_options(), "--", *self.argv],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=_ENVIRONMENT | dict(self.env),
                cwd=self.cwd,
                umask=0o077,
                start_new_session=True,
            ).result()
        self._pid_file.write(f"{self.pid} {_started(self.pid)}\n")
        self._pid_file.flush()

    def stop(self, grace: float = 15) -> None:
        """Ask it to stop, and after `grace` seconds kill it and its children."""
        if self._child is not None and self.alive:
            self._child.send_signal(self.stop_signal)
            wait_until(lambda: not self.alive, grace)
        self.kill()

    def kill(self) -> None:
        """End it and its children at once, as a crash would."""
        if self._child is not None and self.alive:
            _signal_group(self.pid, signal.SIGKILL)
            wait_until(lambda: not self.alive, 10)
        if self._pid_file is not None:
            self._pid_file.truncate(0)
            self._pid_file.close()
            self._pid_file = None

    def finish(self, seconds: float) -> None:
        """Start it and wait for its end. Raises PartFailed unless it exits with 0 within that time."""
        try:
            self.start()
            wait_until(lambda: not self.alive, seconds)
            if self.exit_code != 0:
                raise self.failed("failed" if self.exit_code else f"is not done after {seconds:g} s")
        finally:
            self.kill()

    def failed(self, what: str) -> PartFailed:
        """The error that says what happened to it, with the end of its log."""
        code = self.exit_code
        ending = "" if code is None else f" (exit code {code})" if code >= 0 else f" ({signal.Signals(-code).name})"
        return PartFailed(self.name, f"{what}{ending}\n{self.log_tail}", f"read {self.log}")

    def _open_pid_file(self) -> IO[str]:
        """Lock it, and end the process that it names, if that is still running."""
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        pid_file = privileges.open_private_file(self.directory / f"{self.name}.pid", "a+")
        try:
            fcntl.flock(pid_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid_file.close()
            raise PartFailed(
                self.name,
                f"another run holds {self.directory}",
                "stop the other run (Ctrl-C in its terminal), or give this one another state directory",
            ) from None
        pid_file.seek(0)
        if left_behind := pid_file.read().split():
            _end_left_behind(int(left_behind[0]), left_behind[1], self.stop_signal)
        pid_file.truncate(0)
        return pid_file

    def _require_ports(self) -> None:
        for port in self.ports:
            # A process that ended a moment ago may still be closing its port.
            if not wait_until(partial(is_free, port), 2):
                remedy = f"stop it (`ss -tlnp 'sport = :{port}'` names it), or choose another port"
                raise PartFailed(self.name, f"another program has port {port}", remedy)


def python(*arguments: str) -> list[str]:
    """The command that runs the Python that we run in, without the user's own packages and settings (`-s`)."""
    return [sys.executable, "-s", "-u", *privileges.bytecode_options(), *arguments]


def wait_until(condition: Callable[[], object], seconds: float) -> bool:
    """Look every 20 ms whether the condition is true; False if it is not within that time."""
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
    """End a process of a crashed run, unless the id belongs to another process by now. It may be ending already."""
    for number, grace in ((stop_signal, 15), (signal.SIGKILL, 10)):
        if _started(pid) == started:
            _signal_group(pid, number)
            wait_until(lambda: _started(pid) != started, grace)


def _started(pid: int) -> str:
    """When a process started, in clock ticks since boot (field 22 of /proc/<pid>/stat); empty if it has ended.

    Ids are used again, but an id with its start names one process only.
    """
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].decode("ascii").split()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return "" if state == "Z" else fields[18]
