"""The waveform is that of the sound that comes back, however long the video says it is."""

import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
from imageio_ffmpeg import get_ffmpeg_exe
from numpy.typing import NDArray

from functions.convert import waveform
from functions.model.options import Options
from tests import videos
from tests.convert.conftest import Convert

WAV = vars(Options().asked({"format": "wav", "copy": "never"}))
BURST = "(0.5*sin(2*PI*440*t)*between(t\\,4\\,6))"  # a tone between silences
DURATION = b"\x44\x89\x88"  # Matroska's element of it, and the size of what follows: a number of milliseconds


def decode(path: Path) -> NDArray[np.float32]:
    """All samples, one channel behind the other within each moment."""
    command = [get_ffmpeg_exe(), "-v", "error", "-i", str(path), "-map", "0:a", "-f", "f32le", "-"]
    return np.frombuffer(subprocess.run(command, capture_output=True, check=True).stdout, np.float32)


def expected(path: Path, count: int, channels: int) -> NDArray[np.float32]:
    """The peaks of the sound of a file, found by numpy."""
    moments = np.abs(decode(path).reshape(-1, channels)).max(axis=1)
    return np.array([each.max() for each in np.array_split(moments, count)])


def pretend(path: Path, seconds: float) -> Path:
    """The same Matroska file with another length in its header."""
    data = bytearray(path.read_bytes())
    at = data.index(DURATION) + len(DURATION)
    data[at : at + 8] = struct.pack(">d", seconds * 1000)
    lied = path.with_stem(f"{path.stem}-{seconds:g}")
    lied.write_bytes(data)
    return lied


@pytest.mark.parametrize("channels", [1, 2, 6])
def test_peaks_are_where_numpy_finds_them_and_as_high(
    channels: int, shelf: Path, tmp_path: Path, convert: Convert
) -> None:
    """In whichever channel is the loudest."""
    quiet = [f"0.1*{BURST}"] * (channels - 1)
    layout = {1: "mono", 2: "stereo", 6: "5.1"}[channels]
    graph = f"aevalsrc='{'|'.join([*quiet, BURST])}':c={layout}:d=10:s=48000"
    video = videos.make(shelf / f"burst-{channels}.mkv", "-f", "lavfi", "-i", graph, "-c:a", "flac")
    peaks = np.frombuffer(convert(video, **WAV).peaks, np.uint8) / 255
    found = expected(tmp_path / "audio.mp3", len(peaks), channels)
    assert len(peaks) == 1000
    assert np.abs(peaks - found).max() < 0.005
    at = np.flatnonzero(peaks > 0.02) / len(peaks) * 10
    assert (at[0], at[-1]) == pytest.approx((4, 6), abs=0.02)


@pytest.mark.parametrize(("seconds", "least", "most"), [(0.0005, 1, 1), (0.03, 3, 4), (0.3, 29, 31), (3, 295, 305)])
def test_short_sound_has_a_peak_for_each_hundredth_of_a_second(
    seconds: float, least: int, most: int, shelf: Path, convert: Convert
) -> None:
    video = videos.make(shelf / f"{seconds}.wav", "-f", "lavfi", "-i", f"sine=440:d={seconds}")
    assert least <= len(convert(video, **WAV).peaks) <= most


@pytest.mark.parametrize("claim", [0.00001, 0.02, 3, 4000, 40_000])
def test_a_header_that_lies_costs_no_detail(claim: float, shelf: Path, convert: Convert) -> None:
    """Nor anything else: with a peak for each sample, sound of two minutes once took more than a minute."""
    graph = "aevalsrc='0.5*sin(2*PI*440*t)*between(t\\,60\\,90)':d=120:s=48000"
    video = videos.make(shelf / "claim.mkv", "-f", "lavfi", "-i", graph, "-c:a", "flac")
    result = convert(pretend(video, claim))
    assert result.facts.duration == pytest.approx(120, abs=0.1)
    assert len(result.peaks) == pytest.approx(1000, abs=5)
    at = [number / len(result.peaks) * 120 for number, peak in enumerate(result.peaks) if peak > 60]
    assert (at[0], at[-1]) == pytest.approx((60, 90), abs=0.5)


def test_a_length_that_nobody_knows_costs_no_detail(shelf: Path, convert: Convert) -> None:
    result = convert(videos.live_matroska(shelf))
    assert len(result.peaks) == pytest.approx(100 * result.facts.duration, abs=3)


@pytest.mark.parametrize("copy", ["auto", "never"])
def test_an_hour_is_drawn_by_as_many_peaks(copy: str, shelf: Path, convert: Convert) -> None:
    graph = "aevalsrc='0.5*sin(2*PI*440*t)*between(t\\,1800\\,1900)':d=3600:s=8000"
    video = videos.make(shelf / "hour.flac", "-f", "lavfi", "-i", graph, "-c:a", "flac")
    result = convert(video, **vars(Options().asked({"format": "flac", "copy": copy})))
    assert result.facts.copied is (copy == "auto")
    assert len(result.peaks) == pytest.approx(1000, abs=5)
    at = [number / len(result.peaks) * 3600 for number, peak in enumerate(result.peaks) if peak]
    assert (at[0], at[-1]) == pytest.approx((1800, 1900), abs=8)


def test_no_sample_is_another_for_it(shelf: Path, tmp_path: Path, convert: Convert) -> None:
    """What comes back is what a decoder makes of the video, whose 5 s are no whole number of peaks."""
    graph = "anoisesrc=d=5.0123:a=0.5:r=44100:seed=5"
    video = videos.make(shelf / "noise.mkv", "-f", "lavfi", "-i", graph, "-c:a", "aac")
    convert(video, **WAV)
    plain = videos.make(tmp_path / "plain.wav", "-i", str(video), "-c:a", "pcm_s16le")
    assert np.array_equal(decode(tmp_path / "audio.mp3"), decode(plain))


def test_nothing_is_left_of_how_it_was_made(shelf: Path, tmp_path: Path, convert: Convert) -> None:
    convert(videos.plain(shelf))
    assert sorted(each.name for each in tmp_path.iterdir()) == ["audio.mp3", "source"]


@pytest.mark.parametrize("count", [0, 1, 999, 1000, 1001, 1500, 9999])
def test_peaks_are_merged_evenly_and_the_highest_stays(count: int) -> None:
    levels = bytes(count - 1) + b"\xff" if count else b""
    merged = waveform.merge(levels)
    assert len(merged) == min(count, waveform.PEAKS)
    assert merged[-1:] == levels[-1:]
    assert sum(merged) == sum(levels)
