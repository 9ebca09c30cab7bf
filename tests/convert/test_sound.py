"""Which track is heard, how its channels are mixed, and what becomes of recordings that follow each other in a file."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
from imageio_ffmpeg import get_ffmpeg_exe
from mutagen.id3 import ID3
from numpy.typing import NDArray

from functions.convert import sound
from functions.convert.description import Audio
from functions.model.audio import Note
from functions.model.media import MediaError, Reason
from functions.model.options import Options
from tests import videos
from tests.convert.conftest import Convert

HERTZ = 48_000
PICTURE = ("-f", "lavfi", "-i", "testsrc=s=64x48:r=5:d=4")
TONE = ("-f", "lavfi", "-i", f"sine=440:d=4:r={HERTZ}")
LOUD = "0.95*sin(880*PI*t)"
NOTHING = "aselect=0"


def tones(directory: Path, name: str, channels: list[str], *words: str) -> Path:
    """Three seconds of these expressions, one for each channel."""
    source = f"aevalsrc='{'|'.join(channels)}':d=3:s={HERTZ}"
    return videos.make(directory / name, "-f", "lavfi", "-i", source, *words)


def opus(directory: Path, family: int, channels: list[str]) -> Path:
    """Ogg Opus whose channels have no known places (family 255) or are ambisonic (2), which no encoder here makes.

    Both have a stream for each channel, so that one byte makes the difference (RFC 8486, 3; RFC 7845, 5.1.1).
    """
    path = tones(directory, "family-255.opus", channels, "-c:a", "libopus", "-b:a", "256k", "-mapping_family", "255")
    data = bytearray(path.read_bytes())
    data[data.index(b"OpusHead") + 18] = family
    end = 27 + data[26] + sum(data[27 : 27 + data[26]])
    data[22:26] = bytes(4)
    data[22:26] = page_checksum(data[:end]).to_bytes(4, "little")
    changed = directory / f"family-{family}.opus"
    changed.write_bytes(data)
    return changed


def page_checksum(page: bytearray) -> int:
    """The CRC of a page of Ogg (RFC 3533, 6)."""
    value = 0
    for byte in page:
        value ^= byte << 24
        for _ in range(8):
            value = (value << 1 ^ (0x04C11DB7 if value >> 31 else 0)) & 0xFFFFFFFF
    return value


def hear(path: Path, channels: int = 2) -> NDArray[np.float32]:
    """The samples of each channel: an array of (samples, channels)."""
    command = [get_ffmpeg_exe(), "-v", "error", "-i", str(path), "-vn", "-ar", str(HERTZ), "-f", "f32le", "-"]
    run = subprocess.run(command, capture_output=True, check=True)
    return np.frombuffer(run.stdout, np.float32).reshape(-1, channels)


def level(samples: NDArray[np.float32]) -> list[float]:
    """The root mean square of each channel, in dB."""
    return [20 * float(np.log10(max(each, 1e-9))) for each in np.sqrt((samples[HERTZ:-HERTZ] ** 2).mean(axis=0))]


@pytest.mark.parametrize("suffix", ["mkv", "flv", "ts"])
def test_a_track_that_holds_nothing_is_no_audio(suffix: str, shelf: Path, convert: Convert) -> None:
    video = videos.make(shelf / f"nothing.{suffix}", *PICTURE, *TONE, "-c:v", "libx264", "-c:a", "aac", "-af", NOTHING)
    with pytest.raises(MediaError) as refusal:
        convert(video)
    assert refusal.value.reason is Reason.NO_AUDIO


def test_an_empty_first_track_is_passed_over(shelf: Path, tmp_path: Path, convert: Convert) -> None:
    """And the job says so."""
    video = videos.make(
        *(shelf / "empty-first.mkv", *PICTURE, *TONE, *TONE, "-filter_complex", f"[1:a]{NOTHING}[none]"),
        *("-map", "0", "-map", "[none]", "-map", "2", "-c:v", "libx264", "-c:a", "aac"),
    )
    facts = convert(video).facts
    assert (facts.track, facts.notes) == (2, (Note.OTHER_TRACK,))
    assert videos.play(tmp_path / "audio.mp3") == pytest.approx(4, abs=0.1)


def test_a_first_track_of_an_unknown_codec_is_passed_over(shelf: Path, tmp_path: Path, convert: Convert) -> None:
    """As in the videos of phones, which have spatial sound in a codec of their own in front."""
    whole = videos.make(
        *(shelf / "two-aac.mp4", *PICTURE, *TONE, *TONE, "-map", "0", "-map", "1", "-map", "2"),
        *("-c:v", "libx264", "-c:a", "aac"),
    )
    strange = shelf / "spatial.mp4"
    strange.write_bytes(whole.read_bytes().replace(b"mp4a", b"apac", 1).replace(b"esds", b"dapa", 1))
    facts = convert(strange).facts
    assert (facts.track, facts.notes) == (2, (Note.OTHER_TRACK,))
    assert videos.play(tmp_path / "audio.mp3") == pytest.approx(4, abs=0.1)


def test_recordings_of_one_kind_behind_each_other_are_all_heard(shelf: Path, tmp_path: Path, convert: Convert) -> None:
    """Ogg allows it (RFC 3533, 4)."""
    one, two = (tones(shelf, f"{name}.opus", [LOUD], "-c:a", "libopus") for name in ("one", "two"))
    chained = shelf / "chained.opus"
    chained.write_bytes(one.read_bytes() + two.read_bytes())
    assert convert(chained).facts.duration == pytest.approx(6, abs=0.1)
    assert videos.play(tmp_path / "audio.mp3") == pytest.approx(6, abs=0.1)


def test_recordings_of_several_kinds_behind_each_other_are_refused_in_words(shelf: Path, convert: Convert) -> None:
    """ffmpeg's demuxer stops at the second, and exits with 0."""
    one = tones(shelf, "one.opus", [LOUD], "-c:a", "libopus")
    two = tones(shelf, "stereo.opus", [LOUD, LOUD], "-c:a", "libopus")
    chained = shelf / "chained-unlike.opus"
    chained.write_bytes(one.read_bytes() + two.read_bytes())
    with pytest.raises(MediaError) as refusal:
        convert(chained)
    assert refusal.value.reason is Reason.UNSUPPORTED
    assert "several recordings of different kinds" in (refusal.value.say or "")


@pytest.mark.parametrize("channels", ["source", "mono", "stereo"])
@pytest.mark.parametrize("codec", ["aac", "ac3", "flac", "pcm_s16le"])
@pytest.mark.parametrize("count", [6, 8])
def test_loud_surround_is_mixed_without_clipping(
    count: int, codec: str, channels: str, shelf: Path, tmp_path: Path, convert: Convert
) -> None:
    """Nothing is louder than the loudest channel, with each of them near full scale and all in phase."""
    if (codec, count) == ("ac3", 8):
        count = 5  # AC-3 has no more than six
    layout = {5: "5.0", 6: "5.1", 8: "7.1"}[count]
    filters = ("-af", f"aformat=channel_layouts={layout}")
    video = tones(shelf, f"loud-{count}-{codec}.mkv", [LOUD] * count, *filters, "-c:a", codec, "-b:a", "640k")
    convert(video, **vars(Options().asked({"channels": channels})))
    heard = np.abs(hear(tmp_path / "audio.mp3", 1 if channels == "mono" else 2)).max()
    assert 0.5 < heard <= 1.02 * np.abs(hear(video, count)).max()


@pytest.mark.parametrize("family", [2, 255])
@pytest.mark.parametrize("format_", ["mp3", "m4a", "opus", "flac"])
def test_channels_without_places_become_stereo_at_their_level(
    format_: str, family: int, shelf: Path, tmp_path: Path, convert: Convert
) -> None:
    """Ambisonic sound from all around, and the same in four channels of which nobody says where they are."""
    everywhere = "0.5*sin(880*PI*t)"
    made = [everywhere] * 4 if family == 255 else [everywhere, "0", "0", "0"]
    (shelf / "family-255.opus").unlink(missing_ok=True)
    convert(opus(shelf, family, made), **vars(Options().asked({"format": format_})))
    assert level(hear(tmp_path / "audio.mp3")) == pytest.approx([20 * np.log10(0.5 / np.sqrt(2))] * 2, abs=3.5)


def test_ambisonic_sound_from_the_left_is_louder_on_the_left_and_never_clips() -> None:
    """Whatever the first two channels do, within what one source can (RFC 8486, 3.1)."""
    audio = Audio(0, None, None, "opus", 4, "ambisonic 1", HERTZ, default=True)
    assert sound.shape(audio, Options(), sound.Span()).filters[0] == (
        "pan=stereo|c0=0.707100*c0+0.292900*c1|c1=0.707100*c0-0.292900*c1"
    )


def test_chapters_are_on_the_clock_of_the_sound(shelf: Path, tmp_path: Path, convert: Convert) -> None:
    """The sound begins at 5 s and so does its chapter, which is then at 0 s."""
    chapters = shelf / "late.txt"
    chapters.write_text(";FFMETADATA1\n[CHAPTER]\nTIMEBASE=1/1\nSTART=5\nEND=7\ntitle=Late\n", encoding="utf-8")
    video = videos.make(
        *(shelf / "late-chapter.mkv", "-f", "lavfi", "-i", "testsrc=s=64x48:r=5:d=9", "-itsoffset", "5", *TONE),
        *("-i", str(chapters), "-map", "0", "-map", "1", "-map_chapters", "2", "-c:v", "libx264", "-c:a", "aac"),
    )
    convert(video)
    tag = ID3(tmp_path / "audio.mp3")
    assert [(each.start_time, each.end_time) for each in tag.getall("CHAP")] == [
        (pytest.approx(0, abs=30), pytest.approx(2000, abs=30))  # AAC has 21 ms in front of what was encoded
    ]
