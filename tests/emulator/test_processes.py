"""Child processes end when we do, and the next start ends what a crash has left running."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from emulator.ports import reserve_port
from emulator.processes import PartFailed, Process
from tests.waiting import PATIENCE, has_ended, until

_PARENT = """
import sys, time
from pathlib import Path
from emulator.processes import Process
process = Process("sleeper", ["sleep", "1000"], Path(sys.argv[1]))
process.start()
print(process.pid, flush=True)
time.sleep(1000)
"""


def test_a_child_dies_with_a_parent_that_was_killed(tmp_path: Path) -> None:
    """kill -9 leaves the parent no time to stop it, so the kernel ends the child."""
    command = [sys.executable, "-c", _PARENT, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8") as parent:
        assert parent.stdout
        child = psutil.Process(int(parent.stdout.readline()))
        until(lambda: child.name() == "sleep")  # then setpriv has asked the kernel for the death signal
        parent.kill()
    until(lambda: has_ended(child))


def test_what_a_crashed_run_left_running_is_ended_by_the_next_start(tmp_path: Path) -> None:
    """The pid file names the process by its id and start time. Its children are ended too."""
    with subprocess.Popen(["sh", "-c", "sleep 1000 & wait"], start_new_session=True) as left_behind:
        until(lambda: psutil.Process(left_behind.pid).children())
        grandchild = psutil.Process(left_behind.pid).children()[0]
        _record(tmp_path, left_behind.pid, _started(left_behind.pid))
        process = Process("sleeper", ["sleep", "1000"], tmp_path)
        process.start()
        assert left_behind.wait(PATIENCE) == -signal.SIGTERM
        until(lambda: has_ended(grandchild))
        process.stop()


def test_a_stranger_that_has_the_recorded_id_by_now_is_left_alone(tmp_path: Path) -> None:
    """The system uses ids again, but then the start time differs."""
    with subprocess.Popen(["sleep", "1000"], start_new_session=True) as stranger:
        _record(tmp_path, stranger.pid, _started(stranger.pid) - 1)
        Process("sleeper", ["true"], tmp_path).finish(PATIENCE)
        assert stranger.poll() is None
        stranger.kill()


def test_a_process_deaf_to_its_stop_signal_is_killed_after_the_grace(tmp_path: Path) -> None:
    """Otherwise a part that hangs would keep the emulator from stopping."""
    process = Process("deaf", ["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1000; done"], tmp_path)
    process.start()
    until(lambda: "ready" in process.log_tail)
    process.stop(grace=0.1)
    assert process.exit_code == -signal.SIGKILL


@pytest.mark.parametrize("end", [Process.stop, Process.kill, lambda process: os.kill(process.pid, signal.SIGKILL)])
def test_children_end_with_their_process(tmp_path: Path, end: Callable[[Process], None]) -> None:
    """Whether it is stopped or killed by us, or by somebody else."""
    process = Process("family", ["sh", "-c", "sleep 1000 & wait"], tmp_path)
    process.start()
    until(lambda: psutil.Process(process.pid).children())
    child = psutil.Process(process.pid).children()[0]
    end(process)
    until(lambda: not process.alive and has_ended(child))
    process.stop()


def test_a_failure_tells_the_part_the_end_of_its_log_and_what_to_do(tmp_path: Path) -> None:
    """The log may have errors of an earlier start, which must not be shown."""
    Process("broken", ["sh", "-c", "echo an old story"], tmp_path).finish(PATIENCE)
    with pytest.raises(PartFailed) as failure:
        Process("broken", ["sh", "-c", "echo no such video >&2; exit 3"], tmp_path).finish(PATIENCE)
    assert str(failure.value) == (
        f"broken: failed (exit code 3)\nno such video\n  What to do: read {tmp_path / 'broken.log'}"
    )


def test_a_directory_that_another_run_holds_is_refused(tmp_path: Path) -> None:
    """Each of the two would take the other's processes for what a crash has left, and end them."""
    first = Process("sleeper", ["sleep", "1000"], tmp_path)
    first.start()
    with pytest.raises(PartFailed, match=f"another run holds {tmp_path}"):
        Process("sleeper", ["sleep", "1000"], tmp_path).start()
    assert first.alive
    first.stop()


def test_side_by_side_runs_get_different_ports() -> None:
    """A port is reserved as soon as it is chosen, though nothing listens on it yet, until the run ends."""
    code = "from emulator.ports import reserve_port; print(*(reserve_port() for _ in range(300))); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout
        theirs = set(map(int, other.stdout.readline().split()))
        ours = {reserve_port() for _ in range(300)}
        assert len(ours) == len(theirs) == 300
        assert not ours & theirs
        other.communicate(b"\n")


def _record(directory: Path, pid: int, started: int) -> None:
    (directory / "sleeper.pid").write_text(f"{pid} {started}\n", encoding="utf-8")


def _started(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19])
