"""Videos that cannot be converted are refused with a stable reason, and leave no MP3 behind."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from functions.convert.container import check_end, locate
from functions.convert.jail import Limits
from functions.model.audio import Note
from functions.model.containers import SNIFF_BYTES, Container, sniff
from functions.model.media import MediaError, Reason
from functions.runtime.settings import Settings
from tests import videos
from tests.convert.conftest import LIMITS, Convert, force

#: Formats whose own index, or ffmpeg's word, tells a cut; a program stream and raw AAC have none.
WITH_AN_END = ["plain", "streamable", "mov", "matroska", "webm", "avi", "flv", "wmv", "wav", "mp3", "flac"]
#: Formats in which nothing tells a cut from a recording that was stopped by force.
WITHOUT_AN_END = ["fragmented", "live_matroska", "ogg", "mpeg_ts", "m2ts"]
#: Formats in which half a video of noise is told from half a video of silence.
WITH_CHECKS = [
    *("plain", "streamable", "fragmented", "matroska", "live_matroska", "webm", "ogg", "mpeg_ts", "m2ts", "mpeg_ps"),
    *("flv", "wmv", "flac"),
]


def reason(video: Path, convert: Convert, tmp_path: Path, limits: Limits = LIMITS) -> Reason:
    """Why the video is refused. Fails where a part of its MP3 is left."""
    with pytest.raises(MediaError) as refusal:
        convert(video, limits)
    assert not (tmp_path / "audio.mp3").exists()
    return refusal.value.reason


@pytest.mark.parametrize("share", [0.3, 0.97])
@pytest.mark.parametrize("kind", WITH_AN_END)
def test_a_video_without_its_end_is_truncated(
    kind: str, share: float, shelf: Path, tmp_path: Path, convert: Convert
) -> None:
    """ffmpeg itself exits with 0 for most of them."""
    assert reason(videos.cut(videos.WHOLE[kind](shelf), share), convert, tmp_path) is Reason.TRUNCATED


@pytest.mark.parametrize("share", [0.51, 0.87])
@pytest.mark.parametrize("kind", WITHOUT_AN_END)
def test_a_recording_that_was_stopped_by_force_is_converted_as_far_as_it_goes(
    kind: str, share: float, shelf: Path, convert: Convert
) -> None:
    """What is there is worth having. Where a cut-off download looks just the same, that is converted too."""
    facts = convert(videos.cut(videos.WHOLE[kind](shelf), share)).facts
    assert 1 < facts.duration < videos.SECONDS - 0.3
    assert facts.notes == (Note.INCOMPLETE,)


@pytest.mark.parametrize("kind", WITH_CHECKS)
def test_a_heavily_damaged_video_is_damaged(kind: str, shelf: Path, tmp_path: Path, convert: Convert) -> None:
    """Much of the sound would be missing, and ffmpeg exits with 0 for most of them."""
    assert reason(videos.damaged(videos.WHOLE[kind](shelf)), convert, tmp_path) is Reason.DAMAGED


@pytest.mark.parametrize("kind", ["plain", "avi", "flv", "ogg", "m2ts", "wmv"])
def test_a_scratch_is_no_reason_to_refuse(kind: str, shelf: Path, convert: Convert) -> None:
    """Where a fiftieth of the bytes is noise one hears a click."""
    assert convert(videos.damaged(videos.WHOLE[kind](shelf), 0.02)).facts.duration > 4.5


@pytest.mark.parametrize("video", [videos.one_bit_flac, videos.strange_asf])
def test_what_looks_like_trouble_of_ours_is_the_video_s(
    video: Callable[[Path], Path], shelf: Path, tmp_path: Path, convert: Convert
) -> None:
    """ffmpeg cannot open its output, or exits as if it had been stopped: the job would be tried for ever."""
    assert reason(video(shelf), convert, tmp_path) is Reason.DAMAGED


edits = st.lists(
    st.tuples(
        st.floats(0, 1).map(lambda share: share**4) | st.floats(0, 1),  # where; headers are the brittle part
        st.integers(0, 40),  # how much goes
        st.binary(max_size=8)
        | st.sampled_from([b"\xff" * 8, b"\0" * 8, b"\x7f\xff\xff\xff", b"\x80\0\0\0"]),  # what comes
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=150, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kind=st.sampled_from(sorted(videos.WHOLE)), edits=edits)
def test_whatever_is_wrong_with_a_video_is_told(
    kind: str, edits: list[tuple[float, int, bytes]], shelf: Path, tmp_path: Path, convert: Convert
) -> None:
    """It becomes an MP3 or gets a reason, and never counts as trouble of ours, for which a job is tried again."""
    whole = videos.WHOLE[kind](shelf).read_bytes()
    for share, gone, come in edits:
        at = int(share * len(whole))
        whole = whole[:at] + come + whole[at + gone :]
    video = tmp_path / "video"
    video.write_bytes(whole)
    if sniff(whole[:SNIFF_BYTES]):
        with suppress(MediaError):
            convert(video)


def test_a_video_without_sound_has_no_audio(shelf: Path, tmp_path: Path, convert: Convert) -> None:
    """That is known before any sound is converted."""
    assert reason(videos.silent(shelf), convert, tmp_path) is Reason.NO_AUDIO


def test_ten_hours_of_silence_are_too_long(shelf: Path, tmp_path: Path, convert: Convert) -> None:
    """4 MB that would become 200 MB: the length is limited, not only the upload."""
    assert reason(videos.long(shelf), convert, tmp_path, replace(LIMITS, duration=9 * 3600)) is Reason.TOO_LONG


def test_a_header_that_lies_about_the_length_is_found_out(shelf: Path, tmp_path: Path, convert: Convert) -> None:
    """It says one second and plays thirty; ten are allowed."""
    assert reason(videos.lying(shelf), convert, tmp_path, replace(LIMITS, duration=10)) is Reason.TOO_LONG


def test_an_mp3_beyond_the_limit_is_too_large(shelf: Path, tmp_path: Path, convert: Convert) -> None:
    """The kernel stops ffmpeg at that byte."""
    assert reason(videos.plain(shelf), convert, tmp_path, replace(LIMITS, size=20_000)) is Reason.TOO_LARGE


def test_work_beyond_the_limit_times_out(shelf: Path, tmp_path: Path, convert: Convert) -> None:
    """ffmpeg is killed, and what it wrote is removed."""
    assert reason(videos.long(shelf), convert, tmp_path, replace(LIMITS, work=0.5)) is Reason.TIMED_OUT


def test_the_limits_are_those_of_the_settings_and_no_others() -> None:
    """They had defaults of their own once, which said something else."""
    settings = Settings(max_duration_seconds=1, max_audio_bytes=2, convert_seconds=3)
    limits = Limits.of(settings)
    assert (limits.duration, limits.size, limits.work) == (1, 2, 3)
    with pytest.raises(TypeError, match=r"duration.*size.*work"):
        Limits()  # type: ignore[call-arg]


def test_the_time_allowed_follows_the_length() -> None:
    """Half the length and a minute, but no more than the limit, which is also for a video of unknown length."""
    limits = replace(LIMITS, work=1800)
    allowed = [limits.seconds_for(length) for length in (10.0, 3600.0, 14400.0, None)]
    assert allowed == [65.0, 1800.0, 1800.0, 1800.0]


@pytest.mark.parametrize("make", [videos.hls_playlist, videos.concat_playlist])
@pytest.mark.parametrize("container", Container)
def test_a_playlist_never_opens_another_file(
    make: Callable[[Path], Path], container: Container, shelf: Path, tmp_path: Path
) -> None:
    """Every demuxer that we allow refuses it, even if sniffing had not."""
    with pytest.raises(MediaError):
        force(make(shelf), container, tmp_path)


@pytest.mark.parametrize("container", Container)
def test_noise_behind_a_true_signature_is_refused(container: Container, tmp_path: Path) -> None:
    """Whatever the container, it is a MediaError and no other error."""
    video = tmp_path / "noise"
    video.write_bytes(bytes((at * at * 7919 >> 5) & 0xFF for at in range(20_000)))
    with pytest.raises(MediaError):
        force(video, container, tmp_path)


@pytest.mark.parametrize("container", Container)
def test_an_empty_video_is_refused(container: Container, tmp_path: Path) -> None:
    """It is a MediaError too, whatever its container is taken for."""
    video = tmp_path / "empty"
    video.touch()
    with pytest.raises(MediaError):
        force(video, container, tmp_path)


@pytest.mark.parametrize("length", [1, 5, 9, 13, 30, 100])
@pytest.mark.parametrize("kind", videos.WHOLE)
def test_the_walk_through_a_container_survives_any_end(kind: str, length: int, shelf: Path) -> None:
    """It reads what strangers wrote: it finds the cut or leaves the video to ffmpeg, and raises nothing else."""
    whole = videos.WHOLE[kind](shelf).read_bytes()
    container = sniff(whole[:SNIFF_BYTES])
    assert container
    with suppress(MediaError):
        file = BytesIO(whole[:length])
        check_end(file, length, locate(file, length, container))
