"""Real videos are converted to real MP3s, which keep what describes the sound."""

import threading
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from functions.convert import description, ffmpeg, transcode
from functions.convert.description import read_report
from functions.model import mpeg_audio
from functions.model.containers import Container, Extent, sniff
from functions.model.options import Options
from functions.model.source import Chapter, Source, Track
from tests import videos
from tests.convert.conftest import LIMITS, Convert, jail


@pytest.mark.parametrize("kind", videos.WHOLE)
def test_every_container_becomes_an_mp3_of_its_length(kind: str, shelf: Path, tmp_path: Path, convert: Convert) -> None:
    """Within 0.1 s, both by the MP3's header and by decoding it to its end."""
    result = convert(videos.WHOLE[kind](shelf))
    assert result.facts.duration == pytest.approx(videos.SECONDS, abs=0.1)
    assert videos.play(tmp_path / "audio.mp3") == pytest.approx(videos.SECONDS, abs=0.1)
    assert result.size == (tmp_path / "audio.mp3").stat().st_size


@pytest.mark.parametrize(
    "kind", ["plain", "fragmented", "matroska", "live_matroska", "ogg", "avi", "mpeg_ts", "flv", "wmv"]
)
def test_bytes_behind_the_end_are_no_damage(kind: str, shelf: Path, convert: Convert) -> None:
    """Some downloads and cameras append bytes that belong to no video."""
    assert convert(videos.followed(videos.WHOLE[kind](shelf))).facts.duration == pytest.approx(videos.SECONDS, abs=0.1)


def test_a_video_nobody_here_made_is_converted(tmp_path: Path, convert: Convert) -> None:
    """Big Buck Bunny with 5.1 sound at 48 kHz becomes stereo at 48 kHz, without the tags of its container."""
    assert convert(videos.bunny()).facts.duration == pytest.approx(5.31, abs=0.1)
    report = videos.look(tmp_path / "audio.mp3")
    assert "48000 Hz, stereo" in report
    assert "brand" not in report


def test_sound_that_ends_before_the_picture_is_whole(shelf: Path, convert: Convert) -> None:
    """Two seconds of sound under five of picture are not a video that was cut off."""
    assert convert(videos.short_sound(shelf)).facts.duration == pytest.approx(2, abs=0.1)


def test_sound_that_begins_after_the_picture_gets_no_silence(shelf: Path, convert: Convert) -> None:
    """Three seconds of sound that begin at second two give an MP3 of three seconds."""
    assert convert(videos.late_sound(shelf)).facts.duration == pytest.approx(3, abs=0.1)


def test_title_artist_and_date_are_kept_in_id3v2_3(shelf: Path, tmp_path: Path, convert: Convert) -> None:
    """Tags that describe the container, or where it was recorded, are dropped."""
    convert(videos.tagged(shelf))
    report = videos.look(tmp_path / "audio.mp3")
    for kept in ("title           : Mein Video", "artist          : Jemand", "date            : 2024"):
        assert kept in report
    for dropped in ("brand", "minor_version", "location", "+52.5"):
        assert dropped not in report
    assert (tmp_path / "audio.mp3").read_bytes()[:4] == b"ID3\x03"


def test_tags_that_ogg_keeps_in_its_streams_are_kept(shelf: Path, tmp_path: Path, convert: Convert) -> None:
    """The container has none of its own, so those of the converted stream are taken."""
    convert(videos.tagged_ogg(shelf))
    assert "title           : Mein Video" in videos.look(tmp_path / "audio.mp3")


def test_chapters_are_kept(shelf: Path, tmp_path: Path, convert: Convert) -> None:
    """Both of them, with their titles and borders."""
    convert(videos.chaptered(shelf))
    report = videos.look(tmp_path / "audio.mp3")
    assert "start 0.000000, end 2.000000" in report
    assert "start 2.000000, end 5.000000" in report
    assert "Anfang" in report
    assert "Ende" in report


@pytest.mark.parametrize(("suffix", "picture"), [("mp4", "mjpeg"), ("mp4", "png"), ("mkv", "mjpeg"), ("mkv", "png")])
def test_the_cover_is_kept(suffix: str, picture: str, shelf: Path, tmp_path: Path, convert: Convert) -> None:
    """As a JPEG: one that is such already stays as it is, byte for byte. The video's own picture is no cover."""
    convert(videos.covered(shelf, suffix, picture))
    report = videos.look(tmp_path / "audio.mp3")
    assert "Video: mjpeg" in report
    assert "Cover (front)" in report
    assert "h264" not in report
    assert ((shelf / f"cover.{picture}").read_bytes() in (tmp_path / "audio.mp3").read_bytes()) == (picture == "mjpeg")


@pytest.mark.parametrize(("hertz", "kept"), [(22050, 22050), (44100, 44100), (48000, 48000), (96000, 48000)])
def test_the_sample_rate_is_kept_as_far_as_mp3_goes(
    hertz: int, kept: int, shelf: Path, tmp_path: Path, convert: Convert
) -> None:
    """MP3 has no rate above 48 kHz, so only sound of a higher rate is resampled."""
    convert(videos.sampled(shelf, hertz))
    assert f"{kept} Hz, stereo" in videos.look(tmp_path / "audio.mp3")


@pytest.mark.parametrize("hertz", [8000, 11025, 16000, 22050, 32000, 44100, 48000])
def test_every_frame_leads_to_the_next_and_all_are_counted(
    hertz: int, shelf: Path, tmp_path: Path, convert: Convert
) -> None:
    """Of every version of MPEG audio: the lengths in the headers add up to the file, as its first frame says."""
    convert(videos.sampled(shelf, hertz))
    whole = (tmp_path / "audio.mp3").read_bytes()
    count = mpeg_audio.find_xing_header(BytesIO(whole))
    assert count
    position, frames = count.start, 0
    while frame := mpeg_audio.read_frame(whole[position:]):
        assert (frame.hertz, frame.samples) == (hertz, 1152 if hertz >= 32000 else 576)
        position, frames = position + frame.length, frames + 1
    assert position == len(whole) == count.start + count.size
    assert frames == count.frames + 1  # the one that counts holds no sound


def test_mono_stays_mono(shelf: Path, tmp_path: Path, convert: Convert) -> None:
    """A second channel with the same sound would only cost bytes."""
    convert(videos.mono(shelf))
    assert "44100 Hz, mono" in videos.look(tmp_path / "audio.mp3")


def test_surround_becomes_stereo(shelf: Path, tmp_path: Path, convert: Convert) -> None:
    """MP3 has no more than two channels."""
    convert(videos.surround(shelf))
    assert "Hz, stereo" in videos.look(tmp_path / "audio.mp3")


def test_of_two_tracks_the_default_one_is_converted(shelf: Path, tmp_path: Path, convert: Convert) -> None:
    """In this video that is the second one: mono, at 48 kHz."""
    convert(videos.two_tracks(shelf))
    assert "48000 Hz, mono" in videos.look(tmp_path / "audio.mp3")


def test_quality_is_an_option(shelf: Path, convert: Convert) -> None:
    """LAME's -V: 0 is best and largest, 9 smallest."""
    best, smallest = (convert(videos.plain(shelf), vbr=vbr).size for vbr in (0, 9))
    assert best > 2 * smallest


def test_a_name_that_looks_like_an_option_or_a_protocol_is_only_a_name(shelf: Path, tmp_path: Path) -> None:
    """The names are chosen by us, but the argument list does not rely on that."""
    for name in ("-i.mp4", "concat:a|b.mp4", "http:x.mp4", "50%d.mp4"):
        (tmp_path / name).write_bytes(videos.plain(shelf).read_bytes())
        seen = transcode.describe(jail(tmp_path), name, Container.MP4)
        result = transcode.transcode(jail(tmp_path), name, f"{name}.out", seen, Options())
        assert result.size == (tmp_path / f"{name}.out").stat().st_size


def look(video: Path, container: Container) -> description.Description:
    return transcode.describe(jail(video.parent), video.name, container)


def test_what_two_tracks_hold_is_described(shelf: Path) -> None:
    """Index, language, codec, channels, sample rate and default of every audio track."""
    seen = look(videos.two_tracks(shelf), Container.MP4)
    assert seen.source == Source(
        videos.SECONDS,
        (
            Track(1, "eng", None, "aac", 2, "stereo", 44100, default=False),
            Track(2, "deu", None, "aac", 1, "mono", 48000, default=True),
        ),
        (),
    )


def test_a_report_without_the_usual_is_read() -> None:
    """What is missing or unknown is None, and a cover is no moving picture."""
    seen = read_report(
        {
            "streams": [
                {"index": 0, "codec_type": "video", "codec_name": "vvc", "disposition": {"attached_pic": 0}},
                {"index": 2, "codec_type": "audio", "codec_tag_string": "mha1", "sample_rate": "48000"},
                {"index": 4, "codec_type": "attachment"},
                {"index": 5, "codec_type": "video", "codec_name": "png", "disposition": {"attached_pic": 1}},
                {"index": 6},
            ],
            "chapters": [{"start_time": "-0.1", "end_time": "2.0", "tags": {"TITLE": "\u2028"}}],
            "format": {"start_time": "1.0"},
        },
        Extent(Container.MP4),
    )
    assert seen.source == Source(None, (Track(2, None, None, None, None, None, 48000, default=False),), seen.chapters)
    assert seen.chapters == (Chapter(-1.1, 1.0, "\u2028"),)
    assert (seen.video, seen.pictures[0].index, seen.audio[0].tag) == (0, 5, "mha1")


def test_a_long_report_is_read_whole(shelf: Path) -> None:
    """The length and the streams stand at its end, behind all tags and chapters that a video may have."""
    seen = look(videos.talkative(shelf), Container.MATROSKA)
    assert seen.duration == pytest.approx(videos.SECONDS, abs=0.1)
    assert len(seen.audio) == 1


def test_every_run_is_jailed(shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The looks and the conversion: local files and one demuxer only, limits, and the files that are meant."""
    commands: list[list[str]] = []
    run_all = ffmpeg.run_all

    def noted(each: list[list[str]], *rest: Any) -> list[ffmpeg.Run]:
        commands.extend(each)
        return run_all(each, *rest)

    monkeypatch.setattr(ffmpeg, "run_all", noted)
    (tmp_path / "video").write_bytes(videos.WHOLE["flv"](shelf).read_bytes())
    here = jail(tmp_path, replace(LIMITS, size=1_000_000))
    transcode.transcode(here, "video", "audio", transcode.describe(here, "video", Container.FLV), Options())
    for command in commands:
        assert "RLIMIT_AS=1073741824:1073741824" in command
        assert [word for word in command if word.startswith("read=") and "/" not in word] == ["read=video"]
        opened = command.index("-i")
        assert command[opened - 6 : opened] == [
            *("-protocol_whitelist", "file", "-format_whitelist", "flv", "-f", "flv"),
        ]
    *looks, conversion = commands
    assert len(looks) == 2  # at the whole, and for the beginning of its sound
    assert all("RLIMIT_FSIZE=0:0" in look for look in looks)
    assert not any(word.startswith("write=") for look in looks for word in look)
    assert "RLIMIT_FSIZE=1000000:1000000" in conversion
    assert [word for word in conversion if word.startswith("write=")] == ["write=audio", "write=peaks"]
    assert "-nostdin" in conversion


def test_progress_rises_to_one_and_comes_from_the_calling_thread(shelf: Path, convert: Convert) -> None:
    """The video plays an hour, so that the conversion takes long enough to be watched."""
    reported: list[tuple[float, threading.Thread]] = []
    convert(
        videos.long(shelf, hours=1),
        LIMITS,
        lambda fraction: reported.append((fraction, threading.current_thread())),
    )
    fractions = [fraction for fraction, _ in reported]
    assert len(fractions) > 2
    assert fractions == sorted(fractions)
    assert fractions[-1] == pytest.approx(1.0, abs=0.01)
    assert {thread for _, thread in reported} == {threading.current_thread()}


@pytest.mark.parametrize("make", [videos.hls_playlist, videos.concat_playlist])
def test_a_playlist_that_calls_itself_a_video_is_no_media(make: Callable[[Path], Path], shelf: Path) -> None:
    """What it is called does not matter."""
    assert sniff(make(shelf).read_bytes()) is None
