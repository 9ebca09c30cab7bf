"""Loudness is what was asked for on the file that comes back, by another measurement than ours."""

import re
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from imageio_ffmpeg import get_ffmpeg_exe
from numpy.typing import NDArray

from functions.convert import loudness
from functions.convert.loudness import Measured
from functions.model.options import Options
from tests import videos
from tests.convert.conftest import Convert

HERTZ = 44_100
BEATS = (  # drums that have ten times the power at their beginning
    "aevalsrc='0.9*sin(2*PI*90*t)*exp(-8*mod(t,0.5))+0.4*(random(0)-0.5)*exp(-40*mod(t+0.25,0.25))"
    "|0.9*sin(2*PI*110*t)*exp(-8*mod(t,0.5))+0.4*(random(1)-0.5)*exp(-40*mod(t+0.25,0.25))':d=12:s=44100"
)
PINK = "anoisesrc=d=12:a=1:c=pink:seed=1,asplit[l][r];[l][r]amerge"
CLIPPED = "aevalsrc='clip(3*sin(2*PI*997*t)*sin(2*PI*0.7*t),-1,1)':d=12:s=48000"
TELEPHONE = "anoisesrc=d=12:a=0.5:c=pink:r=8000:seed=3"
SURROUND = "sine=300:d=12,volume=-12dB,pan=5.1|c0=c0|c1=0.5*c0|c2=c0|c3=c0|c4=0.7*c0|c5=c0"
Make = Callable[[str, str], Path]


@pytest.fixture
def make(shelf: Path) -> Make:
    """A Matroska file of the sound of a filter graph, with nothing lost."""

    def run(name: str, graph: str) -> Path:
        return videos.make(shelf / f"{name}.mkv", "-f", "lavfi", "-i", graph, "-c:a", "pcm_f32le")

    return run


def asked(**texts: str) -> dict[str, Any]:
    """The options that somebody asks for, by their names."""
    return vars(Options().asked(texts))


def heard(path: Path) -> tuple[float, float]:
    """Integrated loudness in LUFS and true peak in dBTP, from what ffmpeg's ebur128 notes on each frame."""
    graph = "ebur128=peak=true:metadata=1:framelog=quiet,ametadata=mode=print:file=-"
    command = [get_ffmpeg_exe(), "-nostdin", "-v", "error", "-i", str(path), "-map", "0:a", "-af", graph]
    said = subprocess.run([*command, "-f", "null", "-"], capture_output=True, encoding="utf-8", check=True).stdout
    lufs = re.findall(r"r128\.I=(\S+)", said)[-1]
    peaks = [float(each) for each in re.findall(r"r128\.true_peaks_ch\d=(\S+)", said)]  # not in dB
    return float(lufs), 20 * np.log10(max(peaks))


def decode(path: Path, rate: int = HERTZ) -> NDArray[np.float32]:
    command = [get_ffmpeg_exe(), "-v", "error", "-i", str(path), "-vn", "-ac", "1", "-ar", str(rate), "-f", "f32le"]
    return np.frombuffer(subprocess.run([*command, "-"], capture_output=True, check=True).stdout, np.float32)


@pytest.mark.parametrize(
    ("size", "graph", "lufs"),
    [
        ({"bitrate": "32"}, PINK, -16),
        ({"vbr": "9"}, PINK, -20),
        ({"format": "m4a", "bitrate": "64"}, BEATS, -16),
        ({"format": "opus", "bitrate": "32"}, BEATS, -18),
        ({"quality": "voice"}, CLIPPED, -19),
        ({}, TELEPHONE, -16),
        ({"format": "flac"}, SURROUND, -23),
        ({"format": "flac"}, "sine=300:d=12,volume=-35dB", -20),
        ({}, SURROUND, -16),
        ({"sample_rate": "8000"}, PINK, -18),
        ({"channels": "mono"}, BEATS, -20),
    ],
)
def test_the_loudness_is_reached_whatever_the_encoder_makes_of_it(
    size: dict[str, str], graph: str, lufs: int, make: Make, tmp_path: Path, convert: Convert
) -> None:
    """At low bitrates it loses up to 2 LU and overshoots by up to 4 dB; the report says what is heard."""
    names = {BEATS: "beats", PINK: "pink", CLIPPED: "clipped", TELEPHONE: "telephone", SURROUND: "loud-surround"}
    video = make(names.get(graph, "faint"), graph)
    found = convert(video, **asked(loudness=str(lufs), **size)).facts.loudness
    assert found
    reached, peak = heard(tmp_path / "audio.mp3")
    assert reached == pytest.approx(lufs, abs=0.5)
    assert peak <= loudness.PEAK + 0.05
    assert (found.reached_lufs, found.reached_dbtp) == pytest.approx((reached, peak), abs=0.11)


@pytest.mark.parametrize("size", [{}, {"vbr": "9"}, {"format": "m4a", "bitrate": "64"}, {"format": "opus"}], ids=str)
@pytest.mark.parametrize("graph", [BEATS, PINK])
def test_what_would_peak_is_held_below_the_limit(
    graph: str, size: dict[str, str], make: Make, tmp_path: Path, convert: Convert
) -> None:
    """Where sound has to become louder than its peaks allow; the limit comes before the loudness."""
    seen: list[float] = []
    convert(make("beats" if graph == BEATS else "pink", graph), progress=seen.append, **asked(loudness="-8", **size))
    reached, peak = heard(tmp_path / "audio.mp3")
    assert peak <= loudness.PEAK + 0.05
    assert -16 < reached < -7.5
    assert seen == sorted(seen)  # though some of it was done more than once


def test_the_limiter_moves_nothing_in_time(make: Make, tmp_path: Path, convert: Convert) -> None:
    """A limiter looks ahead, by which its sound comes late and ends too soon unless that is made up for."""
    burst = "(0.02+0.8*between(t\\,1\\,1.02)+0.8*gt(t\\,2.98))"
    video = make("bursts", f"aevalsrc='sin(2*PI*441*t)*{burst}':d=3:s={HERTZ}")
    convert(video, **asked(format="wav", loudness="-12"))
    before, after = decode(video), decode(tmp_path / "audio.mp3")
    assert len(after) == len(before)
    assert np.corrcoef(before, after)[0, 1] > 0.95
    first = [int(np.flatnonzero(np.abs(each) > np.abs(each).max() / 2)[0]) for each in (before, after)]
    assert abs(first[0] - first[1]) <= HERTZ // 1000
    assert np.abs(after[-HERTZ // 100 :]).max() > 0.5


def test_only_a_constant_gain_is_applied_below_the_limit(make: Make, tmp_path: Path, convert: Convert) -> None:
    """What was half as loud stays half as loud."""
    video = make("steps", f"aevalsrc='0.05*sin(2*PI*441*t)*(1+gt(t\\,2)+2*gt(t\\,4))':d=6:s={HERTZ}")
    convert(video, **asked(format="wav", loudness="-20"))
    before, after = decode(video), decode(tmp_path / "audio.mp3")
    gain = float(after @ before / (before @ before))
    assert np.abs(after - gain * before).max() < 1e-4


@pytest.mark.parametrize("title", ["Integrated loudness: I: x LUFS", "No space left on device", "partial file"])
def test_no_tag_is_taken_for_a_measurement_or_for_trouble(title: str, shelf: Path, convert: Convert) -> None:
    """ffmpeg shows the video's tags among its own messages while it measures."""
    name = title.split(":")[0].replace(" ", "-")
    video = videos.make(
        shelf / f"{name}.m4a", "-f", "lavfi", "-i", "sine=440:d=3", "-c:a", "aac",
        "-metadata", f"title={title}", "-metadata", f"comment=a\n{title}\nTrue peak: Peak: 99 dBFS",
    )  # fmt: skip
    found = convert(video, loudness=-20.0).facts.loudness
    assert found
    assert found.measured_lufs == pytest.approx(-21.8, abs=0.3)
    assert found.reached_lufs == pytest.approx(-20, abs=0.2)


def test_a_first_track_without_sound_is_passed_over(shelf: Path, convert: Convert) -> None:
    """As it is where no loudness is asked for."""
    one = videos.make(shelf / "tone.m4a", "-f", "lavfi", "-i", "sine=440:d=3", "-c:a", "aac")
    drop = ("-map", "0:a", "-map", "0:a", "-c", "copy", "-bsf:a:0", "noise=drop=1")
    facts = convert(videos.make(shelf / "hollow.mkv", "-i", str(one), *drop), loudness="podcast").facts
    assert facts.track == 1
    assert facts.loudness
    assert facts.loudness.reached_lufs == pytest.approx(-19, abs=0.3)


@pytest.mark.parametrize("value", ["1e30", "-1e30", "(0/0)", "(1/0)"])
def test_samples_that_are_no_sound_have_no_loudness(value: str, shelf: Path, convert: Convert) -> None:
    """A float may be infinite, or no number."""
    graph = f"aevalsrc='if(gt(t\\,1)\\,{value}\\,0.1)':d=2"
    name = re.sub(r"\W", "_", value)
    video = videos.make(shelf / f"float{name}.wav", "-f", "lavfi", "-i", graph, "-c:a", "pcm_f32le")
    result = convert(video, **asked(loudness="-20", format="wav"))
    assert result.facts.duration == pytest.approx(2, abs=0.1)
    assert len(result.peaks) == pytest.approx(200, abs=5)


def test_the_loudness_of_a_span_is_that_of_the_span(make: Make, tmp_path: Path, convert: Convert) -> None:
    """Not that of the much louder sound around it, also far from the front, where reading begins in the middle."""
    video = make("quiet-middle", f"aevalsrc='0.5*sin(2*PI*441*t)*(1-0.9*between(t\\,40\\,50))':d=60:s={HERTZ}")
    found = convert(video, **asked(loudness="-20", start="40.5", end="49.5")).facts.loudness
    assert found
    assert found.measured_lufs == pytest.approx(20 * np.log10(0.05) - 3.7, abs=0.7)
    assert heard(tmp_path / "audio.mp3")[0] == pytest.approx(-20, abs=0.3)


def test_parts_have_one_gain_and_their_loudness_is_told(shelf: Path, tmp_path: Path, convert: Convert) -> None:
    """A quiet chapter stays as much quieter as it was; the waveform shows the parts as they are."""
    chapters = shelf / "quiet.txt"
    chapters.write_text(
        ";FFMETADATA1\n" + "".join(f"[CHAPTER]\nTIMEBASE=1/1\nSTART={at}\nEND={at + 10}\n" for at in (0, 10)),
        encoding="utf-8",
    )
    tone = f"aevalsrc='sin(2*PI*441*t)*if(gt(t\\,10)\\,0.02\\,0.04)':d=20:s={HERTZ}"
    video = videos.make(
        shelf / "quiet-book.mkv", "-f", "lavfi", "-i", tone, "-i", str(chapters), "-map_chapters", "1", "-c:a", "flac"
    )
    result = convert(video, **asked(split="chapters", loudness="-20", format="flac"))
    found = result.facts.loudness
    assert found
    with zipfile.ZipFile(tmp_path / "audio.mp3") as archive:
        first, second = (heard(Path(archive.extract(name, tmp_path))) for name in archive.namelist())
    assert first[0] - second[0] == pytest.approx(6, abs=0.2)
    assert found.reached_lufs == pytest.approx(-20, abs=0.5)
    assert found.reached_dbtp == pytest.approx(first[1], abs=0.2)
    assert max(result.peaks) == pytest.approx(255 * 10 ** (first[1] / 20), abs=3)


def test_parts_are_taken_together_by_power_without_what_is_far_below() -> None:
    """As BS.1770 does with its blocks; silence counts for nothing."""
    parts = [(Measured(-20.0, -3.0), 10.0), (Measured(-20.0, -1.5), 10.0), (Measured(-50.0, -30.0), 100.0)]
    assert loudness.together([*parts, (loudness.NOTHING, 5.0)]) == Measured(-20.0, -1.5)
    assert loudness.together([(Measured(-20.0, None), 10.0), (Measured(-23.0103, None), 10.0)]).lufs == -21.2
    assert loudness.together([(loudness.NOTHING, 5.0)]) == loudness.NOTHING
