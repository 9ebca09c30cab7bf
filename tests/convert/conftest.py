from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from functions.convert import transcode
from functions.convert.jail import Jail, Limits
from functions.convert.work import Result
from functions.model.containers import SNIFF_BYTES, Container, sniff
from functions.model.options import Options
from functions.runtime.settings import Settings

LIMITS = Limits.of(Settings())  # those of a convert that is told nothing else
Convert = Callable[..., Result]


@pytest.fixture(scope="session")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the makers of tests/videos.py keep this session's videos."""
    return tmp_path_factory.mktemp("videos")


def jail(folder: Path, limits: Limits = LIMITS, progress: Callable[[float], None] = lambda _: None) -> Jail:
    """The jail of that folder; `progress` is told the fraction that is done."""
    return Jail(folder, limits, lambda fraction=None: None if fraction is None else progress(fraction))


@pytest.fixture
def convert(tmp_path: Path) -> Convert:
    """Does with a video what convert does: sniff, describe, and transcode to tmp_path/audio.mp3."""

    def run(
        video: Path,
        limits: Limits = LIMITS,
        progress: Callable[[float], None] = lambda _: None,
        cores: int = 1,
        **options: Any,  # by the names that Options has
    ) -> Result:
        with video.open("rb") as file:
            container = sniff(file.read(SNIFF_BYTES))
        assert container, f"{video.name} is no media"
        return force(video, container, tmp_path, limits, progress, cores=cores, **options)

    return run


def force(
    video: Path,
    container: Container,
    folder: Path,
    limits: Limits = LIMITS,
    progress: Callable[[float], None] = lambda _: None,
    picture: bytes | None = None,
    cores: int = 1,
    **options: Any,
) -> Result:
    """Converts a video to folder/audio.mp3, as if sniffing had found that container."""
    (folder / "source").unlink(missing_ok=True)
    (folder / "source").symlink_to(video)
    jailed = jail(folder, limits, progress)
    seen = transcode.describe(jailed, "source", container)
    result = transcode.transcode(jailed, "source", "audio.mp3", seen, Options(**options), picture, cores=cores)
    (folder / "whole").write_bytes(b"".join(result.pieces()))
    (folder / "whole").replace(folder / "audio.mp3")
    return replace(result, front=b"")
