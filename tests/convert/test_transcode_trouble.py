"""When a conversion is stopped, or this machine fails, no process and no file is left of it."""

import errno
import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from functions.convert import ffmpeg, transcode
from functions.convert.ffmpeg import Interrupted
from functions.model.containers import Container
from functions.model.options import Options
from tests import videos
from tests.convert.conftest import LIMITS, Convert, jail
from tests.waiting import until

LONG = replace(LIMITS, duration=40000)


class Cancelled(Exception):
    """What a progress callback may raise."""


def child() -> int:
    """The one ffmpeg that this thread has started; servers of other tests may be children of it too."""
    children = Path(f"/proc/self/task/{threading.get_native_id()}/children").read_text(encoding="utf-8").split()
    (pid,) = (int(child) for child in children if b"ffmpeg" in Path(f"/proc/{child}/cmdline").read_bytes())
    return pid


def state(pid: int) -> str:
    """The kernel's letter for the state of a process; X where there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return "X"


def is_dead(pid: int) -> bool:
    """Gone, or a zombie whose new parent has not looked yet."""
    return state(pid) in "ZX"


def test_what_progress_raises_stops_the_work_at_once(shelf: Path, tmp_path: Path, convert: Convert) -> None:
    """A cancel or a lost lease reaches the caller as it was raised, when ffmpeg is dead and the partial MP3 removed."""
    pids = []

    def progress(_: float) -> None:
        pids.append(child())
        raise Cancelled

    with pytest.raises(Cancelled):
        convert(videos.long(shelf), LONG, progress)
    assert len(pids) == 1
    assert is_dead(pids[0])
    assert not (tmp_path / "audio.mp3").exists()


def test_progress_is_called_while_ffmpeg_says_nothing(shelf: Path, convert: Convert) -> None:
    """Else a job could not be cancelled while its ffmpeg is stuck."""
    seen: list[str] = []

    def progress(_: float) -> None:
        seen.append(state(child()))
        if len(seen) == 1:
            os.kill(child(), signal.SIGSTOP)
        if len(seen) == 4:
            raise Cancelled

    with pytest.raises(Cancelled):
        convert(videos.long(shelf), LONG, progress)
    assert seen[1:] == ["T", "T", "T"]  # stopped all the while


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGTERM])
def test_ffmpeg_killed_from_outside_is_trouble_that_may_pass(
    blow: signal.Signals, shelf: Path, tmp_path: Path, convert: Convert
) -> None:
    """It was a kernel short of memory, or a shutdown, and not the video's fault."""
    with pytest.raises(Interrupted):
        convert(videos.long(shelf), LONG, lambda _: os.kill(child(), blow))
    assert not (tmp_path / "audio.mp3").exists()


def test_a_full_disk_is_trouble_that_may_pass(shelf: Path, tmp_path: Path, convert: Convert) -> None:
    """/dev/full answers every write as a full disk would."""
    (tmp_path / "audio.mp3").symlink_to("/dev/full")
    with pytest.raises(OSError, match="free some") as trouble:
        convert(videos.plain(shelf))
    assert trouble.value.errno == errno.ENOSPC
    assert not (tmp_path / "audio.mp3").is_symlink()


def test_a_directory_that_is_gone_is_trouble_that_may_pass(shelf: Path) -> None:
    """The fault is this machine's, not the video's."""
    video = videos.plain(shelf)
    here = jail(video.parent)
    with pytest.raises(OSError, match="cannot run here"):
        transcode.transcode(
            here, video.name, "gone/audio.mp3", transcode.describe(here, video.name, Container.MP4), Options()
        )


def test_ffmpeg_dies_with_the_function(shelf: Path, tmp_path: Path) -> None:
    """After kill -9 of the worker nobody cleans up, so the kernel ends ffmpeg with the thread that started it."""
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER, str(videos.long(shelf)), str(tmp_path / "audio.mp3")],
        stdout=subprocess.PIPE,
        encoding="utf-8",
    )
    with worker:
        assert worker.stdout
        pid = int(worker.stdout.readline())
        assert not is_dead(pid)
        worker.kill()
        until(lambda: is_dead(pid))


WORKER = """
import sys, threading
from pathlib import Path
from functions.convert.transcode import describe, transcode
from functions.model.containers import Container
from functions.model.options import Options
from tests.convert.conftest import jail
from tests.convert.test_transcode_trouble import LONG
source, target = map(Path, sys.argv[1:])
def progress(fraction):
    print(Path(f"/proc/self/task/{threading.get_native_id()}/children").read_text(encoding="utf-8"), flush=True)
def work():
    here = jail(source.parent, LONG, progress)
    transcode(here, source.name, target.name, describe(here, source.name, Container.MP4), Options())
thread = threading.Thread(target=work)
thread.start()
thread.join()
"""


def test_ffmpeg_sees_none_of_our_environment(shelf: Path, convert: Convert, monkeypatch: pytest.MonkeyPatch) -> None:
    """It reads strangers' files, so it gets no secret, and no FFREPORT, which would make it write."""
    monkeypatch.setenv("JWT_SECRET", "s3cret")
    seen = []

    def progress(_: float) -> None:
        seen.append(Path(f"/proc/{child()}/environ").read_bytes())
        raise Cancelled

    with pytest.raises(Cancelled):
        convert(videos.long(shelf), LONG, progress)
    assert seen == [b"LC_ALL=C\0"]


def test_ffmpeg_may_not_gain_rights_or_take_more_than_its_memory(shelf: Path, convert: Convert) -> None:
    """The kernel tells so of the running process."""
    seen = []

    def progress(_: float) -> None:
        texts = [Path(f"/proc/{child()}/{what}").read_text(encoding="utf-8") for what in ("status", "limits")]
        seen.append((texts[0], texts[1]))
        raise Cancelled

    with pytest.raises(Cancelled):
        convert(videos.long(shelf), LONG, progress)
    ((status, limits),) = seen
    assert "NoNewPrivs:\t1" in status
    assert f"Max address space         {LONG.memory}" in limits
    assert f"Max file size             {LONG.size}" in limits
    assert "Max core file size        0" in limits


def test_thousands_of_complaints_do_not_fill_our_memory() -> None:
    """The first and the last of them are kept."""
    flood = b""
    for number in range(200):
        flood = ffmpeg._shorten(flood + b"[aac] complaint %d\n" % number * 2000)
    assert len(flood) <= 2**20
    assert flood.startswith(b"[aac] complaint 0\n")
    assert flood.endswith(b"complaint 199\n")
