"""What is asked of a conversion is heard and seen in the file that comes back: decoded, probed, and read by others."""

import io
import json
import math
import re
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mutagen
import numpy as np
import pytest
from imageio_ffmpeg import get_ffmpeg_exe
from numpy.typing import NDArray
from tinytag import TinyTag

from functions.convert.jail import ffprobe
from functions.model.audio import Note
from functions.model.containers import Container
from functions.model.encoding import ENCODINGS
from functions.model.media import MediaError, Reason
from functions.model.options import Options
from tests import videos
from tests.convert.conftest import Convert, force

FORMATS = [*ENCODINGS]
CODECS = {"mp3": "mp3", "m4a": "aac", "opus": "opus", "flac": "flac", "wav": "pcm_s16le"}
HERTZ = 8000  # of what is decoded to be looked at
WORDS = "a=b;c#d\\\nline two"
Ask = Callable[..., Path]


@pytest.fixture
def ask(tmp_path: Path, convert: Convert) -> Ask:
    """Converts a video as somebody asks, in texts, and gives the file that comes back."""

    def run(video: Path, **asked: str) -> Path:
        options = Options().asked(asked)
        convert(video, **{name: getattr(options, name) for name in vars(options)})
        path = tmp_path / f"audio.{options.format}"
        (tmp_path / "audio.mp3").rename(path)
        return path

    return run


def probe(path: Path) -> dict[str, Any]:
    """What ffprobe says of the first audio stream, the container and its chapters."""
    command = [ffprobe(), "-v", "error", "-of", "json", "-show_format", "-show_streams", "-show_chapters", str(path)]
    report = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    audio = next(each for each in report["streams"] if each["codec_type"] == "audio")
    return {**report, "audio": audio}


def decode(path: Path, *words: str) -> NDArray[np.float32]:
    """The sound of a file as mono samples at HERTZ, between -1 and 1."""
    command = [get_ffmpeg_exe(), "-v", "error", "-i", str(path), *words, "-vn", "-ac", "1", "-ar", str(HERTZ)]
    run = subprocess.run([*command, "-f", "f32le", "-"], capture_output=True, check=True)
    return np.frombuffer(run.stdout, np.float32)


def clock(directory: Path, suffix: str = "mp4", *words: str) -> Path:
    """Sixty seconds whose sound tells the time: in second n a tone of 200 + 50 n Hz."""
    tone = "0.5*sin(2*PI*(200+50*floor(t))*t)"
    return videos.make(
        directory / f"clock.{suffix}",
        *("-f", "lavfi", "-i", "color=s=32x32:r=5:d=60", "-f", "lavfi", "-i", f"aevalsrc={tone}|{tone}:s=44100:d=60"),
        *(
            "-map",
            "0:v",
            "-map",
            "1:a",
            "-c:v",
            {"ts": "mpeg2video", "mpg": "mpeg2video", "flv": "flv1"}.get(suffix, "mpeg4"),
        ),
        *("-c:a", {"avi": "mp3", "mpg": "mp2"}.get(suffix, "aac"), *words),
    )


def attached(directory: Path) -> tuple[str, ...]:
    """The words that give a Matroska the cover of videos.covered()."""
    videos.covered(directory, "mkv")
    picture = ("-attach", str(directory / "cover.mjpeg"))
    return (*picture, "-metadata:s:t", "mimetype=image/jpeg", "-metadata:s:t", "filename=cover.jpg")


def second_at(samples: NDArray[np.float32], at: float) -> float:
    """Which second of the clock is heard there."""
    part = samples[int(at * HERTZ) : int((at + 0.5) * HERTZ)]
    spectrum = np.abs(np.fft.rfft(part * np.hanning(len(part)), 8 * HERTZ))
    return round(float(np.argmax(spectrum)) / 8 / 50 - 4, 1)


@pytest.mark.parametrize("format_", FORMATS)
def test_every_format_has_its_codec_and_plays_its_length(format_: str, shelf: Path, ask: Ask) -> None:
    path = ask(videos.matroska(shelf), format=format_, copy="never")
    assert probe(path)["audio"]["codec_name"] == CODECS[format_]
    assert len(decode(path)) / HERTZ == pytest.approx(videos.SECONDS, abs=0.06)
    assert TinyTag.get(path).duration == pytest.approx(videos.SECONDS, abs=0.06)


@pytest.mark.parametrize("format_", FORMATS)
def test_tags_chapters_and_cover_are_read_by_others(format_: str, shelf: Path, ask: Ask) -> None:
    """Those of the video, and what its owner has set; mutagen and tinytag have nothing in common with ffmpeg."""
    chapters = shelf / "two.txt"
    chapters.write_text(
        ";FFMETADATA1\ntitle=Old\nartist=Jemand\nlyrics=La\\\nla\n"
        "[CHAPTER]\nTIMEBASE=1/1\nSTART=0\nEND=2\ntitle=Eins\n[CHAPTER]\nTIMEBASE=1/1\nSTART=2\nEND=5\ntitle=二\n",
        encoding="utf-8",
    )
    video = shelf / "tags.mkv"
    if not video.exists():
        words = ("-i", str(videos.plain(shelf)), "-i", str(chapters), "-map", "0", "-map_metadata", "1", "-c", "copy")
        videos.make(video, *words, *attached(shelf))
    asked = {"title": "Größe 映画 🎬", "year": "2026", "genre": "Jazz", "comment": WORDS}
    path = ask(video, format=format_, copy="never", **asked)
    read = TinyTag.get(path, image=True)
    assert (read.title, read.artist, read.genre) == ("Größe 映画 🎬", "Jemand", "Jazz")
    assert str(read.year).startswith("2026")
    assert read.comment == WORDS
    assert read.images.front_cover
    assert read.images.front_cover.data == (shelf / "cover.mjpeg").read_bytes()
    assert "La\nla" in mutagen.File(path).tags.pprint()
    tags = mutagen.File(path).tags
    if format_ == "wav":
        assert [str(tags[f"CHAP:ch{at}"].sub_frames["TIT2"]) for at in (0, 1)] == ["Eins", "二"]
    elif format_ == "flac":
        assert (tags["CHAPTER000NAME"], tags["CHAPTER001"], tags["CHAPTER001NAME"]) == (
            ["Eins"],
            ["00:00:02.000"],
            ["二"],
        )
    else:
        found = [(each["start_time"][:3], each["tags"]["title"]) for each in probe(path)["chapters"]]
        assert found == [("0.0", "Eins"), ("2.0", "二")]


def test_id3_has_frames_of_their_own_for_comment_lyrics_and_cover(shelf: Path, ask: Ask) -> None:
    """COMM, USLT, APIC of type 3, and ID3v2.3; ffmpeg would write TXXX."""
    said = {"comment": "Hello", "lyrics": "La la", "date": "2024-05-06", "location": "+52.5+13.4/", "encoder": "secret"}
    said["com.apple.quicktime.model"] = "iPhone"
    words = [word for name, value in said.items() for word in ("-metadata", f"{name}={value}")]
    video = videos.make(shelf / "words.mkv", "-i", str(videos.plain(shelf)), *attached(shelf), "-c", "copy", *words)
    tags = mutagen.File(ask(video)).tags
    assert tags.version == (2, 3, 0)
    assert sorted(name[:4] for name in tags) == ["APIC", "COMM", "TDRC", "USLT"]
    assert tags.getall("COMM")[0].text == ["Hello"]
    assert tags.getall("USLT")[0].text == "La la"
    assert tags.getall("APIC")[0].type == 3


def test_tags_chapters_and_cover_can_be_left_out(shelf: Path, ask: Ask) -> None:
    source = videos.make(
        shelf / "rich.mkv", "-i", str(videos.chaptered(shelf)), *attached(shelf), "-c", "copy", "-metadata", "title=T",
    )  # fmt: skip
    assert mutagen.File(ask(source, tags="strip", chapters="strip", cover="strip")).tags is None
    kept = mutagen.File(ask(source, title="")).tags
    assert sorted(name[:4] for name in kept) == ["APIC", "CHAP", "CHAP", "CTOC"]


@pytest.mark.parametrize(
    ("asked", "kbits", "channels"),
    [
        ({"quality": "voice"}, 64, 1),
        ({"quality": "small"}, 96, 2),
        ({"quality": "max"}, 320, 2),
        ({"bitrate": "128"}, 128, 2),
        ({"format": "m4a", "quality": "small"}, 96, 2),
        ({"format": "m4a", "bitrate": "256"}, 256, 2),
        ({"format": "opus", "bitrate": "64"}, 64, 2),
        ({"format": "opus", "quality": "voice"}, 64, 1),
    ],
    ids=str,
)
def test_the_bitrate_is_what_was_asked_for(
    asked: dict[str, str], kbits: int, channels: int, shelf: Path, ask: Ask
) -> None:
    """By the bytes of the file; the noise in it leaves no encoder room to save any."""
    sound = ("-f", "lavfi", "-i", "anoisesrc=d=20:a=0.5:seed=1", "-f", "lavfi", "-i", "anoisesrc=d=20:a=0.5:seed=2")
    video = videos.make(shelf / "noise.mkv", *sound, "-filter_complex", "amerge", "-c:a", "flac")
    path = ask(video, **asked, copy="never")
    found = probe(path)
    assert found["audio"]["channels"] == channels
    if asked.get("format") is None:
        assert int(found["audio"]["bit_rate"]) == kbits * 1000
    else:
        assert path.stat().st_size * 8 / 20_000 == pytest.approx(kbits, rel=0.15)


@pytest.mark.parametrize(("vbr", "other"), [("0", "4"), ("4", "9")])
def test_a_smaller_vbr_number_is_a_larger_file(vbr: str, other: str, shelf: Path, ask: Ask) -> None:
    assert ask(videos.plain(shelf), vbr=vbr).stat().st_size > 1.2 * ask(videos.plain(shelf), vbr=other).stat().st_size


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize(("asked", "count"), [("mono", 1), ("stereo", 2), ("source", 2)])
def test_channels_are_what_was_asked_for(asked: str, count: int, format_: str, shelf: Path, ask: Ask) -> None:
    assert probe(ask(videos.plain(shelf), channels=asked, format=format_))["audio"]["channels"] == count


@pytest.mark.parametrize("format_", ["m4a", "opus", "flac", "wav"])
def test_formats_that_have_more_than_two_channels_keep_them(format_: str, shelf: Path, ask: Ask) -> None:
    assert probe(ask(videos.surround(shelf), format=format_, copy="never"))["audio"]["channels"] == 6


@pytest.mark.parametrize(
    ("format_", "rate"),
    [("mp3", 8000), ("mp3", 22050), ("mp3", 48000), ("m4a", 16000), ("flac", 32000), ("wav", 11025), ("opus", 48000)],
)
def test_the_sample_rate_is_what_was_asked_for(format_: str, rate: int, shelf: Path, ask: Ask) -> None:
    path = ask(videos.plain(shelf), format=format_, sample_rate=str(rate))
    assert int(probe(path)["audio"]["sample_rate"]) == rate
    assert len(decode(path)) / HERTZ == pytest.approx(videos.SECONDS, abs=0.06)


@pytest.mark.parametrize(
    ("track", "hertz"), [("1", 440), ("2", 880), ("en", 440), ("eng", 440), ("de", 880), ("ger", 880)]
)
def test_the_track_is_the_one_that_was_asked_for(track: str, hertz: int, shelf: Path, ask: Ask) -> None:
    """By its index, or by any way to write its language; the German one hums an octave higher."""
    video = videos.make(
        shelf / "hums.mkv", "-f", "lavfi", "-i", "sine=440:d=3", "-f", "lavfi", "-i", "sine=880:d=3",
        "-f", "lavfi", "-i", "color=s=32x32:d=3", "-map", "2", "-map", "0", "-map", "1", "-c:a", "aac",
        "-metadata:s:a:0", "language=eng", "-metadata:s:a:1", "language=deu",
    )  # fmt: skip
    samples = decode(ask(video, track=track))
    assert np.argmax(np.abs(np.fft.rfft(samples))) * HERTZ / len(samples) == pytest.approx(hertz, abs=3)


@pytest.mark.parametrize("track", ["7", "fr", "0", "pt-BR"])
def test_a_track_that_is_not_there_is_refused_with_those_that_are(track: str, shelf: Path, ask: Ask) -> None:
    with pytest.raises(MediaError) as refusal:
        ask(videos.two_tracks(shelf), track=track)
    assert refusal.value.reason is Reason.NO_SUCH_TRACK
    assert refusal.value.say == f"The video has no audio track {track}. It has: 1 (eng), 2 (deu)."


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts", "mpg", "avi", "flv", "mov"])
@pytest.mark.parametrize(
    ("start", "end"), [("2", "5"), ("0:41", "0:43.5"), ("10.25", None), (None, "3.3"), ("57", "99")]
)
def test_what_is_kept_of_the_video_is_exact(
    suffix: str, start: str | None, end: str | None, shelf: Path, ask: Ask
) -> None:
    """To 50 ms, in every container, near its front and far from it; the sound itself tells the time."""
    asked = {name: text for name, text in (("start", start), ("end", end)) if text}
    samples = decode(ask(clock(shelf, suffix), **asked))
    options = Options().asked(asked)
    begin, stop = options.start or 0.0, min(options.end or 60.0, 60.0)
    assert len(samples) / HERTZ == pytest.approx(stop - begin, abs=0.05)
    border = math.ceil(begin + 0.001) - begin  # where the next second begins
    if border + 0.6 < stop - begin:
        assert second_at(samples, border + 0.05) == math.ceil(begin + 0.001)
        assert second_at(samples, border - 0.55) == math.ceil(begin + 0.001) - 1 if border > 0.6 else True


def test_a_span_without_sound_has_no_audio(shelf: Path, ask: Ask) -> None:
    with pytest.raises(MediaError) as refusal:
        ask(videos.plain(shelf), start="20")
    assert refusal.value.reason is Reason.NO_AUDIO


def loudness(path: Path) -> tuple[float, float]:
    """Integrated loudness in LUFS and true peak in dBTP, as ffmpeg's loudnorm measures them."""
    command = [get_ffmpeg_exe(), "-nostdin", "-hide_banner", "-i", str(path), "-af", "loudnorm=print_format=json", "-f"]
    said = subprocess.run([*command, "null", "-"], capture_output=True, encoding="utf-8", check=True).stderr
    measured = json.loads(said[said.rindex("{") : said.rindex("}") + 1])
    return float(measured["input_i"]), float(measured["input_tp"])


@pytest.mark.parametrize("format_", ["mp3", "m4a", "opus", "flac"])
@pytest.mark.parametrize(
    ("asked", "lufs", "volume"), [("podcast", -16, "-30dB"), ("broadcast", -23, "0dB"), ("-12", -12, "-6dB")]
)
def test_the_loudness_is_reached_and_nothing_peaks(
    asked: str, lufs: float, volume: str, format_: str, shelf: Path, ask: Ask
) -> None:
    """Quiet sound becomes louder and loud sound quieter; true peaks stay below -1 dBTP."""
    video = videos.make(
        shelf / f"speech{volume}.mp4", "-f", "lavfi", "-i",
        "aevalsrc='0.6*sin(2*PI*300*t)*(0.3+0.7*gt(sin(2*PI*0.7*t)\\,0))|0.5*sin(2*PI*500*t)*(0.4+0.6*gt(sin(2*PI*t)\\,0))':d=12",
        "-af", f"volume={volume}", "-c:a", "aac",
    )  # fmt: skip
    reached, peak = loudness(ask(video, loudness=asked, format=format_))
    assert reached == pytest.approx(lufs, abs=0.7)
    assert peak <= -0.95


def test_measured_and_reached_loudness_are_among_the_facts(shelf: Path, convert: Convert) -> None:
    """A mono podcast is three units quieter."""
    video = videos.make(shelf / "hum.m4a", "-f", "lavfi", "-i", "sine=440:d=8", "-af", "volume=-10dB", "-c:a", "aac")
    found = convert(video, loudness="podcast").facts.loudness
    assert found
    assert found.measured_lufs
    assert found.measured_lufs < -25
    assert found.reached_lufs == pytest.approx(-19, abs=0.5)
    assert found.reached_dbtp is not None
    assert found.reached_dbtp < -1


@pytest.mark.parametrize("sound", ["anullsrc=d=5", "sine=440:d=0.2"])
def test_silence_and_very_short_sound_have_no_loudness(sound: str, shelf: Path, convert: Convert) -> None:
    """They are converted as they are."""
    video = videos.make(shelf / f"{sound[:4]}.m4a", "-f", "lavfi", "-i", sound, "-c:a", "aac")
    facts = convert(video, loudness=-14.0).facts
    assert facts.duration > 0.1
    assert facts.loudness
    assert facts.loudness.measured_lufs is None


def test_a_video_is_split_by_its_chapters(shelf: Path, tmp_path: Path, convert: Convert) -> None:
    """A zip of one file for each, numbered and named, each with its own tags, and each a range of the zip's bytes."""
    chapters = shelf / "three.txt"
    chapters.write_text(
        ";FFMETADATA1\ntitle=Book\nartist=A\n"
        + "".join(
            f"[CHAPTER]\nTIMEBASE=1/1\nSTART={start}\nEND={end}\ntitle={title}\n"
            for start, end, title in ((0, 20, "Intro"), (20, 41, "A/B: 2?"), (41, 60, ""))
        ),
        encoding="utf-8",
    )
    video = videos.make(
        shelf / "book.mkv", "-i", str(clock(shelf)), "-i", str(chapters), "-map", "0", "-map_metadata", "1",
        "-map_chapters", "1", "-c", "copy",
    )  # fmt: skip
    result = convert(video, split=Options().asked({"split": "chapters"}).split)
    whole = (tmp_path / "audio.mp3").read_bytes()
    parts = result.facts.parts
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["01 Intro.mp3", "02 A B 2.mp3", "03 Chapter 3.mp3"]
        for part, name in zip(parts, archive.namelist(), strict=True):
            assert whole[part.offset : part.offset + part.size] == archive.read(name)
            (tmp_path / name).write_bytes(archive.read(name))
    assert [part.duration for part in parts] == pytest.approx([20, 21, 19], abs=0.05)
    read = [TinyTag.get(tmp_path / part.filename) for part in parts]
    assert [(each.title, each.album, each.artist, each.track, each.track_total) for each in read] == [
        ("Intro", "Book", "A", 1, 3),
        ("A/B: 2?", "Book", "A", 2, 3),
        ("Chapter 3", "Book", "A", 3, 3),
    ]
    assert [second_at(decode(tmp_path / part.filename), 0.05) for part in parts] == [0, 20, 41]
    assert len(result.peaks) == pytest.approx(1000, abs=10)


def test_a_video_without_chapters_is_not_split(shelf: Path, convert: Convert) -> None:
    """And its owner is told."""
    facts = convert(videos.plain(shelf), split=Options().asked({"split": "chapters"}).split).facts
    assert (facts.parts, facts.notes) == ((), (Note.NO_CHAPTERS,))


def packets(path: Path, *words: str) -> list[str]:
    """The digests of the packets of a file's first audio track."""
    command = [get_ffmpeg_exe(), "-v", "error", "-i", str(path), "-map", "0:a:0", "-c", "copy", *words]
    said = subprocess.run([*command, "-f", "framehash", "-"], capture_output=True, encoding="utf-8", check=True).stdout
    return [line.split(",")[5].strip() for line in said.splitlines() if not line.startswith("#")]


@pytest.mark.parametrize(
    ("format_", "codec", "suffix"),
    [
        ("mp3", "libmp3lame", "mp4"), ("mp3", "libmp3lame", "mkv"), ("mp3", "libmp3lame", "avi"),
        ("mp3", "libmp3lame", "flv"),
        ("mp3", "libmp3lame", "mp3"), ("m4a", "aac", "mp4"), ("m4a", "aac", "ts"), ("m4a", "aac", "mkv"),
        ("opus", "libopus", "webm"), ("opus", "libopus", "mkv"), ("flac", "flac", "mkv"), ("flac", "flac", "flac"),
    ],
)  # fmt: skip
def test_sound_that_has_the_format_already_is_copied(
    format_: str, codec: str, suffix: str, shelf: Path, tmp_path: Path, convert: Convert
) -> None:
    """Packet by packet; the length is right, and the waveform is there."""
    sound = ("-f", "lavfi", "-i", "anoisesrc=d=5:a=0.3:c=pink:seed=1", "-ar", "48000", "-c:a", codec)
    video = videos.make(shelf / f"copy-{codec}.{suffix}", *sound)
    options = Options().asked({"format": format_})
    result = convert(video, **{name: getattr(options, name) for name in vars(options)})
    assert result.facts.copied
    bare = ("-bsf:a", "aac_adtstoasc") if suffix == "ts" else ()  # MP4 has no headers within its packets
    assert packets(tmp_path / "audio.mp3") == packets(video, *bare)
    assert result.facts.duration == pytest.approx(5, abs=0.06)
    assert len(decode(tmp_path / "audio.mp3")) / HERTZ == pytest.approx(5, abs=0.06)
    assert len(result.peaks) == pytest.approx(500, abs=10)


@pytest.mark.parametrize(
    "asked", [{"copy": "never"}, {"quality": "high"}, {"start": "1"}, {"loudness": "-20"}], ids=str
)
def test_sound_is_not_copied_where_something_else_is_asked(
    asked: dict[str, str], shelf: Path, convert: Convert
) -> None:
    options = Options().asked(asked)
    facts = convert(videos.mp3(shelf), **{name: getattr(options, name) for name in vars(options)}).facts
    assert not facts.copied


def test_a_copy_of_damaged_frames_is_not_taken(shelf: Path, convert: Convert) -> None:
    """It is decoded instead, which makes the best of it."""
    whole = bytearray(videos.mp3(shelf).read_bytes())
    for at in range(len(whole) // 2, len(whole) // 2 + 2000, 7):
        whole[at] ^= 0x55
    video = shelf / "scratched.mp3"
    video.write_bytes(whole)
    facts = convert(video).facts
    assert not facts.copied
    assert facts.duration == pytest.approx(videos.SECONDS, abs=0.2)


def picture(path: Path) -> tuple[int, int]:
    """The width and height of a file's cover."""
    found = next(each for each in probe(path)["streams"] if each["codec_type"] == "video")
    assert found["codec_name"] == "mjpeg"
    return found["width"], found["height"]


@pytest.mark.parametrize(
    ("source", "size"),
    [
        ("testsrc=s=3000x1000", (1500, 500)),
        ("testsrc=s=100x60", (100, 60)),
        ("testsrc=s=720x576,setsar=64/45", (1024, 576)),
        ("testsrc=s=3000x4000", (1125, 1500)),
    ],
)
def test_a_frame_of_the_video_is_a_cover_that_is_not_stretched(
    source: str, size: tuple[int, int], shelf: Path, ask: Ask
) -> None:
    """At most 1,500 pixels, and never larger than it was; pixels that are no squares become such."""
    name = re.sub(r"\W", "-", source)
    video = videos.make(
        shelf / f"{name}.mp4", "-f", "lavfi", "-i", f"{source},trim=end=1", "-f", "lavfi", "-i", "sine=d=1", "-t", "1",
        "-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac",
    )  # fmt: skip
    assert picture(ask(video, cover="0.5")) == size
    assert picture(ask(video, cover="99")) == size


def test_an_uploaded_cover_is_the_cover(shelf: Path, tmp_path: Path) -> None:
    """A PNG becomes a JPEG; one that cannot be read is left out, and that is noted."""
    image = videos.make(shelf / "large.png", "-f", "lavfi", "-i", "testsrc=s=2000x2000", "-frames:v", "1")
    options = Options(cover="upload")
    force(videos.plain(shelf), Container.MP4, tmp_path, picture=image.read_bytes(), cover=options.cover)
    assert picture(tmp_path / "audio.mp3") == (1500, 1500)
    facts = force(videos.plain(shelf), Container.MP4, tmp_path, picture=b"\x89PNG\r\n", cover="upload").facts
    assert facts.notes == (Note.COVER_UNREADABLE,)


def test_the_waveform_shows_where_it_is_loud(shelf: Path, convert: Convert) -> None:
    """Two seconds of silence, one of a tone at half of full scale, two of silence."""
    video = videos.make(
        shelf / "burst.mkv",
        "-f",
        "lavfi",
        "-i",
        "aevalsrc='0.5*sin(2*PI*440*t)*between(t\\,2\\,3)':d=5",
        "-c:a",
        "flac",
    )
    peaks = convert(video).peaks
    assert len(peaks) == pytest.approx(500, abs=5)
    at = [number / len(peaks) * 5 for number, peak in enumerate(peaks) if peak > 10]
    assert (at[0], at[-1]) == pytest.approx((2, 3), abs=0.02)
    assert max(peaks) == pytest.approx(255 * 0.5, abs=3)


def test_very_short_sound_has_fewer_peaks(shelf: Path, convert: Convert) -> None:
    video = videos.make(shelf / "short.wav", "-f", "lavfi", "-i", "sine=440:d=0.01")
    assert 0 < len(convert(video).peaks) <= 1100
