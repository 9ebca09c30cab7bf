"""A run of ffmpeg or ffprobe: watched while it lasts, killed with its whole process group before any error leaves."""

import errno
import os
import re
import selectors
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from functions.model.media import MediaError, Reason

BEAT = 0.4  # seconds; `tick` is called at least this often, so that a cancel stops the work soon
_KEPT_BYTES = 2**18  # of ffmpeg's messages, at either end: the report of a video with many tracks and tags is long
_OUTPUT_BYTES = 4 * 2**20  # ffprobe's report of a video of 4,000 chapters has less than one
_REASONS = (
    ("partial file|moov atom not found|File ended prematurely|Packet corrupt", Reason.TRUNCATED),
    ("does not contain any stream|matches no streams", Reason.NO_AUDIO),
    ("no decoder found|Decoder not found|not on whitelist|Not whitelisted|Not yet implemented", Reason.UNSUPPORTED),
)
# Messages that mean that this machine failed and not the video. If a video's decoder is missing, ffmpeg complains about
# the output file too, but in other words.
_HOST_ERRORS = re.compile(
    "^(setpriv|prlimit): |"
    "Error opening output files?: (No such file|Permission denied|Read-only|Input/output|Too many open)",
    re.MULTILINE,
)
_KILL_SIGNALS = {signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP}


class Interrupted(Exception):
    """ffmpeg was killed from outside, by a shutdown or by a kernel short of memory: the next try may pass."""


@dataclass(frozen=True)
class Run:
    """What a run of ffmpeg has returned."""

    status: int  # its exit status, negative for a signal
    messages: str  # what it said on stderr, or the first and the last of it
    output: bytes  # what it said on stdout, or the last of it

    @property
    def done(self) -> float:
        """Seconds of output, by ffmpeg's lines of progress."""
        return _read_progress(self.output)


def run(command: list[str], folder: Path, seconds: float, tick: Callable[[float], None]) -> Run:
    """Runs ffmpeg, or ffprobe, to its end, and calls `tick` every BEAT seconds with the seconds of output so far.

    It runs in `folder` and is given the bare names of files there, because it may have no right to pass the folders
    above. Before any error is raised its process group is killed. All of this happens in one thread, because the kernel
    kills the child when the thread that started it ends. Raises MediaError (timed_out) after `seconds`, and whatever
    `tick` raises.
    """
    began = beat = time.monotonic()
    output = messages = b""
    with (
        subprocess.Popen(  # noqa: S603 - the words are ours, the paths too
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={"LC_ALL": "C"},  # neither our secrets nor FFREPORT
            cwd=folder,
            start_new_session=True,
        ) as process,
        selectors.DefaultSelector() as pipes,
    ):
        pipes.register(cast(BinaryIO, process.stdout), selectors.EVENT_READ, "output")
        pipes.register(cast(BinaryIO, process.stderr), selectors.EVENT_READ, "messages")
        try:
            while pipes.get_map():
                for key, _ in pipes.select(max(0.0, beat + BEAT - time.monotonic())):
                    data = os.read(key.fd, 65536)
                    if not data:
                        pipes.unregister(key.fileobj)
                    elif key.data == "output":
                        output = _last(output + data)
                    else:
                        messages = _shorten(messages + data)
                if time.monotonic() >= beat + BEAT:
                    beat = time.monotonic()
                    tick(_read_progress(output))
                    _check_time(began, seconds)
            return Run(process.wait(), messages.decode(errors="replace"), output)
        except BaseException:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise


def _check_time(began: float, seconds: float) -> None:
    if time.monotonic() > began + seconds:
        raise MediaError(Reason.TIMED_OUT, f"after {seconds:.0f} s")


def _read_progress(output: bytes) -> float:
    """Seconds of output, by the last of ffmpeg's -progress lines."""
    return int((re.findall(rb"out_time_us=(\d+)\n", output[-4096:]) or [b"0"])[-1]) / 1e6


def _last(output: bytes) -> bytes:
    """The last of what was written: of progress only the last lines count, and a report that is longer is hostile."""
    return output if len(output) <= 2 * _OUTPUT_BYTES else output[-_OUTPUT_BYTES:]


def _shorten(messages: bytes) -> bytes:
    """The first and the last of ffmpeg's messages: a damaged video makes it repeat some of them thousands of times."""
    return (
        messages if len(messages) <= 4 * _KEPT_BYTES else messages[:_KEPT_BYTES] + b"\n...\n" + messages[-_KEPT_BYTES:]
    )


def explain(run: Run) -> Exception:
    """The error that ffmpeg's exit status and messages mean."""
    said = run.messages.strip()[-500:]
    if run.status == -signal.SIGXFSZ:
        return MediaError(Reason.TOO_LARGE, "the limit for the audio is reached")
    # ffmpeg exits with 255 when it has caught a signal. A demuxer's EPERM (-1) looks the same but for its message.
    caught = run.status == 255 and "Operation not permitted" not in run.messages
    if -run.status in _KILL_SIGNALS or caught:
        return Interrupted(f"ffmpeg was killed from outside (status {run.status}); the next try may pass")
    if "No space left on device" in run.messages:
        return OSError(errno.ENOSPC, "no space left for the audio; free some below the temporary directory")
    if _HOST_ERRORS.search(run.messages):
        return OSError(f"ffmpeg cannot run here: {said}")
    reason = next((reason for words, reason in _REASONS if re.search(words, run.messages)), Reason.DAMAGED)
    return MediaError(reason, f"status {run.status}: {said}")
