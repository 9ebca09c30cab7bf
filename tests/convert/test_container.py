"""Which bytes of a file are the video, and what its own index says of its end: of files as people have them."""

import re
import struct
from collections.abc import Callable
from contextlib import nullcontext, suppress
from io import BytesIO
from pathlib import Path
from random import Random

import pytest

from functions.convert import protection
from functions.convert.container import check_end, locate
from functions.convert.description import read_report
from functions.convert.window import End
from functions.model.audio import Note
from functions.model.containers import SNIFF_BYTES, Container, Extent, sniff
from functions.model.media import MediaError, Reason
from tests import videos
from tests.convert.conftest import Convert

NOISE = Random(10).randbytes(200_000)
ID3 = b"ID3\x04\0\0\0\0\x07\x76" + b"TIT2\0\0\0\x06\0\0\x03Hello" + b"\0" * (0x3F6 - 16)
TAIL = {
    "zeros": b"\0" * 20_000,
    "noise": NOISE,
    "text": b"This is the end, my friend. " * 5_000,
    "a camera's trailer": b"SEFH\x6b\0\0\0\1\0\0\0MotionPhoto_Data" + b"\0" * 400 + b"SEFT",
}
FRONT = {"zeros": b"\0" * 192, "many zeros": b"\0" * 20_000, "noise": NOISE[:1000], "a tag": ID3}
#: Made by ffmpeg, and nothing of them is a frame or packet that may begin anywhere.
SIGNED = (
    "plain",
    "matroska",
    "webm",
    "avi",
    "wav",
    "aiff",
    "caf",
    "ogg",
    "flv",
    "wmv",
    "flac",
    "amr",
    "mxf",
    "wavpack",
)
SIZES = (0, 0x7FFFFFFF, 2_000_000_036, 0xFFFFFFFF, 0x7FFFF024, 0x80000024, 0x80000000)


@pytest.fixture
def plays(tmp_path: Path, convert: Convert) -> Callable[[bytes], float]:
    """Converts a file of those bytes; its seconds."""

    def run(whole: bytes) -> float:
        (tmp_path / "video").write_bytes(whole)
        return convert(tmp_path / "video").facts.duration

    return run


@pytest.fixture
def refusal(tmp_path: Path, convert: Convert) -> Callable[[bytes], MediaError]:
    """Why a file of those bytes is refused."""

    def run(whole: bytes) -> MediaError:
        (tmp_path / "video").write_bytes(whole)
        with pytest.raises(MediaError) as refused:
            convert(tmp_path / "video")
        return refused.value

    return run


def whole(kind: str, shelf: Path) -> bytes:
    return videos.WHOLE[kind](shelf).read_bytes()


def end_of(data: bytes, size: int | None = None) -> End:
    """What check_end() says of the first `size` of these bytes."""
    container = sniff(data[:SNIFF_BYTES])
    assert container
    file = BytesIO(data[:size])
    count = len(file.getvalue())
    return check_end(file, count, locate(file, count, container))


@pytest.mark.parametrize("tail", TAIL)
@pytest.mark.parametrize("kind", [kind for kind in videos.WHOLE if kind != "live_wav"])
def test_what_follows_the_end_is_left_out(kind: str, tail: str, shelf: Path, plays: Callable[[bytes], float]) -> None:
    """However large it is. Only a WAV that does not know its length cannot know what is behind it."""
    assert plays(whole(kind, shelf) + TAIL[tail]) == pytest.approx(videos.SECONDS, abs=0.1)


@pytest.mark.parametrize("kind", ["plain", "webm", "ogg", "mp3", "aac", "ac3", "dts", "amr", "au", "dv", "wav", "flac"])
def test_a_second_file_of_another_kind_is_left_out(kind: str, shelf: Path, plays: Callable[[bytes], float]) -> None:
    """Its tracks are not those of the first."""
    assert plays(whole(kind, shelf) + whole("matroska", shelf)) == pytest.approx(videos.SECONDS, abs=0.1)


@pytest.mark.parametrize("front", FRONT)
@pytest.mark.parametrize(
    "kind", [*SIGNED, "mp3", "mp2", "aac", "ac3", "eac3", "dts", "mpeg_ps", "mpeg_ts", "m2ts", "dv"]
)
def test_what_stands_before_the_beginning_is_left_out(
    kind: str, front: str, shelf: Path, plays: Callable[[bytes], float]
) -> None:
    """Zeros, junk, or the tag of another format: also where the container counts from its own front."""
    assert plays(FRONT[front] + whole(kind, shelf)) == pytest.approx(videos.SECONDS, abs=0.1)


@pytest.mark.parametrize("kind", ["mp3", "flac", "wav", "plain"])
def test_a_tag_with_a_large_picture_is_looked_behind(kind: str, shelf: Path, plays: Callable[[bytes], float]) -> None:
    """Upload sees only the tag, and takes the file for an MP3."""
    tag = b"ID3\x03\0\0\0\x0d\0\0" + b"\0" * (0x0D << 14)
    assert sniff((tag + whole(kind, shelf))[:SNIFF_BYTES]) is Container.MP3
    assert plays(tag + whole(kind, shelf)) == pytest.approx(videos.SECONDS, abs=0.1)


@pytest.mark.parametrize("size", [*SIZES, "its own"])
@pytest.mark.parametrize("which", ["RIFF", "data", "both"])
def test_no_size_in_the_header_of_a_wav_refuses_it(
    which: str, size: int | str, shelf: Path, plays: Callable[[bytes], float]
) -> None:
    """Recorders, pipes and tools leave all of these there."""
    wav = bytearray(whole("wav", shelf))
    written = struct.pack("<I", len(wav) if isinstance(size, str) else size)
    data = wav.index(b"data") + 4
    if which != "data":
        wav[4:8] = written
    if which != "RIFF" and not isinstance(size, str):
        wav[data : data + 4] = written
    assert plays(bytes(wav)) == pytest.approx(videos.SECONDS, abs=0.1)


@pytest.mark.parametrize("size", [*SIZES, "its own"])
def test_no_size_in_the_header_of_an_avi_refuses_it(
    size: int | str, shelf: Path, plays: Callable[[bytes], float]
) -> None:
    """With its index and without."""
    avi = whole("avi", shelf)
    avi = avi[:4] + struct.pack("<I", len(avi) if isinstance(size, str) else size) + avi[8:]
    assert plays(avi) == pytest.approx(videos.SECONDS, abs=0.1)
    assert plays(avi[: avi.rindex(b"idx1")]) == pytest.approx(videos.SECONDS, abs=0.1)


def test_an_avi_without_its_index_is_converted(shelf: Path, plays: Callable[[bytes], float]) -> None:
    """It says that there is one; the sound is all there."""
    avi = whole("avi", shelf)
    assert plays(avi[: avi.rindex(b"idx1")]) == pytest.approx(videos.SECONDS, abs=0.1)


@pytest.mark.parametrize(
    ("kind", "word", "sizes"),
    [
        ("aiff", b"FORM", [struct.pack(">I", each) for each in SIZES if each]),
        ("aiff", b"SSND", [struct.pack(">I", each) for each in SIZES if each]),
        ("caf", b"data", [b"\xff" * 8, b"\0" * 8]),
        ("au", b"", [struct.pack(">I", each) for each in SIZES if each < 2**31 or each == 2**32 - 1]),
        ("w64", b"\xa5\xd6\x28\xdb\x04\xc1\0\0", [b"\xff" * 8, b"\xff" * 7 + b"\x7f"]),
    ],
)
def test_no_size_in_another_header_of_chunks_refuses_it(
    kind: str, word: bytes, sizes: list[bytes], shelf: Path, plays: Callable[[bytes], float]
) -> None:
    """RIFF's kin."""
    sound = whole(kind, shelf)
    at = sound.index(word) + len(word) if word else 8
    for size in sizes:
        assert plays(sound[:at] + size + sound[at + len(size) :]) == pytest.approx(videos.SECONDS, abs=0.1)


@pytest.mark.parametrize("kind", ["wav", "rf64", "w64", "aiff", "caf", "au", "avi", "mxf", "real", "wavpack", "tta"])
def test_a_download_that_was_cut_off_is_truncated(
    kind: str, shelf: Path, refusal: Callable[[bytes], MediaError]
) -> None:
    """The whole and its sound both say that there was more, or samples are counted."""
    file = whole(kind, shelf)
    for share in (0.3, 0.6, 0.9):
        assert refusal(file[: int(len(file) * share)]).reason is Reason.TRUNCATED


@pytest.mark.parametrize(
    "kind", ["fragmented", "live_matroska", "live_webm", "mpeg_ts", "m2ts", "ogg", "live_flv", "live_avi"]
)
def test_a_recording_that_was_interrupted_is_converted(
    kind: str, shelf: Path, tmp_path: Path, convert: Convert
) -> None:
    """What there is of it is worth having, and its owner is told. Nothing announces that there was more."""
    file = whole(kind, shelf)
    (tmp_path / "video").write_bytes(file[: int(len(file) * 0.7)])
    result = convert(tmp_path / "video")
    assert result.facts.notes == (Note.INCOMPLETE,)
    assert 1.5 < result.facts.duration < 4.5


@pytest.mark.parametrize("kind", videos.WHOLE)
def test_a_whole_video_is_not_called_incomplete(kind: str, shelf: Path, convert: Convert) -> None:
    """Not even where nobody knew its length."""
    assert convert(videos.WHOLE[kind](shelf)).facts.notes == ()


def test_a_segment_index_announces_what_is_missing(shelf: Path, refusal: Callable[[bytes], MediaError]) -> None:
    """A cut-off download of a video in fragments, made for streaming: its front says how many bytes there are."""
    file = whole("indexed_fragments", shelf)
    assert end_of(file) is not End.INCOMPLETE
    assert refusal(file[: int(len(file) * 0.6)]).reason is Reason.TRUNCATED


def test_an_mp4_without_its_index_is_told_apart_in_words(shelf: Path, refusal: Callable[[bytes], MediaError]) -> None:
    """Neither another download nor anything of ours helps where the recorder died."""
    file = whole("plain", shelf)
    error = refusal(file[: file.rindex(b"moov") - 4])
    assert (error.reason, "index" in str(error.say)) == (Reason.TRUNCATED, True)


def test_an_mp3_that_was_cut_between_frames_is_whole(shelf: Path, refusal: Callable[[bytes], MediaError]) -> None:
    """Who cuts MP3s leaves the count of the frames as it was."""
    file = whole("mp3", shelf)
    starts = [match.start() for match in re.finditer(re.escape(file[file.index(b"\xff\xfb") :][:2]), file)]
    border = next(at for at in starts[len(starts) // 2 :] if end_or_none(file, at) is End.WHOLE)
    assert border < 0.8 * len(file)
    assert refusal(file[: border + 5]).reason is Reason.TRUNCATED


def end_or_none(file: bytes, size: int) -> End | None:
    try:
        return end_of(file, size)
    except MediaError:
        return None


def scrambled(index: bytes, seed: int) -> list[bytes]:
    """A damaged index of an MP4: all of it, the front, and the names of its boxes."""
    noise = Random(seed).randbytes(len(index))
    names = [*re.finditer(rb"trak|mdia|minf|stbl|stsd", index)]
    renamed = bytearray(index)
    for name in names:
        renamed[name.start() : name.end()] = b"XX" + name[0][2:]
    return [
        index[:8] + noise[8:],
        noise,
        index[:8] + b"\0" * (len(index) - 8),
        bytes(byte ^ 0x5A for byte in index),
        bytes(renamed),
        *(index[: name.start()] + b"XXXX" + index[name.end() :] for name in names[-5:]),
        index.replace(b"mvhd", b"XXXX"),
    ]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", ["plain", "streamable", "mov"])
def test_a_scrambled_index_is_damage(kind: str, seed: int, shelf: Path, refusal: Callable[[bytes], MediaError]) -> None:
    """And not a video without sound, nor one that ends too early."""
    file = whole(kind, shelf)
    at = file.index(b"moov", file.index(b"moov") if kind == "streamable" else file.rindex(b"moov")) - 4
    size = int.from_bytes(file[at : at + 4])
    for index in scrambled(file[at : at + size], seed):
        assert refusal(file[:at] + index + file[at + size :]).reason is Reason.DAMAGED


def test_a_video_that_was_made_without_sound_is_not_damaged(
    shelf: Path, refusal: Callable[[bytes], MediaError]
) -> None:
    """Its index can be read, and speaks of none, whatever its title says."""
    assert refusal(videos.silent(shelf).read_bytes()).reason is Reason.NO_AUDIO


@pytest.mark.parametrize("make", [videos.encrypted, videos.encrypted_fragments])
def test_encrypted_sound_is_called_so(
    make: Callable[[Path], Path], shelf: Path, refusal: Callable[[bytes], MediaError]
) -> None:
    """Common Encryption: nobody is told to upload an intact copy."""
    error = refusal(make(shelf).read_bytes())
    assert error.reason is Reason.UNSUPPORTED
    assert "encrypted" in str(error.say)


def ebml(name: str, data: bytes) -> bytes:
    return bytes.fromhex(name) + (len(data) | 1 << 56).to_bytes(8) + data


ENCRYPTION = ebml("6d80", ebml("6240", ebml("5035", ebml("47e1", b"\5"))))


def tracks(*entries: bytes) -> bytes:
    head = ebml("1a45dfa3", ebml("4282", b"webm"))
    return head + ebml("18538067", ebml("1654ae6b", b"".join(ebml("ae", entry) for entry in entries)))


AUDIO, PICTURE = ebml("83", b"\2") + ebml("86", b"A_OPUS"), ebml("83", b"\1") + ebml("86", b"V_VP8")
TS = b"\x47\x01\x00\x10" + b"\1" * 184
PES = b"\0\0\1\xba\x44\0\4\0\4\1\0\0\0\xf8" + b"\0\0\1\xbd\0\x20\x81\x80\x05" + b"\0" * 30
ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")


@pytest.mark.parametrize(
    ("container", "file", "is_encrypted"),
    [
        (Container.MATROSKA, tracks(PICTURE, AUDIO + ENCRYPTION), True),
        (Container.MATROSKA, tracks(PICTURE + ENCRYPTION, AUDIO), False),
        (Container.MATROSKA, tracks(PICTURE, AUDIO), False),
        (Container.ASF, ASF + bytes.fromhex("fbb3112223bdd211b4b700a0c955fc6e"), True),
        (Container.ASF, ASF + bytes.fromhex("14e68a292226174cb935dae07ee9289c"), True),
        (Container.ASF, ASF + b"\0" * 16, False),
        (Container.MPEG_TS, TS.replace(b"\x10", b"\x90") * 20, True),
        (Container.MPEG_TS, TS * 20, False),
        (Container.MPEG_PS, PES.replace(b"\x20\x81", b"\x20\xb1") * 20, True),
        (Container.MPEG_PS, PES * 20, False),
        *(
            (Container.MP4, struct.pack(">I4sI4s12x4s", 32, b"moov", 24, b"stsd", entry), is_encrypted)
            for entry, is_encrypted in ((b"enca", True), (b"drms", True), (b"aavd", True), (b"mp4a", False))
        ),
    ],
)
def test_encryption_is_told_by_the_bytes(container: Container, file: bytes, is_encrypted: bool) -> None:
    """Of a file whose one audio track was found: that of Widevine, Windows Media, iTunes, Audible, pay TV and DVDs."""
    seen = read_report(
        {"streams": [{"index": 0, "codec_type": "audio", "codec_name": "aac"}], "format": {}}, Extent(container)
    )
    with pytest.raises(MediaError, match="encrypted") if is_encrypted else nullcontext():
        protection.check(BytesIO(file), len(file), Extent(container), seen)


def test_a_codec_that_matroska_names_is_named(shelf: Path, refusal: Callable[[bytes], MediaError]) -> None:
    """ffmpeg knows nothing of AC-4."""
    error = refusal(whole("matroska", shelf).replace(b"A_AAC", b"A_AC4"))
    assert (error.reason, "A_AC4" in str(error.say)) == (Reason.UNSUPPORTED, True)


@pytest.mark.parametrize("damage", [18_800, 0, 188, 376])
def test_a_bad_packet_near_the_front_is_no_reason_to_refuse(
    damage: int, shelf: Path, plays: Callable[[bytes], float]
) -> None:
    """One byte of a transport stream was overwritten."""
    file = bytearray(whole("mpeg_ts", shelf))
    file[damage] = 0
    assert plays(bytes(file)) == pytest.approx(videos.SECONDS, abs=0.2)


@pytest.mark.parametrize("kind", videos.WHOLE)
def test_no_cut_and_no_flip_breaks_the_walk(kind: str, shelf: Path) -> None:
    """It reads what strangers wrote: it says something of the end, or raises MediaError, and nothing else."""
    file, chance = whole(kind, shelf), Random(kind)
    for _ in range(60):
        mutated = bytearray(file[: chance.randrange(1, len(file))])
        for _ in range(chance.randrange(6)):
            mutated[chance.randrange(min(len(mutated), 5000))] = chance.randrange(256)
        container = sniff(bytes(mutated[:SNIFF_BYTES])) or sniff(file[:SNIFF_BYTES])
        assert container
        opened = BytesIO(mutated)
        with suppress(MediaError):
            assert check_end(opened, len(mutated), locate(opened, len(mutated), container)) in End
