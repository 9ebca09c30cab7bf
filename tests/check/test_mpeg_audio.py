"""What the header of an MPEG audio frame says, and what an MP3 counts of itself."""

from io import BytesIO

import pytest
from hypothesis import example, given
from hypothesis import strategies as some

from functions.model.encoding import MP3
from functions.model.mpeg_audio import Count, Frame, find_count, id3_length, read_frame

# tests/convert tries the lengths on files that LAME has written.
FRAMES = {
    "MPEG-1 layer III, 128, 44100": (b"\xff\xfb\x90\x00", Frame(44100, 1152, 417)),
    "MPEG-1 layer III, 128, 44100, padded": (b"\xff\xfb\x92\x00", Frame(44100, 1152, 418)),
    "MPEG-1 layer III, 320, 48000": (b"\xff\xfb\xe4\x00", Frame(48000, 1152, 960)),
    "MPEG-1 layer III with a checksum": (b"\xff\xfa\x90\x00", Frame(44100, 1152, 417)),
    "MPEG-1 layer II, 192, 48000": (b"\xff\xfd\xa4\x00", Frame(48000, 1152, 576)),
    "MPEG-2 layer III, 64, 22050": (b"\xff\xf3\x80\x00", Frame(22050, 576, 208)),
    "MPEG-2.5 layer III, 8, 8000": (b"\xff\xe3\x18\x00", Frame(8000, 576, 72)),
}
NO_FRAMES = {
    "nothing": b"",
    "half a header": b"\xff\xfb\x90",
    "another sync": b"\xff\xdb\x90\x00",
    "a reserved version": b"\xff\xeb\x90\x00",
    "layer I": b"\xff\xff\x90\x00",
    "a reserved layer": b"\xff\xf9\x90\x00",
    "free format": b"\xff\xfb\x00\x00",
    "a forbidden bitrate": b"\xff\xfb\xf0\x00",
    "a reserved sample rate": b"\xff\xfb\x9c\x00",
}


@pytest.mark.parametrize(("head", "frame"), FRAMES.values(), ids=FRAMES)
def test_a_header_says_rate_samples_and_length(head: bytes, frame: Frame) -> None:
    """Whatever stands behind it."""
    assert read_frame(head) == read_frame(head + b"\xff" * 9) == frame


@pytest.mark.parametrize("head", NO_FRAMES.values(), ids=NO_FRAMES)
def test_what_is_no_header_is_none(head: bytes) -> None:
    """Nor is one from which the next frame cannot be found."""
    assert read_frame(head) is None


def test_a_tag_s_length_counts_its_header() -> None:
    """In bytes of seven bits, so that no tag looks like a frame (ID3v2.3, 3.1)."""
    assert id3_length(b"ID3\x03\x00\x00\x00\x00\x02\x01") == 10 + 257
    assert id3_length(b"ID3\x03\x00\x00\x00\x00\x82\x01") == id3_length(b"ID3 is a tag") == id3_length(b"ID3") == 0


def xing(word: bytes, flags: int, frames: int, size: int, padding: int, tag: bytes = b"") -> bytes:
    """An MP3 that begins with that tag and counts itself in its first frame: mono, so 17 bytes stand between."""
    counts = flags.to_bytes(4) + frames.to_bytes(4) + size.to_bytes(4)
    return tag + b"\xff\xfb\x90\xc0" + bytes(17) + word + counts + bytes(125) + padding.to_bytes(3) + bytes(300)


TAG = b"ID3\x03\x00\x00\x00\x00\x00\x05" + bytes(5)


@pytest.mark.parametrize("tag", [b"", TAG], ids=["alone", "behind a tag"])
@pytest.mark.parametrize("word", [b"Xing", b"Info"])
def test_an_mp3_counts_itself(word: bytes, tag: bytes) -> None:
    """Its frames, its bytes and what the encoder added: 576 samples before the sound, 1000 behind it."""
    count = find_count(BytesIO(xing(word, 15, 100, 41700, 576 << 12 | 1000, tag)))
    assert count == Count(len(tag), 41700, 100, 1576, Frame(44100, 1152, 417))
    assert count.seconds == pytest.approx((115200 - 1576) / 44100)


@pytest.mark.parametrize("flags", [0, 1, 2, 4])
def test_an_mp3_that_does_not_count_frames_and_bytes_has_no_length(flags: int) -> None:
    """A guess would be taken for the truth."""
    with pytest.raises(ValueError, match="no Xing or Info"):
        MP3.measure(BytesIO(xing(b"Xing", flags, 100, 41700, 0)))


@given(some.binary(max_size=400), some.integers(0, 400))
@example(b"ID3\x03\x00\x00\x7f\x7f\x7f\x7f", 0)
@example(xing(b"Xing", 15, 100, 41700, 0), 30)
def test_any_bytes_are_read(noise: bytes, length: int) -> None:
    """Strangers wrote them: what is cut off anywhere, or is no MP3 at all, is none or counts something."""
    for content in (noise, xing(b"Info", 3, 1, 1, 0)[:length] + noise):
        count = find_count(BytesIO(content))
        assert count is None or count.first.hertz > 0
