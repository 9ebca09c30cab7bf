"""The emulator as a person starts it, and what it prints."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from threading import Thread

import psutil

from emulator.ports import reserve_port
from tests.servers import bound_to_us
from tests.waiting import PATIENCE, has_ended, until

ROOT = Path(__file__).resolve().parents[2]
EMULATOR = [sys.executable, "-m", "emulator"]
READY = "Ctrl-C stops"


def emulate(directory: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run it to its end, with its state in that directory."""
    env = _environ(directory, **environ)
    return subprocess.run(EMULATOR, env=env, cwd=ROOT, capture_output=True, encoding="utf-8", errors="replace")


def interrupt_while_loading(directory: Path) -> tuple[int, str]:
    """Start it, press Ctrl-C while Python still loads its modules, and give the exit code and everything it printed."""
    with subprocess.Popen(
        EMULATOR,
        env=_environ(directory),
        cwd=ROOT,
        encoding="utf-8",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as emulator:
        loaded = Path(f"/proc/{emulator.pid}/maps")
        # One of the first modules that are not Python's core.
        until(lambda: "_ssl" in loaded.read_text(encoding="utf-8"))
        emulator.send_signal(signal.SIGINT)
        said, _ = emulator.communicate(timeout=PATIENCE)
    return emulator.returncode, said


class Terminal:
    """The emulator, running until it is told to stop, with everything that it has printed in `said`."""

    def __init__(self, directory: Path) -> None:
        ports = {name: str(reserve_port()) for name in ("GATEWAY_PORT", "AUTH_PORT")}
        self.url = f"http://127.0.0.1:{ports['GATEWAY_PORT']}"
        self.auth_url = f"http://127.0.0.1:{ports['AUTH_PORT']}"
        self.said = ""
        self.emulator = subprocess.Popen(
            bound_to_us(*EMULATOR),
            env=_environ(directory, **ports),
            cwd=ROOT,
            encoding="utf-8",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()
        until(lambda: READY in self.said or self.emulator.poll() is not None)
        assert READY in self.said, self.said

    def hears(self, words: str) -> None:
        """Wait until it has printed that."""
        until(lambda: words in self.said)

    def paste(self) -> str:
        """Run the commands that it says one can paste, and give what they print."""
        shell = self.said.partition("paste these lines:\n")[2].partition("\nLogs")[0]
        return subprocess.run(["bash", "-c", shell], cwd=ROOT, capture_output=True, encoding="utf-8", check=True).stdout

    def send(self, number: int) -> int:
        """Send it a signal, wait for its end and give its exit code."""
        self.emulator.send_signal(number)
        return self.emulator.wait(timeout=PATIENCE)

    def close(self) -> None:
        self.emulator.kill()
        self.emulator.wait()
        self._reader.join()

    def _read(self) -> None:
        assert self.emulator.stdout
        for line in self.emulator.stdout:
            self.said += line


def running_below(directory: Path) -> list[psutil.Process]:
    """The processes that name that directory in their command, working directory or environment."""
    return [
        process
        for process in psutil.process_iter()
        if any(str(directory) in word for word in _words(process)) and not has_ended(process)
    ]


def _words(process: psutil.Process) -> list[str]:
    try:
        return [*process.cmdline(), process.cwd(), *process.environ().values()]
    except psutil.Error:
        return []


def _environ(directory: Path, **more: str) -> dict[str, str]:
    given = ("DATABASE_URL", "MONGO_URI", "MONGO_MP3_URI", "AMQP_URL", "VIDEO")
    kept = {name: value for name, value in os.environ.items() if name not in given}
    return {**kept, "STATE": str(directory / "state"), **more}
