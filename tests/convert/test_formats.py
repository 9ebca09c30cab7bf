"""Every format has the whole of the sound at the right time, encoded or copied."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from imageio_ffmpeg import get_ffmpeg_exe
from numpy.typing import NDArray

from functions.convert.work import Result
from functions.model.encoding import ENCODINGS
from functions.model.options import Copy, Options
from tests import videos
from tests.convert.conftest import Convert

FORMATS = [*ENCODINGS]
HERTZ = 48_000
SECONDS = 5
NOISE = ("-f", "lavfi", "-i", f"anoisesrc=d={SECONDS}:a=0.3:c=pink:seed=1:r={HERTZ}")
PICTURE = ("-f", "lavfi", "-i", "color=s=32x32:r=5:d=8")
CODECS = {"mp3": "libmp3lame", "m4a": "aac", "opus": "libopus", "flac": "flac", "wav": "pcm_s16le"}
Ask = Callable[..., Result]


@pytest.fixture
def ask(convert: Convert) -> Ask:
    """Converts a video to a format."""

    def run(video: Path, format_: str, **asked: str) -> Result:
        options = Options().asked({"format": format_, **asked})
        return convert(video, **{name: getattr(options, name) for name in vars(options)})

    return run


def decode(path: Path) -> NDArray[np.float32]:
    """All that is heard, as mono samples; gaps between the times of frames take none."""
    command = [get_ffmpeg_exe(), "-v", "error", "-i", str(path), "-vn", "-af", "asetpts=N/SR/TB", "-ac", "1"]
    run = subprocess.run([*command, "-ar", str(HERTZ), "-f", "f32le", "-"], capture_output=True, check=True)
    return np.frombuffer(run.stdout, np.float32)


def holed(directory: Path, codec: str) -> Path:
    """Sound of five seconds of which some frames in the middle were never written, as recorders do in silence."""
    whole = videos.make(directory / f"whole-{codec}.mkv", *NOISE, "-c:a", codec)
    rate = HERTZ / {"libopus": 960, "libmp3lame": 1152}.get(codec, 1024)
    hole = f"noise=amount=0:drop='gte(n\\,{round(2 * rate)})*lt(n\\,{round(3 * rate)})'"
    return videos.make(directory / f"holed-{codec}.mkv", "-i", str(whole), "-c", "copy", "-bsf:a", hole)


@pytest.mark.parametrize("codec", CODECS.values())
@pytest.mark.parametrize("format_", FORMATS)
def test_a_gap_in_the_sound_is_silence(format_: str, codec: str, shelf: Path, tmp_path: Path, ask: Ask) -> None:
    """So what comes behind it comes when it does in the video; a copy of the frames would close the gap."""
    facts = ask(holed(shelf, codec), format_).facts
    heard = decode(tmp_path / "audio.mp3")
    assert not facts.copied
    assert len(heard) / HERTZ == pytest.approx(SECONDS, abs=0.05)
    assert facts.duration == pytest.approx(SECONDS, abs=0.05)
    loud = [float(np.abs(heard[int(at * HERTZ) :][: HERTZ // 5]).max()) for at in (1.5, 2.4, 3.5)]
    assert loud[0] > 0.05
    assert loud[1] < 0.001
    assert loud[2] > 0.05


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "mov"])
@pytest.mark.parametrize("format_", FORMATS)
def test_sound_that_begins_late_is_copied_to_the_front(
    format_: str, suffix: str, shelf: Path, tmp_path: Path, ask: Ask
) -> None:
    """As it would be encoded to the front; its length is its own."""
    codec = CODECS[format_]
    if suffix in ("mp4", "mov") and codec in ("pcm_s16le", "flac", "libopus"):
        suffix = {"pcm_s16le": "mov"}.get(codec, "mp4")
    video = videos.make(
        shelf / f"late-{codec}.{suffix}",
        *(*PICTURE, "-itsoffset", "3", *NOISE, "-c:a", codec, "-c:v", "mpeg4", "-strict", "-2"),
    )
    facts = ask(video, format_).facts
    assert facts.copied
    assert facts.duration == pytest.approx(SECONDS, abs=0.06)
    assert len(decode(tmp_path / "audio.mp3")) / HERTZ == pytest.approx(SECONDS, abs=0.06)
    said = videos.look(tmp_path / "audio.mp3")
    assert "start: 3" not in said
    assert "start: 2" not in said


@pytest.mark.parametrize(
    ("format_", "suffix"),
    [("flac", "mkv"), ("flac", "flac"), ("wav", "wav"), ("wav", "mov"), ("mp3", "mp4"), ("mp3", "mp3")],
)
def test_what_is_copied_sounds_the_same_to_the_sample(
    format_: str, suffix: str, shelf: Path, tmp_path: Path, ask: Ask
) -> None:
    """The encoder's padding is told to the player as the source tells it."""
    video = videos.make(shelf / f"same-{format_}.{suffix}", *NOISE, "-c:a", CODECS[format_])
    assert ask(video, format_).facts.copied
    assert np.array_equal(decode(tmp_path / "audio.mp3"), decode(video))


def test_an_mp3_whose_sample_rate_changes_is_not_copied(shelf: Path, tmp_path: Path, ask: Ask) -> None:
    """Two files, one behind the other: no player follows, and a decoder does."""
    parts = [
        videos.make(
            shelf / f"rate-{rate}.mp3", *NOISE, "-ar", str(rate), "-ac", "2", "-write_xing", "0", "-id3v2_version", "0"
        )
        for rate in (48_000, 44_100)
    ]
    video = shelf / "two-rates.mp3"
    video.write_bytes(b"".join(part.read_bytes() for part in parts))
    facts = ask(video, "mp3").facts
    assert not facts.copied
    assert len(decode(tmp_path / "audio.mp3")) / HERTZ == pytest.approx(2 * SECONDS, abs=0.15)


@pytest.mark.parametrize("copy", Copy)
@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
@pytest.mark.parametrize("format_", FORMATS)
def test_chapters_end_with_the_sound(
    format_: str, suffix: str, copy: Copy, shelf: Path, tmp_path: Path, ask: Ask
) -> None:
    """Two seconds of sound under nine of picture; a chapter that has none of it is left out."""
    chapters = shelf / "three-chapters.txt"
    chapters.write_text(
        ";FFMETADATA1\n"
        + "".join(
            f"[CHAPTER]\nTIMEBASE=1/1\nSTART={start}\nEND={end}\ntitle={title}\n"
            for start, end, title in ((0, 1, "A"), (1, 5, "B"), (5, 9, "C"))
        ),
        encoding="utf-8",
    )
    inputs = ("-f", "lavfi", "-i", "color=s=32x32:r=5:d=9", "-f", "lavfi", "-i", "sine=d=2", "-i", str(chapters))
    mapped = ("-map", "0", "-map", "1", "-map_chapters", "2")
    video = videos.make(shelf / f"chapters-beyond.{suffix}", *inputs, *mapped, "-c:v", "libx264", "-c:a", "aac")
    result = ask(video, format_, copy=copy)
    assert result.facts.duration == pytest.approx(2, abs=0.05)
    said = videos.look(tmp_path / "audio.mp3")
    assert "start 0.000000, end 1.000000" in said
    assert "start 1.000000, end 2.0" in said
    assert "start 5" not in said
