from collections.abc import Callable
from pathlib import Path

import pytest

from functions.convert import transcode
from functions.model.media import SNIFF_BYTES, sniff

LIMITS = transcode.Limits()
Convert = Callable[..., transcode.Result]


@pytest.fixture(scope="session")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where this session's videos are kept."""
    return tmp_path_factory.mktemp("videos")


@pytest.fixture
def convert(tmp_path: Path) -> Convert:
    """Takes a video through what convert does with it: sniff, describe, transcode to tmp_path/audio.mp3."""

    def run(
        video: Path,
        limits: transcode.Limits = LIMITS,
        progress: Callable[[float], None] = lambda _: None,
        **options: int,
    ) -> transcode.Result:
        with video.open("rb") as file:
            container = sniff(file.read(SNIFF_BYTES))
        assert container, f"{video.name} is no media"
        description = transcode.describe(video, container, limits)
        return transcode.transcode(video, tmp_path / "audio.mp3", description, limits, progress, **options)

    return run
