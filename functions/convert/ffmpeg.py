"""Runs of ffmpeg or ffprobe: watched while they last, killed with their process groups before any error leaves."""

import errno
import os
import re
import selectors
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Self, cast

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
    "^sandbox: |Error opening output files?: (No such file|Permission denied|Read-only|Input/output|Too many open)",
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

    Raises as run_all() does.
    """
    [only] = run_all([command], folder, seconds, lambda running: tick(running[0].done))
    return only


def run_all(
    commands: list[list[str]],
    folder: Path,
    seconds: float,
    tick: Callable[[list["Running"]], None],
    beat: float = BEAT,
) -> list[Run]:
    """Runs all of them side by side to their ends, and calls `tick` every `beat` seconds, which may end some of them.

    They run in `folder` and are given the bare names of files there, because they may have no right to pass the folders
    above. Before any error is raised their process groups are killed. All of this happens in one thread, because the
    kernel kills the children when the thread that started them ends. Raises MediaError (timed_out) after `seconds`, and
    whatever `tick` raises.
    """
    began = ticked = time.monotonic()
    with ExitStack() as opened:
        running = [opened.enter_context(Running(command, folder)) for command in commands]
        pipes = opened.enter_context(selectors.DefaultSelector())
        for each in running:
            for pipe, keep in each.pipes:
                pipes.register(pipe, selectors.EVENT_READ, keep)
        while pipes.get_map():
            for key, _ in pipes.select(max(0.0, ticked + beat - time.monotonic())):
                if data := os.read(key.fd, 65536):
                    key.data(data)
                else:
                    pipes.unregister(key.fileobj)
            if time.monotonic() >= ticked + beat:
                ticked = time.monotonic()
                tick(running)
                _check_time(began, seconds)
        return [each.end() for each in running]


class Running:
    """A process; with the block's end it has ended too, killed where an error leaves the block."""

    def __init__(self, command: list[str], folder: Path) -> None:
        self._output = self._messages = b""
        self._process = subprocess.Popen(  # noqa: S603 - the words are ours, the paths too
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={"LC_ALL": "C"},  # neither our secrets nor FFREPORT
            cwd=folder,
            start_new_session=True,
        )
        self.pipes = (
            (cast(BinaryIO, self._process.stdout), self._keep_output),
            (cast(BinaryIO, self._process.stderr), self._keep_message),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        if error:
            self.kill()
        self._process.__exit__(None, None, None)

    @property
    def done(self) -> float:
        """Seconds of output so far."""
        return _read_progress(self._output)

    @property
    def status(self) -> int | None:
        """Its exit status; None while it runs."""
        return self._process.poll()

    def pause(self) -> None:
        """Lets it do nothing until `go_on`."""
        self._send(signal.SIGSTOP)

    def go_on(self) -> None:
        """Ends a pause."""
        self._send(signal.SIGCONT)

    def kill(self) -> None:
        """Ends it, paused or not."""
        self._send(signal.SIGKILL)

    def end(self) -> Run:
        """Waits for its end."""
        return Run(self._process.wait(), self._messages.decode(errors="replace"), self._output)

    def _send(self, number: signal.Signals) -> None:
        if self._process.poll() is None:  # its number may be another's once it was asked for the status
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)

    def _keep_output(self, data: bytes) -> None:
        self._output = _last(self._output + data)

    def _keep_message(self, data: bytes) -> None:
        self._messages = _shorten(self._messages + data)


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
