"""Where we are root, the parts of the system have only the rights that they need."""

import os
from pathlib import Path

import pytest

from emulator import privileges
from emulator.functions import ROOT
from emulator.processes import Process, python
from tests import videos
from tests.waiting import until

CAP_DAC_READ_SEARCH = 2  # as the kernel numbers it
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can start parts as another account")
# Converts the video in its folder, and prints the rights of its child ffmpeg whenever that reports progress.
_CONVERT = """
import os, sys, threading
from pathlib import Path
from functions.convert import transcode
from functions.convert.jail import Jail, Limits
from functions.model.containers import Container
from functions.model.options import Options
from functions.runtime.settings import Settings
from tests.emulator.test_privileges import rights
folder, limits = Path(sys.argv[1]), Limits.of(Settings())
def look(_=None):
    children = Path(f"/proc/self/task/{threading.get_native_id()}/children").read_text(encoding="ascii")
    print(*(rights(child) for child in children.split()))
jail = Jail(folder, limits, look)
transcode.transcode(jail, "video", "audio.mp3", transcode.describe(jail, "video", Container.MP4), Options())
"""


def rights(pid: int | str) -> set[int]:
    """The numbers of the capabilities that a process holds or could take; root's ids stand for all of them."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines())
    bits = int(status["CapPrm"], 16) | int(status["CapEff"], 16) | int(status["CapInh"], 16) | int(status["CapAmb"], 16)
    is_root = "0" in status["Uid"].split() + status["Gid"].split() + status["Groups"].split()
    return {number for number in range(64) if bits >> number & 1 or is_root}


@as_root
def test_what_root_starts_is_nobody_who_may_only_read(tmp_path: Path) -> None:
    """It can read what is closed to it, so that a checkout below root's closed home can be run, but change nothing."""
    tmp_path.chmod(0o700)
    (tmp_path / "secret").write_text("closed", encoding="ascii")
    (tmp_path / "secret").chmod(0o600)
    script = "cat secret && test -r secret && ! echo x 2>/dev/null >secret && ! touch new 2>/dev/null"
    process = Process("reader", ["sh", "-c", f"{script} && exec sleep 1000"], tmp_path, cwd=tmp_path)
    process.start()
    until(lambda: Path(f"/proc/{process.pid}/comm").read_text(encoding="ascii") == "sleep\n")
    assert process.log_tail == "closed"
    assert rights(process.pid) == {CAP_DAC_READ_SEARCH}
    process.stop()


@as_root
def test_ffmpeg_converts_below_a_closed_directory_with_no_right_at_all(tmp_path: Path) -> None:
    """It opens strangers' files. It can read the video because it is started in the video's folder."""
    tmp_path.chmod(0o700)
    folder = tmp_path / "folder"
    privileges.make_writable_directory(folder)
    videos.long(tmp_path, hours=1).rename(folder / "video")
    Process("convert", python("-c", _CONVERT, str(folder)), tmp_path, {"PYTHONPATH": str(ROOT)}, cwd=ROOT).finish(60)
    said = (tmp_path / "convert.log").read_text(encoding="ascii")
    assert set(said.split()) == {"set()"}
    assert (folder / "audio.mp3").stat().st_size > 0


@as_root
def test_giving_a_directory_gives_what_is_in_it_and_nothing_that_it_points_at(tmp_path: Path) -> None:
    """The state may be root's, from an earlier version. Once parts can write there, they could put links there."""
    (tmp_path / "ours").mkdir()
    (tmp_path / "ours" / "file").touch()
    (tmp_path / "data" / "deep").mkdir(parents=True)
    (tmp_path / "data" / "deep" / "file").touch()
    (tmp_path / "data" / "link").symlink_to(tmp_path / "ours")
    privileges.make_writable_directory(tmp_path / "data")
    (tmp_path / "data" / "later").touch()
    privileges.make_writable_directory(tmp_path / "data")
    assert (tmp_path / "data" / "deep" / "file").stat().st_uid != 0
    assert {path.stat().st_uid for path in (tmp_path / "ours", tmp_path / "ours" / "file")} == {0}
    assert (tmp_path / "data" / "later").stat().st_uid == 0


@pytest.mark.parametrize("umask", [0o077, 0o000])
def test_what_is_kept_is_closed_to_others_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    """Passwords that we write and logs that parts write."""
    before = os.umask(umask)
    try:
        privileges.write_private_file(tmp_path / "password", "secret")
        Process("talker", ["echo", "hello"], tmp_path).finish(5)
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


def test_a_file_is_never_written_through_a_link(tmp_path: Path) -> None:
    """Otherwise a part that was taken over could have root write to any file of the machine."""
    (tmp_path / "victim").write_text("whole", encoding="ascii")
    (tmp_path / "echo.log").symlink_to(tmp_path / "victim")
    with pytest.raises(OSError, match="symbolic links"):
        Process("echo", ["echo", "broken"], tmp_path).start()
    assert (tmp_path / "victim").read_text(encoding="ascii") == "whole"
