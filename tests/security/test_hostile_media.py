"""Files that somebody made to cost us time, memory or disk: each costs little, and has its sound or a reason.

Nothing here measures a clock: what is counted is what was read, and how often the work could have been stopped.
"""

import struct
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from functions.convert import chunks, density, jpeg, matroska, mp4, protection, streams, tails, transcode
from functions.convert.container import check_end, locate
from functions.convert.description import read_report
from functions.convert.jail import Jail
from functions.convert.window import MOST_STEPS, End, Endless, Window
from functions.model.containers import SNIFF_BYTES, Container, Extent, sniff
from functions.model.media import MediaError, Reason
from functions.model.options import Format
from functions.model.tags import Tags
from tests import videos
from tests.convert.conftest import LIMITS, force, jail

MANY = 10 * MOST_STEPS  # elements


class Counted(BytesIO):
    """A file that counts how often it is read, and the largest piece that was asked of it."""

    reads = largest = 0

    def read(self, count: int | None = -1, /) -> bytes:
        data = super().read(count)
        self.reads += 1
        self.largest = max(self.largest, len(data))
        return data


def ebml(name: str, data: bytes = b"") -> bytes:
    return bytes.fromhex(name) + (len(data) | 1 << 56).to_bytes(8) + data


def box(kind: bytes, data: bytes = b"") -> bytes:
    return struct.pack(">I4s", 8 + len(data), kind) + data


HEADER = ebml("1a45dfa3", ebml("4282", b"webm"))
SEGMENT = "18538067"
LIVE = bytes.fromhex(SEGMENT) + b"\x01" + b"\xff" * 7  # of unknown size
VOID = b"\xec\x80"
FTYP = box(b"ftyp", b"isom\0\0\2\0isom")
FLV = b"FLV\1\5\0\0\0\x09\0\0\0\0"
FILES: dict[str, Callable[[], bytes]] = {
    "elements of two bytes": lambda: HEADER + VOID * MANY,
    "elements of two bytes in a recording": lambda: (
        HEADER + LIVE + b"\x1f\x43\xb6\x75\xff" + b"\xe7\x81\0" + VOID * MANY
    ),
    "clusters without an end": lambda: HEADER + LIVE + b"\x1f\x43\xb6\x75" * MANY + b"\0" * 64,
    "elements in front of the tracks": lambda: HEADER + ebml(SEGMENT, VOID * MANY),
    "elements in a track": lambda: HEADER + ebml(SEGMENT, ebml("1654ae6b", ebml("ae", VOID * MANY))),
    "boxes of eight bytes": lambda: FTYP + box(b"free") * MANY,
    "RIFFs one behind the other": lambda: struct.pack("<4sI4s", b"RIFF", 4, b"AVI ") * MANY,
    "an AVI of empty chunks": lambda: (
        struct.pack("<4sI4s", b"RIFF", 0, b"AVI ")
        + struct.pack("<4sI4s", b"LIST", 0x7FFFFFFF, b"movi")
        + struct.pack("<4sI", b"00dc", 0) * MANY
    ),
    "a WAV of empty chunks": lambda: (
        struct.pack("<4sI4s", b"RIFF", 10**9, b"WAVE") + struct.pack("<4sI", b"JUNK", 0) * MANY
    ),
    "an AIFF of empty chunks": lambda: (
        struct.pack(">4sI4s", b"FORM", 10**9, b"AIFF") + struct.pack(">4sI", b"JUNK", 0) * MANY
    ),
    "a CAF of empty chunks": lambda: b"caff\0\1\0\0" + struct.pack(">4sq", b"free", 0) * MANY,
    "a RealMedia of empty chunks": lambda: b".RMF\0\0\0\x12" + b"\0" * 10 + struct.pack(">4sI", b"PROP", 8) * MANY,
}


@pytest.mark.parametrize("kind", FILES)
def test_no_number_of_elements_is_walked_through_to_its_end(kind: str) -> None:
    """48 MiB of elements of two bytes took 27 s of CPU. The file is judged as one that has no index."""
    file = Counted(FILES[kind]())
    extent, end = walked(file)
    assert extent.end is None
    assert end in (End.UNKNOWN, End.WHOLE)  # and is not refused for being long
    assert file.reads < 8 * MOST_STEPS


@pytest.mark.parametrize("kind", FILES)
def test_a_walk_can_be_stopped(kind: str) -> None:
    """Whoever cancels a job does not wait for the walk; it went on for 70 s."""
    file = Counted(FILES[kind]())

    def checkpoint() -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        walked(file, checkpoint)
    assert file.reads < 2000


def test_a_cancel_ends_the_walk_of_a_job(tmp_path: Path) -> None:
    """It is the job's own checkpoint that is asked, before ffprobe is started."""
    (tmp_path / "video").write_bytes(FILES["elements of two bytes"]())
    children: list[str] = []

    def checkpoint(progress: float | None = None) -> None:  # noqa: ARG001 -- the name is the protocol's
        task = Path(f"/proc/self/task/{threading.get_native_id()}")
        children.append((task / "children").read_text(encoding="ascii"))
        raise Cancelled

    before = Path(f"/proc/self/task/{threading.get_native_id()}/children").read_text(encoding="ascii")
    with pytest.raises(Cancelled):
        transcode.describe(Jail(tmp_path, LIMITS, checkpoint), "video", Container.MATROSKA)
    assert children == [before]


class Cancelled(Exception):
    """What a checkpoint may raise."""


def walked(file: BytesIO, checkpoint: Callable[[], None] = lambda: None) -> tuple[Extent, End]:
    """What we find out about a file by ourselves, where ffprobe has seen one audio track in it."""
    head, size = file.getvalue()[:SNIFF_BYTES], len(file.getvalue())
    container = sniff(head)
    assert container
    extent = locate(file, size, container, checkpoint)
    end = check_end(file, size, extent, checkpoint)
    report = {"streams": [{"index": 0, "codec_type": "audio", "codec_name": "aac"}], "format": {}}
    protection.check(file, size, extent, read_report(report, extent), checkpoint)
    protection.codec_name(file, size, extent)
    protection.damage(file, size, extent)
    return extent, end


def sidx(count: int) -> bytes:
    """A segment index (ISO/IEC 14496-12, 8.16.3) of so many segments without a byte."""
    return box(b"sidx", b"\0" * 22 + struct.pack(">H", count) + b"\0" * 12 * count)


@pytest.mark.parametrize(
    ("walk", "made"),
    [
        (mp4.end, lambda: FTYP + sidx(65_535) * 2),
        (mp4.index, lambda: FTYP + box(b"free") * MANY),
        (matroska.end, lambda: HEADER + VOID * MANY),
        (matroska.segment_end, FILES["clusters without an end"]),
        (chunks.riff, FILES["RIFFs one behind the other"]),
        (streams.realmedia, FILES["a RealMedia of empty chunks"]),
        (streams.flv, lambda: FLV + (b"\x08" + b"\0" * 14) * 1_000_001 + b"\1" * 4),
        (tails.frames, lambda: b"\xff\xe0" * 2**20),
    ],
)
def test_a_walk_says_that_it_gave_up(walk: Callable[[Window], object], made: Callable[[], bytes]) -> None:
    """Rather than what it would say of a file that ends there."""
    file = made()
    with pytest.raises(Endless):
        walk(Window(BytesIO(file), 0, len(file)))


def test_what_looks_like_frames_at_the_end_of_an_mp3_is_not_followed_for_ever() -> None:
    """Its Xing header promises more, so that the last frames are to lead to its end: here each is the first of many."""
    frame = b"\xff\xf3\x14\xc4"  # of 24 bytes
    first = frame + b"\0" * 17 + b"Xing\0\0\0\x03" + struct.pack(">II", 1000, 10**8) + b"\0" * 400
    file = first + frame * 4000 + b"\0"
    with pytest.raises(Endless):
        streams.mp3(Window(BytesIO(file), 0, len(file)))


def test_frames_of_one_byte_are_read_piece_by_piece() -> None:
    """All of an AMR was held in memory, and may have 4 GiB."""
    file = Counted(b"#!AMR\n" + b"\x7c" * 2**21)
    assert walked(file)[1] is End.UNKNOWN
    assert file.largest <= 2**20
    assert tails.amr(Window(BytesIO(b"#!AMR\n" + b"\x7c" * 3_100_000), 0, 3_100_006)) is None


def test_boxes_within_boxes_are_followed_as_deep_as_they_belong() -> None:
    """Each level has all that it needs, so that the next one was looked at, until Python's stack was full."""
    inner = b""
    for _ in range(2000):
        stbl = box(b"stbl", box(b"stsd") + inner)
        inner = box(b"trak", box(b"mdia", box(b"hdlr") + box(b"minf", stbl)))
    file = FTYP + box(b"moov", box(b"mvhd") + inner) + box(b"mdat")
    assert protection.damage(BytesIO(file), len(file), Extent(Container.MP4)) == ""


def test_a_picture_of_endless_segments_is_none() -> None:
    """It is drawn anew, by ffmpeg in its jail."""
    frame = b"\xff\xc0\0\x11\x08\0\x10\0\x10\3" + b"\0" * 9
    comment, end = b"\xff\xfe\0\2", b"\xff\xda\0\2samples\xff\0\xff\xd0more\xff\xd9"
    assert jpeg.read(b"\xff\xd8" + frame + comment * 100_000 + end) is None
    fills = jpeg.read(b"\xff\xd8" + frame + comment * 1000 + b"\xff" * 100_000 + end)
    assert fills
    assert fills.data == b"\xff\xd8" + frame + end


@pytest.mark.parametrize("clock", ["9" * 5000 + ":00:00.0", "9" * 400 + ":00:00.0"])
def test_no_time_among_the_tags_is_too_large_a_number(clock: str) -> None:
    """Python refuses numbers of more than 4,300 digits, and cannot make a float of 400: neither is trouble of ours."""
    stream = {"index": 0, "codec_type": "audio", "codec_name": "aac", "tags": {"DURATION": clock}}
    assert read_report({"streams": [stream], "format": {}}, Extent(Container.MATROSKA)).audio[0].duration is None


@pytest.mark.parametrize("seed", range(20))
def test_upload_looks_at_the_front_alone(seed: int) -> None:
    """What it does while bytes arrive does not grow with them."""
    unit = struct.pack(">I", 0x49443304 + seed * 7919) + b"\xff\xfb\x0b\x77"[seed % 3 :]
    head = (unit * SNIFF_BYTES)[:SNIFF_BYTES]
    assert sniff(head) == sniff(head + b"\0\0\0\x18ftypisom" * 1000)


def test_a_file_that_promises_more_is_still_cut_off() -> None:
    """The bounds change nothing for files as people have them."""
    whole = HEADER + ebml(SEGMENT, ebml("1654ae6b") + VOID * 1000 + ebml("1f43b675", ebml("e7", b"\0") * 1000))
    file = BytesIO(whole[:-500])
    with pytest.raises(MediaError, match="truncated"):
        check_end(file, len(whole) - 500, Extent(Container.MATROSKA))


RATE = 8000  # samples of one byte each in a second
LOOP = 20_000  # bytes that a bomb plays again and again


def bomb(seconds: int, claimed: int) -> bytes:
    """An MP4 of which all chunks are the same bytes; its header says that it plays for the `claimed` seconds."""
    chunks = seconds * RATE // LOOP
    front = FTYP + box(b"mdat", b"\x80\x90" * (LOOP // 2))
    entry = box(b"raw ", b"\0" * 6 + struct.pack(">H8xHHHHI", 1, 1, 8, 0, 0, RATE << 16))
    tables = (
        box(b"stsd", struct.pack(">II", 0, 1) + entry),
        box(b"stts", struct.pack(">4I", 0, 1, chunks * LOOP, 1)),
        box(b"stsc", struct.pack(">5I", 0, 1, 1, LOOP, 1)),
        box(b"stsz", struct.pack(">3I", 0, 1, chunks * LOOP)),
        box(b"stco", struct.pack(">II", 0, chunks) + struct.pack(">I", len(FTYP) + 8) * chunks),
    )
    url = box(b"dref", struct.pack(">II", 0, 1) + box(b"url ", b"\0\0\0\1"))
    media = box(b"smhd", b"\0" * 8) + box(b"dinf", url) + box(b"stbl", b"".join(tables))
    handler = box(b"hdlr", struct.pack(">II4s12x", 0, 0, b"soun") + b"\0")
    head = box(b"mdhd", struct.pack(">5IHH", 0, 0, 0, RATE, claimed * RATE, 0x55C4, 0))
    track = box(b"tkhd", struct.pack(">6I", 7, 0, 0, 1, 0, claimed * 1000) + b"\0" * 60)
    movie = box(b"mvhd", struct.pack(">5I", 0, 0, 0, 1000, claimed * 1000) + b"\0" * 80)
    return front + box(b"moov", movie + box(b"trak", track + box(b"mdia", head + handler + box(b"minf", media))))


@pytest.mark.parametrize("claimed", [3 * 3600, 1])
@pytest.mark.parametrize("options", [{}, {"loudness": "podcast"}, {"format": Format.FLAC, "start": 200.0}])
def test_the_same_bytes_played_again_and_again_are_no_recording(
    claimed: int, options: dict[str, Any], tmp_path: Path
) -> None:
    """28 KB became 94 MB of MP3, and 101 KB twelve hours. A header that lies is found out on the way."""
    video = tmp_path / "bomb"
    video.write_bytes(bomb(3 * 3600, claimed))
    assert video.stat().st_size < 40_000
    said: list[float] = []
    with pytest.raises(MediaError) as refused:
        force(video, Container.MP4, tmp_path, replace(LIMITS, work=60), said.append, **options)
    assert refused.value.reason is Reason.TOO_SPARSE
    assert not (tmp_path / "audio.mp3").exists()
    assert bool(said) == (claimed == 1)  # otherwise nothing was begun


def test_five_minutes_may_be_as_small_as_they_like(tmp_path: Path) -> None:
    """Lossless silence packs to nothing, and costs nothing."""
    video = tmp_path / "small"
    video.write_bytes(bomb(290, 290))
    assert force(video, Container.MP4, tmp_path).facts.duration == pytest.approx(290, abs=5)


@pytest.mark.parametrize(
    ("suffix", "rate", "words"),
    [
        ("flac", 8000, ()),
        ("m4a", 8000, ("-c:a", "aac")),
        ("amr", 8000, ("-c:a", "libopencore_amrnb", "-dtx", "1")),
        ("ogg", 8000, ("-c:a", "libvorbis")),
        (
            "opus",
            48_000,
            ("-c:a", "libopus", "-b:a", "6k", "-application", "voip", "-dtx", "1", "-frame_duration", "60"),
        ),
        ("webm", 48_000, ("-c:a", "libopus", "-b:a", "6k", "-dtx", "1", "-frame_duration", "120")),
        ("m4a", 44_100, ("-c:a", "alac")),
    ],
)
def test_ten_minutes_of_silence_are_a_recording(suffix: str, rate: int, words: tuple[str, ...], tmp_path: Path) -> None:
    """In the codecs that need least for it, those of speech among them: what is refused has less."""
    silence = f"anullsrc=r={rate}:cl=mono:d=600"
    video = videos.make(tmp_path / f"silence.{suffix}", "-f", "lavfi", "-i", silence, *words)
    container = sniff(video.read_bytes()[:SNIFF_BYTES])
    assert container
    assert transcode.describe(jail(tmp_path), video.name, container).audio
    density.check(600, video.stat().st_size)


LOOK = """
import resource, sys
from pathlib import Path
from functions.convert import transcode
from functions.model.containers import Container
from functions.model.media import MediaError
from tests.convert.conftest import jail
path = Path(sys.argv[1])
try:
    print(transcode.describe(jail(path.parent), path.name, Container(sys.argv[2])).streams)
except MediaError as error:
    print(error.reason)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)
"""


def with_tracks(directory: Path, suffix: str, count: int, *words: str) -> Path:
    """A video of that many audio tracks; the words come behind them."""
    one = videos.make(directory / "one.mkv", "-f", "lavfi", "-i", "sine=d=0.2", "-c:a", "aac")
    maps = ("-map", "0:a") * count
    return videos.make(directory / f"tracks-{count}.{suffix}", "-i", str(one), *maps, "-c", "copy", *words)


@pytest.mark.parametrize(
    ("suffix", "container"), [("mkv", Container.MATROSKA), ("mp4", Container.MP4), ("ts", Container.MPEG_TS)]
)
@pytest.mark.parametrize("count", [65, 900])
def test_hundreds_of_tracks_cost_no_memory(suffix: str, container: Container, count: int, tmp_path: Path) -> None:
    """900 took 658 MiB of a container of 1 GiB, for a decoder was opened for each."""
    video = with_tracks(tmp_path, suffix, count)
    look = [sys.executable, "-c", LOOK, str(video), container.value]
    said = subprocess.run(look, capture_output=True, encoding="utf-8", check=True).stdout.split()
    assert said[0] == Reason.TOO_MANY_STREAMS
    assert int(said[1]) < 200  # MiB


def test_a_video_with_sixty_tracks_and_a_hundred_and_fifty_fonts_is_converted(tmp_path: Path) -> None:
    """In as many languages, with as many kinds of letters for its subtitles: those fonts are streams too."""
    fonts: list[str] = []
    for at in range(150):
        (tmp_path / f"{at}.ttf").write_bytes(b"\0\1\0\0")
        fonts += ["-attach", str(tmp_path / f"{at}.ttf"), f"-metadata:s:t:{at}", "mimetype=font/ttf"]
        fonts += [f"-metadata:s:t:{at}", f"filename={at}.ttf"]
    result = force(with_tracks(tmp_path, "mkv", 60, *fonts), Container.MATROSKA, tmp_path)
    assert result.facts.duration == pytest.approx(0.2, abs=0.05)
    assert result.facts.notes == ()


def test_of_endless_tags_and_chapters_the_first_are_kept() -> None:
    """Those that people have; a job's row and its document hold what is kept."""
    audio = {"index": 0, "codec_type": "audio", "codec_name": "aac"}
    report = {
        "streams": [{**audio, "tags": {"title": "t" * 10**6, "language": "l" * 10**6}}],
        "format": {"tags": {"title": "T" * 10**6, **{f"lyrics-{at}": "la" * 20_000 for at in range(2000)}}},
        "chapters": [
            {"start_time": str(at), "end_time": str(at + 1), "tags": {"title": "c" * 1000}} for at in range(50_000)
        ],
    }
    seen = read_report(report, Extent(Container.MATROSKA))
    assert len(seen.chapters) == 2000
    assert len(str(seen.source.as_json())) < 10**6
    assert len(seen.tags) == 500
    kept = Tags.of(seen.tags)
    assert (len(kept.title), len(kept.lyrics)) == (500, 20_000)
