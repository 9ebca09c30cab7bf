from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from functions.convert import transcode
from functions.convert.arguments import Limits
from functions.model.media import SNIFF_BYTES, sniff
from functions.model.options import Options
from functions.runtime.settings import Settings

LIMITS = Limits.of(Settings())  # those of a convert that is told nothing else
Convert = Callable[..., transcode.Result]


@pytest.fixture(scope="session")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the makers of tests/videos.py keep this session's videos."""
    return tmp_path_factory.mktemp("videos")


@pytest.fixture
def convert(tmp_path: Path) -> Convert:
    """Does with a video what convert does: sniff, describe, and transcode to tmp_path/audio.mp3."""

    def run(
        video: Path,
        limits: Limits = LIMITS,
        progress: Callable[[float], None] = lambda _: None,
        **options: Any,  # by the names that Options has
    ) -> transcode.Result:
        with video.open("rb") as file:
            container = sniff(file.read(SNIFF_BYTES))
        assert container, f"{video.name} is no media"
        description = transcode.describe(video, container, limits)
        return transcode.transcode(video, tmp_path / "audio.mp3", description, limits, progress, Options(**options))

    return run
