"""Transcoding against one plain ffmpeg run of the same binary and settings, and against what people use instead."""

import resource
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

from moviepy import VideoFileClip

from functions.convert import transcode
from functions.convert.jail import Jail, Limits, binary
from functions.model.containers import Container
from functions.model.options import Options
from functions.runtime.cores import available
from functions.runtime.settings import Settings
from tests.bench import videos
from tests.bench.table import Row, in_turn, timed

LIMITS = Limits.of(Settings())
MOST = {False: (1.05, 1.05), True: (0.78, 1.12)}  # of time and CPU: on one core, and in pieces on two


def rows(directory: Path, minutes: int, rounds: int) -> list[Row]:
    """Looking at the video counts as ours: plain ffmpeg does both in one run. So does the time of our own process."""
    video, audio = videos.long(directory, minutes), directory / "audio.mp3"
    deeds = (convert, run_plain, run_moviepy, run_constant)
    costs = in_turn(rounds, *(_costing(partial(deed, video, audio)) for deed in deeds))
    what = f"transcoding {minutes} min"
    promised = [
        Row(f"{what}, {kind} against plain ffmpeg", [ours[at] / plain[at] for ours, plain, *_ in costs], at_most=most)
        for at, (kind, most) in enumerate(zip(("time", "CPU"), MOST[available() > 1], strict=True))
    ]
    others = {2: "MoviePy's write_audiofile, the original's way", 3: "ffmpeg -b:a 128k, a converter's default"}
    return promised + [
        Row(f"{what}, time against {name}", [each[0][0] / each[at][0] for each in costs]) for at, name in others.items()
    ]


def convert(video: Path, audio: Path) -> None:
    jail = Jail(video.parent, LIMITS, lambda _progress=None: None)
    seen = transcode.describe(jail, video.name, Container.MP4)
    transcode.transcode(jail, video.name, audio.name, seen, Options(), cores=available())


def run_plain(video: Path, audio: Path, quality: tuple[str, str] = ("-q:a", "2")) -> None:
    settings = ("-vn", "-c:a", "libmp3lame", *quality, "-id3v2_version", "3")
    run([binary(), "-nostdin", "-v", "error", "-y", "-i", str(video), *settings, str(audio)])


def run_constant(video: Path, audio: Path) -> None:
    run_plain(video, audio, ("-b:a", "128k"))


def run_moviepy(video: Path, audio: Path) -> None:
    """What the original's worker does, without its progress bar."""
    with VideoFileClip(str(video)) as clip:
        assert clip.audio
        clip.audio.write_audiofile(str(audio), logger=None)


def run(command: list[str]) -> None:
    subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True)


def _costing(deed: Callable[[], None]) -> Callable[[], tuple[float, float]]:
    """Seconds by the clock, and of the CPU for us and our children."""

    def watch() -> tuple[float, float]:
        spent = _cpu()
        return timed(deed)(), _cpu() - spent

    return watch


def _cpu() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)
