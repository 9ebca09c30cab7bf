"""How soon: a small clip from accepted to done, an upload whose event nobody takes, the end of what is cancelled."""

from collections.abc import Callable
from pathlib import Path
from tempfile import NamedTemporaryFile

import psutil

from events import sink
from functions.convert import ffmpeg, jail, lease
from tests import videos
from tests.bench import transcoding
from tests.bench.harness import PATIENCE, Harness
from tests.bench.table import Row, in_turn, ratios, timed
from tests.faults.harness import asleep
from tests.waiting import until


def rows(harness: Harness, directory: Path, rounds: int) -> list[Row]:
    return [_small_clip(harness, directory, rounds), _untaken(harness, directory), _cancelled(harness, directory)]


def _small_clip(harness: Harness, directory: Path, rounds: int) -> Row:
    """By Postgres' clock, through ingress, RabbitMQ, dispatcher and convert; ffmpeg looks once and converts once."""
    video = videos.plain(directory)
    plain = plainly(video, directory)

    def ours() -> float:
        job = harness.await_done(harness.upload(video))
        assert job.finished_at
        return (job.finished_at - job.queued_at).total_seconds()

    beyond = [1000 * (mine - theirs) for theirs, mine in in_turn(rounds, timed(plain), ours)]
    return Row("small clip, accepted to done, minus ffmpeg's own time", beyond, "ms", at_most=150)


def plainly(video: Path, directory: Path) -> Callable[[], None]:
    """What ffmpeg does for a job: it looks once and converts once. Runs at the same time have an MP3 each."""
    look = [jail.ffprobe(), "-v", "error", "-show_format", "-show_streams", "-show_chapters", str(video)]

    def run() -> None:
        transcoding.run(look)
        with NamedTemporaryFile(dir=directory, suffix=".mp3") as audio:
            transcoding.run_plain(video, Path(audio.name))

    return run


def _untaken(harness: Harness, directory: Path) -> Row:
    """Against one whose event is taken and the time an event is given; together they must stay below 2 s."""
    video = videos.plain(directory)
    upload = timed(lambda: harness.upload(video))

    def untaken() -> float:
        with asleep(harness.system.bridge):
            return upload()

    return Row("upload whose event nobody takes", ratios(3, lambda: upload() + sink.TIMEOUT, untaken), at_most=1.2)


def _cancelled(harness: Harness, directory: Path) -> Row:
    """Against the two beats that a worker needs to hear of it."""
    (master,) = (psutil.Process(process.pid) for process in harness.system.functions["convert"].processes)
    video = videos.long(directory)

    def is_encoding() -> bool:
        return any("ffmpeg" in child.name() for worker in master.children() for child in worker.children())

    def cancel() -> float:
        job = harness.upload(video)
        until(lambda: harness.find(job.id).progress, PATIENCE)
        harness.jobs.cancel(job.id, job.owner)
        return timed(lambda: until(lambda: not is_encoding()))()

    return Row("cancel to ffmpeg's end", ratios(3, lambda: lease.BEAT + ffmpeg.BEAT, cancel), at_most=1.35)
