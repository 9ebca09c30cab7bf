"""A small clip from accepted to done, beyond what ffmpeg itself needs for it."""

from pathlib import Path

from functions.convert import transcode
from functions.model.media import Container
from tests import films
from tests.bench import transcoding
from tests.bench.stage import Stage
from tests.bench.table import Row, in_turn, timed


def rows(stage: Stage, directory: Path, rounds: int) -> list[Row]:
    """By Postgres' clock, through ingress, RabbitMQ, dispatcher and convert; ffmpeg looks once and converts once."""
    film, audio = films.plain(directory), directory / "clip.mp3"
    look = transcode.describe_command(film, Container.MP4, transcoding.LIMITS)
    look = look[look.index(transcode.binary()) :]  # without the jail

    def ours() -> float:
        job = stage.await_done(stage.upload(film))
        assert job.finished_at
        return (job.finished_at - job.queued_at).total_seconds()

    def plain() -> None:
        transcoding.run(look)
        transcoding.run_plain(film, audio)

    beyond = [1000 * (mine - theirs) for theirs, mine in in_turn(rounds, timed(plain), ours)]
    return [Row("small clip, accepted to done, minus ffmpeg's own time", beyond, "ms", at_most=150)]
