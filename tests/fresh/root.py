"""A throw-away root directory with a system in it, and commands run there of which nothing stays."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.fresh import machine
from tests.fresh.systems import Archive

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# This script is process 1 of a pid namespace with mounts of its own: when it ends, the kernel ends all other processes
# there and removes the mounts. It uses pivot_root because in a chroot nobody may make namespaces, which Chromium and
# one of our tests do. If the command leaves processes running, it fails and names them; those that are just ending get
# five seconds.
_ENTER = r"""
set -eu
root=$1; packages=$2; shift 2
mount --bind "$root" "$root"
mount --bind "$packages" "$root/var/cache/apt/archives"
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for device in null zero full random urandom tty; do
    touch "$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
done
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts "$root/dev/pts"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
for number in 0:stdin 1:stdout 2:stderr; do ln -s "/proc/self/fd/${number%:*}" "$root/dev/${number#*:}"; done
cd "$root"
pivot_root . mnt
umount --lazy /mnt
status=0
"$@" || status=$?
for moment in 1 2 3 4 5 6 7 8 9 10; do
    left=
    for process in /proc/[0-9]*; do
        if [ "${process##*/}" != 1 ]; then left="$left$(tr '\0' ' ' 2>/dev/null <"$process/cmdline" || true)"; fi
    done
    if [ -z "$left" ]; then exit $status; fi
    sleep 0.5
done
echo "left running: $left"
exit $((status ? status : 1))
"""


class Failed(Exception):
    """A command failed, or took too long; the message is the end of what it wrote."""


@dataclass(frozen=True)
class Done:
    """What a command wrote, and how long it took."""

    text: str
    seconds: float


@dataclass(frozen=True)
class Account:
    """Commands run as that user, in that home."""

    name: str
    home: Path


ROOT = Account("root", Path("/root"))


@dataclass(frozen=True)
class Root:
    """A system in a directory. A command in it sees no processes but its own; the network is this machine's."""

    directory: Path
    packages: Path
    environ: Mapping[str, str]

    def run(self, account: Account, script: str, limit: float) -> Done:
        """Run a shell script in the home of that account, as after a login; no locale is set. Raises Failed."""
        told = {
            "HOME": account.home,
            "USER": account.name,
            "LOGNAME": account.name,
            "SHELL": "/bin/bash",
            "PATH": _PATH,
        }
        environ = [f"{name}={value}" for name, value in {**told, **self.environ}.items()]
        user = [f"--reuid={account.name}", f"--regid={account.name}", "--init-groups"]
        command = ["setpriv", *user, "env", "-i", *environ, "bash", "-c", f"cd && {script}"]
        began = time.monotonic()
        code, text = self._enter(command, limit)
        if code is None:
            raise Failed(f"{text}\nnot done after {limit:g} s")
        if code != 0:
            raise Failed(f"{text}\nexit code {code}")
        return Done(text, time.monotonic() - began)

    def add(self, name: str) -> Account:
        """Make an account whose home is closed to others."""
        self.run(ROOT, f"useradd --create-home {name} && chmod 700 /home/{name}", 60)
        return Account(name, Path("/home", name))

    def home(self, account: Account) -> Path:
        """Give the path of that account's home as this machine sees it."""
        return self.directory / account.home.relative_to("/")

    def _enter(self, command: Sequence[str], limit: float) -> tuple[int | None, str]:
        unshare = ["unshare", "--mount", "--pid", "--ipc", "--fork", "--kill-child"]
        with (
            tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output,
            subprocess.Popen(
                [*unshare, "sh", "-c", _ENTER, "sh", str(self.directory), str(self.packages), *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            ) as process,
        ):
            try:
                code = process.wait(limit)
            except subprocess.TimeoutExpired:
                code = None
            finally:
                os.killpg(process.pid, signal.SIGKILL) if process.poll() is None else None
            output.seek(0)
            return code, output.read()


@contextmanager
def unpacked(archive: Archive) -> Iterator[Root]:
    """Unpack a bare system, lend it what it needs to reach the registries, and remove it in the end."""
    with tempfile.TemporaryDirectory(prefix="fresh-") as directory:
        root = Path(directory, "root")
        root.mkdir(mode=0o755)
        subprocess.run(["tar", "-C", root, "--numeric-owner", "-xpf", archive.root], check=True)
        try:
            yield Root(root, archive.packages, machine.lend(root))
        finally:
            _remove(root)


def _remove(root: Path) -> None:
    """What was killed a moment ago may still write."""
    for _ in range(50):
        shutil.rmtree(root, ignore_errors=True)
        if not root.exists():
            return
        time.sleep(0.2)
