"""What a program can do that runs where ffmpeg opens strangers' files: a probe tries, started by the very launcher."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

from functions.convert.sandbox import landlock, launcher, seccomp, support
from tests.waiting import until

PROBE = Path(__file__).with_name("probe.pl")
PERL = str(Path(shutil.which("perl") or "perl").resolve())
LIMITS = {"RLIMIT_NOFILE": (64, 64), "RLIMIT_FSIZE": (1000, 1000)}
# x86-64 by its syscall_64.tbl, aarch64 by asm-generic/unistd.h.
CALLS = {
    "tgkill": (234, 131),
    "prlimit64": (302, 261),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "unshare": (272, 97),
    "mount": (165, 40),
    "bpf": (321, 280),
    "keyctl": (250, 219),
    "io_uring_setup": (425, 425),
    "userfaultfd": (323, 282),
    "memfd_create": (319, 279),
    "execveat": (322, 281),
    "perf_event_open": (298, 241),
    "open_by_handle_at": (304, 265),
    "pidfd_open": (434, 434),
    "finit_module": (313, 273),
    "kexec_load": (246, 104),
    "ioctl": (16, 29),
    "personality": (135, 92),
}
# What the probe can do without a sandbox on any machine, so that a sandbox is seen to close it.
POSSIBLE = {
    *("read_accounts", "read_other_job", "read_environment", "read_own_environment", "list_directory"),
    *("write_input", "write_other_job", "make_file", "make_directory", "make_link"),
    *("rename", "rename_back", "remove", "change_mode", "internet", "internet_bind", "datagram", "abstract_socket"),
    *("socket_pair", "fork", "signal", "signal_thread", "memory_file", "pidfd", "personality"),
}
FILES = {
    *("read_accounts", "read_other_job", "read_environment", "read_memory", "read_own_environment", "list_directory"),
    *("write_input", "write_other_job", "make_file", "make_directory", "make_link", "rename", "remove"),
}
needs_landlock = pytest.mark.skipif(
    landlock.abi() < landlock.FULL and not os.environ.get("CI"), reason="this kernel's Landlock closes less"
)


@dataclass(frozen=True)
class Place:
    """A job's folder, and what lies around it: another job, a process of the same user, and servers."""

    folder: Path
    other: Path
    victim: int
    port: int
    abstract: str
    servers: tuple[socket.socket, ...] = field(repr=False)

    @property
    def probe(self) -> list[str]:
        """The words that start the probe without a sandbox."""
        column = {"x86_64": 0, "aarch64": 1}[os.uname().machine]
        numbers = [f"{name}={each[column]}" for name, each in CALLS.items()]
        return [PERL, str(PROBE), str(self.victim), str(self.port), self.abstract, str(self.other), *numbers]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    folder, other = tmp_path / "job", tmp_path / "other"
    folder.mkdir()
    for path in (folder / "video", folder / "spare", other):
        path.write_text("data", encoding="ascii")
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.socket(socket.AF_UNIX) as named,
        subprocess.Popen(["/bin/sleep", "1000"], env={"SECRET": "1"}) as victim,
    ):
        name = f"victim-{victim.pid}"
        named.bind(f"\0{name}")
        named.listen()
        until(lambda: Path(f"/proc/{victim.pid}/comm").read_text(encoding="ascii") == "sleep\n")
        yield Place(folder, other, victim.pid, server.getsockname()[1], name, (server, named))
        victim.kill()


def perl(place: Place, script: str) -> list[str]:
    """The words that run a script, from a file, since Perl opens /dev/null for one that is among the words."""
    file = place.folder.with_name("script.pl")
    file.write_text(script, encoding="ascii")
    return [PERL, str(file)]


def sandboxed(program: list[str], *without: str) -> list[str]:
    """The words of the launcher that start Perl as ffmpeg is started, but without some walls."""
    words = launcher.command(program, LIMITS, ["video", *program[1:2]], ["audio"])
    return [word for word in words if word.partition("=")[0] not in without]


def outcomes(place: Place, words: list[str]) -> dict[str, str]:
    run = subprocess.run(
        words, cwd=place.folder, capture_output=True, encoding="utf-8", check=True, env={"LC_ALL": "C"}
    )
    assert run.stderr == ""
    return dict(line.split(" ", 1) for line in run.stdout.splitlines())


def test_what_the_probe_tries_is_possible_outside(place: Place) -> None:
    """So that a way that is closed inside is closed by the sandbox, and not by a mistake in the probe."""
    found = outcomes(place, place.probe)
    assert {name for name, outcome in found.items() if outcome == "open"} >= POSSIBLE


@needs_landlock
def test_every_way_out_is_closed(place: Place) -> None:
    found = outcomes(place, sandboxed(place.probe))
    assert found.keys() >= POSSIBLE | FILES
    assert {name: outcome for name, outcome in found.items() if outcome not in ("EPERM", "EACCES")} == {}
    assert sorted(path.name for path in place.folder.iterdir()) == ["audio", "spare", "video"]


@needs_landlock
def test_landlock_alone_closes_files_sockets_and_signals(place: Place) -> None:
    """Where the architecture's system calls are not known."""
    found = outcomes(place, sandboxed(place.probe, "seccomp"))
    closed = {*FILES, "internet", "internet_bind", "abstract_socket", "signal", "signal_thread", "ptrace"}
    assert {name: found[name] for name in closed if found[name] not in ("EPERM", "EACCES")} == {}


def test_seccomp_alone_closes_all_but_files(place: Place) -> None:
    """Where the kernel has no Landlock. What only reads or writes is left open then."""
    found = outcomes(place, sandboxed(place.probe, "landlock"))
    left = {name for name, outcome in found.items() if outcome == "open"}
    assert left <= FILES - {"list_directory", "make_directory", "make_link", "rename", "remove"}


@pytest.mark.parametrize(("shell", "option"), [("/bin/sh", "-c"), (PERL, "-e")])
def test_nothing_can_be_executed(place: Place, shell: str, option: str) -> None:
    """Not even itself: whoever tries is ended, because only a guess at an address could succeed."""
    words = [*perl(place, "exec {$ARGV[0]} @ARGV"), shell, option, "exit"]
    assert subprocess.run(words, capture_output=True, check=True).returncode == 0
    run = subprocess.run(sandboxed(words), cwd=place.folder, capture_output=True, check=False)
    assert (run.returncode, run.stdout) == (-signal.SIGSYS, b"")


def test_what_is_named_can_be_read_and_written(place: Place) -> None:
    """And a program sees the rights that it has: none, with no way to get any."""
    script = """
    open(my $in, "<", "video") or die; open(my $out, ">", "audio") or die; print {$out} <$in>; close $out;
    open(my $again, "<", "audio") or die; print <$again>
    """
    run = subprocess.run(sandboxed(perl(place, script)), cwd=place.folder, capture_output=True, check=True)
    assert run.stdout == b"data"


def test_root_keeps_no_right(place: Place) -> None:
    """The launcher's words without Landlock, so that it can be asked."""
    script = (
        'open(my $status, "/proc/self/status"); print grep {/^(Cap(Inh|Prm|Eff|Amb)|NoNewPrivs|Seccomp):/} <$status>'
    )
    words = sandboxed(perl(place, script), "landlock")
    output = subprocess.run(words, cwd=place.folder, capture_output=True, encoding="utf-8", check=True).stdout
    said = {name: int(value, 16) for name, value in (line.split(":\t") for line in output.splitlines())}
    assert said == {"CapInh": 0, "CapPrm": 0, "CapEff": 0, "CapAmb": 0, "NoNewPrivs": 1, "Seccomp": 2}


def test_a_program_that_was_paused_goes_on(place: Place) -> None:
    """The kernel goes on with what it waited for by a system call of its own; so an encoder is paused at a joint."""
    script = '$| = 1; print "up\\n"; sleep 2; print $! + 0'
    words = sandboxed(perl(place, script))
    with subprocess.Popen(words, cwd=place.folder, stdout=subprocess.PIPE, encoding="utf-8") as paused:
        assert paused.stdout
        assert paused.stdout.readline() == "up\n"
        until(lambda: _state(paused.pid) == "S")
        for number, state in ((signal.SIGSTOP, "T"), (signal.SIGCONT, "S")):
            paused.send_signal(number)
            until(partial(_is, state, paused.pid))
        assert paused.communicate()[0] == "0"


def test_it_dies_with_what_started_it(place: Place) -> None:
    """It could go on for its whole time limit otherwise."""
    script = (
        "import subprocess, sys; child = subprocess.Popen(sys.argv[1:]); print(child.pid, flush=True); child.wait()"
    )
    words = [sys.executable, "-c", script, *sandboxed(perl(place, 'syswrite(STDOUT, "up\\n"); sleep 1000'))]
    with subprocess.Popen(words, cwd=place.folder, stdout=subprocess.PIPE, encoding="utf-8") as parent:
        assert parent.stdout
        number, up = parent.stdout.readline(), parent.stdout.readline()
        assert up == "up\n"
        parent.kill()
        until(lambda: _is_gone(int(number)))


def test_a_program_that_is_not_there_is_this_machine_s_fault(place: Place) -> None:
    run = subprocess.run(sandboxed(["/no/such"]), cwd=place.folder, capture_output=True, encoding="utf-8", check=False)
    assert run.returncode == launcher.FAILED
    assert run.stderr == "sandbox: [Errno 2] /no/such: No such file or directory\n"


def test_the_worker_closes_its_memory_to_others_of_its_user() -> None:
    """With Landlock ffmpeg sees nothing of it anyway; without, this is all that keeps the worker's secrets."""
    script = (
        'from functions.convert.sandbox import support; support.close("possible"); print("closed", flush=True); input()'
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8"
    ) as worker:
        assert worker.stdout
        assert worker.stdout.readline() == "closed\n"
        environ = Path(f"/proc/{worker.pid}/environ")
        assert environ.stat().st_uid == 0
        assert Path("/proc/self/environ").stat().st_uid == os.getuid()
        worker.communicate("\n")


@pytest.mark.parametrize(
    ("abi", "filtered", "words"),
    [
        (0, True, ["no Landlock"]),
        (3, True, ["version 3", "6"]),
        (7, False, ["system calls"]),
        (0, False, ["no Landlock", "system calls"]),
    ],
)
def test_what_is_missing_is_said(abi: int, filtered: bool, words: list[str]) -> None:
    assert all(word in support.missing(abi, filtered=filtered) for word in words)


def test_a_complete_jail_can_be_required() -> None:
    """Where the kernel has all of it, nothing is missing; where it has not, convert does not start."""
    missing = support.missing(landlock.abi(), filtered=seccomp.here() is not None)
    if missing:
        with pytest.raises(support.Incomplete, match="REQUIRE_JAIL"):
            support.require("full", missing)
    else:
        support.require("full", missing)
    with pytest.raises(support.Incomplete, match="REQUIRE_JAIL is full, but no walls"):
        support.require("full", "no walls")


def _is_gone(pid: int) -> bool:
    try:
        return _state(pid) == "Z"
    except FileNotFoundError:
        return True


def _is(state: str, pid: int) -> bool:
    return _state(pid) == state


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
