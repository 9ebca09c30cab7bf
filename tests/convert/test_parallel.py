"""Sound that is encoded in pieces is what one encoder makes of it, or one encoder makes it."""

import hashlib
import re
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from imageio_ffmpeg import get_ffmpeg_exe

from functions.convert.ffmpeg import Run
from functions.convert.jail import Jail
from functions.convert.parallel import encoders, joints
from functions.convert.parallel.layer3 import Frames
from functions.convert.sound import Sound
from functions.convert.work import Result
from functions.model.media import MediaError, Reason
from functions.model.options import Channels, Copy, Format, Options
from functions.runtime import metrics
from tests import videos
from tests.convert.conftest import LIMITS, Convert

SECONDS = 12
# Two voices, softer and louder, with a hiss; they end within half a second.
SPEECH = "min(1\\,2*({1}-t))*(0.4*sin(2*PI*t*(220+60*sin((2+{0})*t)))*(0.3+abs(sin(1.3*t)))+0.02*(2*random({0})-1))"
CODECS = {
    "aac": ("mp4", "-c:a", "aac"),
    "ac3": ("mkv", "-c:a", "ac3"),
    "eac3": ("mkv", "-c:a", "eac3"),
    "flac": ("mkv", "-c:a", "flac"),
    "mp2": ("ts", "-c:a", "mp2"),
    "mp3": ("mkv", "-c:a", "libmp3lame"),
    "opus": ("webm", "-c:a", "libopus"),
    "pcm": ("mov", "-c:a", "pcm_s16le"),
    "vorbis": ("mkv", "-c:a", "libvorbis"),
}
Compare = Callable[..., "Both"]


@dataclass(frozen=True)
class Both:
    """What one encoder made, and what came of several."""

    plain: Path
    joined: Path
    results: tuple[Result, Result]
    outcome: str  # what the metric says of the pieces


@pytest.fixture(autouse=True)
def short_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two minutes are long for a test; what is short here has frames enough all the same.

    The first encoder reads slowly and writes each frame at once, or it would have converted all of it before anybody
    has looked at the others.
    """
    monkeypatch.setattr(encoders, "_SHORTEST", 2.0)
    run_all = Jail.run_all

    def slowed(jail: Jail, each: list[list[str]], *rest: Any, **named: Any) -> list[Run]:
        first, *others = each
        if others:
            at, end = first.index("-i"), len(first) - 1
            first = [*first[:at], "-readrate", "8", *first[at:end], "-flush_packets", "1", first[end]]
        return run_all(jail, [first, *others], *rest, **named)

    monkeypatch.setattr(Jail, "run_all", slowed)


@pytest.fixture
def compare(convert: Convert, tmp_path: Path) -> Compare:
    """Converts a video by one encoder, and by so many as pieces are asked for."""

    def run(video: Path, pieces: int, **options: object) -> Both:
        plain = convert(video, **options)
        (tmp_path / "audio.mp3").rename(tmp_path / "plain.mp3")
        before = counts()
        joined = convert(video, cores=pieces, **options)
        outcome = " ".join(sorted(name for name, count in counts().items() if count != before.get(name, 0)))
        return Both(tmp_path / "plain.mp3", tmp_path / "audio.mp3", (plain, joined), outcome)

    return run


def counts() -> dict[str, float]:
    found = re.findall(
        r'^videotomp3_parallel_encodings_total{outcome="(\w+)"} (.+)$', metrics.page(None).decode(), re.MULTILINE
    )
    return {name: float(count) for name, count in found}


def speech(directory: Path, name: str = "aac", hertz: int = 48_000, seconds: float = SECONDS) -> Path:
    suffix, *codec = CODECS[name]
    return heard(directory / f"speech-{name}-{hertz}-{seconds:g}.{suffix}", SPEECH, hertz, seconds, *codec)


def heard(path: Path, formula: str, hertz: int, seconds: float, *words: str) -> Path:
    """A video with that sound, each side its own noise."""
    source = "|".join(formula.format(side, seconds) for side in (0, 1))
    sounding = ("-f", "lavfi", "-i", f"aevalsrc='{source}':s={hertz}:d={seconds}", "-shortest")
    return videos.make(path, "-f", "lavfi", "-i", "color=s=64x64:r=5", *sounding, *words)


def frames(path: Path) -> list[object]:
    """All that a decoder is given, frame by frame."""
    with path.open("rb") as file:
        read = Frames(file)
        return [read.sound(at) for at in range(len(read))]


def decoded(path: Path, decoder: str) -> str:
    """A hash of the samples that this decoder makes of it, without the padding that the Xing header names."""
    command = [get_ffmpeg_exe(), "-v", "error", "-c:a", decoder, "-i", str(path), "-f", "s16le", "-"]
    return hashlib.sha256(subprocess.run(command, capture_output=True, check=True).stdout).hexdigest()


def crc(data: bytes) -> int:
    """CRC-16 bit by bit, as LAME's tag defines it, and not by the library that wrote it."""
    value = 0
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0xA001 if value & 1 else 0)
    return value


def check_equal(both: Both) -> None:
    assert both.outcome == "joined"
    check_alike(both)


def check_alike(both: Both) -> None:
    """The same frames, samples, delay and padding; right sums and seek points; what we say of it is the same."""
    plain, joined = both.results
    assert frames(both.joined) == frames(both.plain)
    for decoder in ("mp3", "mp3float"):
        assert decoded(both.joined, decoder) == decoded(both.plain, decoder)
    assert replace(joined.facts, bitrate=0) == replace(plain.facts, bitrate=0)
    assert joined.peaks == plain.peaks
    assert abs(both.joined.stat().st_size - both.plain.stat().st_size) <= 8 * joints.WINDOW * 8
    check_header(both, 1 if both.outcome == "joined" else 3)


def check_header(both: Both, off: int) -> None:
    """`off` is by how much a seek point may be; those of ffmpeg's own table are not exact."""
    with both.plain.open("rb") as plain_file, both.joined.open("rb") as file:
        plain, read = Frames(plain_file), Frames(file)
        data = both.joined.read_bytes()
    tag, size = read.front, len(data) - read.start

    def field(at: int, length: int) -> bytes:
        return read.xing[tag + at : tag + at + length]

    assert (field(8, 4), field(12, 4), field(148, 4)) == (
        len(read).to_bytes(4),
        size.to_bytes(4),
        size.to_bytes(4),
    )
    assert int.from_bytes(field(152, 2)) == crc(data[read.offsets[0] :])
    bare = (read.xing[: tag + 154] + bytes(2) + read.xing[tag + 156 :]).ljust(190, b"\0")[:190]
    assert int.from_bytes(field(154, 2)) == crc(bare)
    for point, seek in enumerate(field(16, 100)):
        offset = read.offsets[len(read) * point // 100] - read.start
        assert abs(seek - 256 * offset / size) <= off
    changed = {at - tag for at, (one, other) in enumerate(zip(plain.xing, read.xing, strict=True)) if one != other}
    assert changed <= {*range(12, 116), *range(148, 156)}  # so delay and padding are plain's


@pytest.mark.parametrize("codec", CODECS)
def test_every_codec(codec: str, shelf: Path, compare: Compare) -> None:
    """Each piece has decoded all that is in front of it, so what a decoder remembers is the same, noise as well."""
    check_equal(compare(speech(shelf, codec), 2, copy=Copy.NEVER))


@pytest.mark.parametrize("pieces", [3, 5, 8])
def test_every_number_of_pieces(pieces: int, shelf: Path, compare: Compare) -> None:
    """Up to eight."""
    check_equal(compare(speech(shelf, seconds=24.0), pieces))


@pytest.mark.parametrize(
    ("hertz", "channels"),
    [
        (8000, Channels.SOURCE),
        (11025, Channels.MONO),
        (16000, Channels.SOURCE),
        (22050, Channels.MONO),
        (24000, Channels.SOURCE),
        (32000, Channels.MONO),
        (44100, Channels.SOURCE),
    ],
)
def test_every_rate(hertz: int, channels: Channels, shelf: Path, compare: Compare) -> None:
    """Below 32 kHz a frame has half as many samples; of mono the side information is shorter."""
    check_equal(compare(speech(shelf), 3, sample_rate=hertz, channels=channels, vbr=6))


@pytest.mark.parametrize(
    "options",
    [
        {"start": 1.21, "end": 11.654},
        {"vbr": 0},
        {"vbr": 9},
        {"loudness": -16.0},
    ],
    ids=str,
)
def test_options(options: dict[str, object], shelf: Path, compare: Compare) -> None:
    """Filters are passed before a piece is cut out, so they too have heard everything."""
    check_equal(compare(speech(shelf), 3, **options))


@pytest.mark.parametrize(
    "formula",
    ["0*t", "0.5*sin(2*PI*440*t)*exp(-t/4)", "0.003*sin(2*PI*440*t)", "0.4*sin(2*PI*300*t)*gt(mod(t\\,9)\\,4)"],
    ids=["silence", "fade", "-50 dB", "pauses"],
)
def test_quiet_sound(formula: str, shelf: Path, compare: Compare, request: pytest.FixtureRequest) -> None:
    """Where nearly nothing is heard, an encoder needs longest to forget what was before."""
    video = heard(shelf / f"{request.node.callspec.id}.mp4", formula, 48_000, SECONDS)
    check_equal(compare(video, 3))


def test_loud_and_sudden_sound_is_encoded_by_the_first(shelf: Path, compare: Compare) -> None:
    """The reservoirs of two encoders hold different bits, and here they need all of them."""
    drums = (
        "clip(1.5*sin(2*PI*110*t)+1.2*sin(2*PI*1764*t)*abs(sin(9*t))+(2*random({0})-1)*exp(-12*mod(t\\,0.25))\\,-1\\,1)"
    )
    both = compare(heard(shelf / "drums.mov", drums, 44_100, SECONDS, "-c:a", "pcm_s16le"), 3, vbr=0)
    assert both.outcome == "unjoined"
    check_alike(both)


def test_what_an_earlier_attempt_has_left_is_not_taken_for_the_first_s(
    shelf: Path, tmp_path: Path, compare: Compare, convert: Convert, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A conversion writes the same file more than once where it corrects the loudness or fills gaps."""
    both = compare(speech(shelf), 2)
    monkeypatch.setattr(encoders, "BEAT", 0.001)  # the first look comes before any encoder has begun
    (tmp_path / "audio.mp3").write_bytes(both.plain.read_bytes())
    again = convert(speech(shelf), cores=2)
    assert again.peaks == both.results[0].peaks
    assert frames(tmp_path / "audio.mp3") == frames(both.plain)


def test_gaps_tags_and_chapters(shelf: Path, compare: Compare) -> None:
    """What stands beside the sound is the same, for it is not the pieces' business."""
    both = compare(videos.make(shelf / "tagged.mp4", "-i", str(speech(shelf)), "-c", "copy", "-metadata", "title=A"), 3)
    check_equal(both)
    assert both.results[0].front == both.results[1].front


def test_damage_in_one_piece(shelf: Path, tmp_path: Path, compare: Compare) -> None:
    """The last piece hears all of it, so nothing that is lost stays unsaid."""
    data = bytearray(speech(shelf).read_bytes())
    for at in range(len(data) // 2, len(data) // 2 + 3000, 1000):
        data[at : at + 50] = bytes(50)
    video = tmp_path / "damaged.mp4"
    video.write_bytes(data)
    check_alike(compare(video, 3))


def test_sound_that_ends_before_the_last_piece(shelf: Path, compare: Compare) -> None:
    """A video may be longer than its sound; a piece behind that has nothing in it."""
    picture = ("-f", "lavfi", "-i", f"color=s=64x64:r=5:d={SECONDS}")
    both = compare(videos.make(shelf / "ends.flv", *picture, "-i", str(speech(shelf, seconds=4.0)), "-c:a", "aac"), 4)
    assert both.outcome in ("failed", "unjoined")
    check_alike(both)


def test_what_is_not_split(shelf: Path, compare: Compare) -> None:
    """Another format, a constant bitrate, and what is too short."""
    assert compare(speech(shelf, seconds=3.0), 8).outcome == ""
    assert encoders.count(Options(), 7.9, 8) == 3
    assert encoders.count(Options(), 3600, 99) == 8
    assert encoders.count(Options(), None, 8) == 1
    assert encoders.count(Options(vbr=None, bitrate=320), 3600, 8) == 1
    assert encoders.count(Options(format=Format.M4A), 3600, 8) == 1


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same speech, encoded in one."""
    folder = tmp_path_factory.mktemp("pieces")
    encode(speech(folder), folder / "whole", "anull")
    return folder


def encode(video: Path, target: Path, last: str) -> None:
    graph = ("-filter_complex", f"[0:a]{last}[audio]", "-map", "[audio]", "-c:a", "libmp3lame", "-q:a", "2")
    muxed = ("-id3v2_version", "0", "-write_xing", "1", "-f", "mp3", "-y")
    subprocess.run([get_ffmpeg_exe(), "-v", "error", "-i", str(video), *graph, *muxed, str(target)], check=True)


def cut(folder: Path, begins: list[int], shift: int = 0) -> tuple[list[Path], list[int]]:
    """Pieces that begin to count there; all but the first hear the video so many samples late."""
    plan = encoders.cut("piece", begins, Sound(2, 48_000, ()))
    for at, piece in enumerate(plan):
        encode(
            speech(folder),
            folder / piece.name,
            f"{f'atrim=start_sample={shift},' if at and shift else ''}{piece.filter or 'anull'}",
        )
    return [folder / piece.name for piece in plan], [piece.frame for piece in plan]


@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(begins=st.lists(st.integers(100, 380), min_size=1, max_size=3, unique=True))
def test_any_cut(whole: Path, begins: list[int]) -> None:
    """Wherever a piece begins, though it be within the window of the one before, it fits or it is refused."""
    paths, starts = cut(whole, sorted(begins))
    apart = all(b - a > joints.WINDOW for a, b in zip([0, *sorted(begins)], sorted(begins), strict=False))
    try:
        joints.join(paths, joints.find(paths, starts))
    except joints.Unjoined:
        assert not apart
    else:
        assert frames(paths[0]) == frames(whole / "whole")


@pytest.mark.parametrize("shift", [1, 576, 1152])
def test_a_misaligned_piece_is_refused(whole: Path, shift: int) -> None:
    """By one sample, a granule or a frame."""
    paths, starts = cut(whole, [150, 330], shift)
    before = [path.read_bytes() for path in paths]
    with pytest.raises(joints.Unjoined, match="differs"):
        joints.find(paths, starts)
    assert [path.read_bytes() for path in paths] == before


def test_pieces_that_are_no_whole_mp3s_are_refused(whole: Path) -> None:
    """A piece that lost its end, or some bytes within."""
    for change in (lambda data: data[:-1], lambda data: data[:5000] + data[5100:], lambda data: data[:0]):
        paths, starts = cut(whole, [200])
        paths[1].write_bytes(change(paths[1].read_bytes()))
        with pytest.raises(joints.Unjoined):
            joints.find(paths, starts)


def children() -> Iterator[int]:
    for child in Path(f"/proc/self/task/{threading.get_native_id()}/children").read_text(encoding="utf-8").split():
        if b"ffmpeg" in Path(f"/proc/{child}/cmdline").read_bytes():
            yield int(child)


def test_progress_only_grows_and_a_cancel_kills_every_encoder(shelf: Path, convert: Convert) -> None:
    """As with one encoder."""
    seen: list[float] = []

    def cancel(fraction: float) -> None:
        seen.append(fraction)
        if fraction > 0:
            assert len([*children()]) > 1
            raise InterruptedError

    with pytest.raises(InterruptedError):
        convert(speech(shelf, seconds=120.0), LIMITS, cancel, cores=4)
    assert [*children()] == []
    seen.clear()
    convert(speech(shelf, seconds=120.0), LIMITS, seen.append, cores=4)
    assert seen == sorted(seen)
    assert seen[-1] > 0.85  # the video says that it is longer than its sound


def test_all_pieces_together_keep_the_limit_of_bytes(shelf: Path, convert: Convert) -> None:
    """No piece alone is too large here."""
    with pytest.raises(MediaError) as raised:
        convert(speech(shelf), replace(LIMITS, size=150_000), cores=4)
    assert raised.value.reason is Reason.TOO_LARGE
