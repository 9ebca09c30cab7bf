"""What counts as media, what its audio is called, and what a person is told."""

import pytest
from hypothesis import given
from hypothesis import strategies as some

from functions.model.containers import SNIFF_BYTES, Container, sniff
from functions.model.encoding import MP3
from functions.model.media import MediaError, Reason, audio_name, text, video_name

TS_PACKET = b"\x47\x40\x11\x10" + b"\xff" * 184
MP3_FRAME = b"\xff\xfb\x90\x00" + b"\0" * 413  # MPEG-1 layer III, 128 kbit/s, 44100 Hz
ADTS_FRAME = b"\xff\xf1\x50\x80\x01\x7f\xfc" + b"\0" * 4  # 11 bytes

MEDIA = {
    "mp4": (b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41", Container.MP4),
    "QuickTime that begins with its sound": (b"\0\0\0\x01mdat" + b"\0" * 8, Container.MP4),
    "old QuickTime": (b"\0\0\0\x08wide\0\1\2\3mdat", Container.MP4),
    "Matroska": (
        b"\x1aE\xdf\xa3\xa3B\x86\x81\1B\xf7\x81\1B\xf2\x81\4B\xf3\x81\x08B\x82\x88matroska",
        Container.MATROSKA,
    ),
    "WebM": (b"\x1aE\xdf\xa3\x9fB\x86\x81\1B\x82\x84webm", Container.MATROSKA),
    "AVI": (b"RIFF\x10\0\0\0AVI LIST", Container.AVI),
    "WAV": (b"RIFF\xff\xff\xff\xffWAVEfmt ", Container.WAV),
    "WAV beyond 4 GB": (b"RF64\xff\xff\xff\xffWAVEds64", Container.WAV),
    "Flash": (b"FLV\x01\5\0\0\0\x09", Container.FLV),
    "Ogg": (b"OggS\0\2", Container.OGG),
    "Windows Media": (bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c"), Container.ASF),
    "MPEG-2 program stream": (b"\0\0\1\xba\x44\0\4", Container.MPEG_PS),
    "MPEG-1 program stream": (b"\0\0\1\xba\x21\0\1", Container.MPEG_PS),
    "transport stream": (TS_PACKET * 8, Container.MPEG_TS),
    "transport stream from the middle of a packet": (TS_PACKET[100:] + TS_PACKET * 8, Container.MPEG_TS),
    "camcorder's transport stream": ((b"\0\0\0\1" + TS_PACKET) * 8, Container.MPEG_TS),
    "transport stream with parity": ((TS_PACKET + b"\1" * 16) * 8, Container.MPEG_TS),
    "FLAC": (b"fLaC\0\0\0\x22", Container.FLAC),
    "MP3": (MP3_FRAME * 3, Container.MP3),
    "MP3 behind a tag": (b"ID3\x03\0\0\0\0\0\x0a" + b"\0" * 10 + MP3_FRAME * 2, Container.MP3),
    "MP3 behind a tag with a large picture": (b"ID3\x04\0\0\0\7\x7f\x7f" + b"\1" * 4000, Container.MP3),
    "FLAC behind a tag": (b"ID3\x04\0\0\0\0\0\x0a" + b"\0" * 10 + b"fLaC", Container.FLAC),
    "raw AAC": (ADTS_FRAME * 3, Container.AAC),
}

NOT_MEDIA = {
    "nothing": b"",
    "text": b"Dear all, the video is attached.",
    "text that says what a box says": b"The free world and its friends",
    "text of one letter": b"G" * SNIFF_BYTES,
    "HLS playlist": b"#EXTM3U\n#EXTINF:5,\nfile:///etc/passwd\n",
    "ffconcat script": b"ffconcat version 1.0\nfile plain.mp4\n",
    "concat address": b"concat:a.ts|b.ts",
    "HTML": b"<!doctype html><video src=a.mp4>",
    "JPEG": b"\xff\xd8\xff\xe0\0\x10JFIF",
    "PNG": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
    "GIF": b"GIF89a",
    "WebP": b"RIFF\x10\0\0\0WEBPVP8 ",
    "AVIF": b"\0\0\0\x20ftypavif\0\0\0\0",
    "HEIC": b"\0\0\0\x20ftypheic\0\0\0\0",
    "zip": b"PK\x03\x04\x14\0",
    "PDF": b"%PDF-1.7\n",
    "ELF": b"\x7fELF\2\1\1",
    "UTF-16 text": b"\xff\xfea\0b\0c\0" * 400,
    "EBML that is no Matroska": b"\x1aE\xdf\xa3\x9fB\x86\x81\1B\x82\x84note",
    "one MP3 frame and noise": MP3_FRAME + b"noise",
    "MP3's sync alone": b"\xff\xfb",
    "a tag that is none": b"ID3 is a tag format.",
    "half a signature": b"\0\0\0\x20ft",
}


@pytest.mark.parametrize("name", MEDIA)
def test_media_is_known_by_its_first_bytes(name: str) -> None:
    """Each container names the one ffmpeg demuxer that may open it."""
    head, container = MEDIA[name]
    assert sniff(head[:SNIFF_BYTES]) is container


@pytest.mark.parametrize("name", NOT_MEDIA)
def test_what_is_no_media_is_refused(name: str) -> None:
    """Playlists, pictures, documents and noise never reach ffmpeg."""
    assert sniff(NOT_MEDIA[name]) is None


@pytest.mark.parametrize("name", MEDIA)
def test_sniffing_survives_a_head_of_any_length(name: str) -> None:
    """A client may hang up after any byte. A tag with nothing behind it is taken for that of an MP3."""
    head, container = MEDIA[name]
    assert {sniff(head[:length]) for length in range(len(head))} <= {None, Container.MP3, container}


@pytest.mark.parametrize(
    ("video", "audio"),
    [
        ("Mein Video.mp4", "Mein Video.mp3"),
        ("Ünïcödé 映画.webm", "Ünïcödé 映画.mp3"),
        ("../../etc/passwd", "passwd.mp3"),
        ("C:\\Videos\\clip.AVI", "clip.mp3"),
        ("a\r\nSet-Cookie: b.mp4", "aSet-Cookie: b.mp3"),
        ("gpj\u202e4pm.mp4", "gpj4pm.mp3"),
        ("👩\u200d🚀.mp4", "👩\u200d🚀.mp3"),
        ("lone \ud800 surrogate.mp4", "lone  surrogate.mp3"),
        ("Mr. Robot S01E01", "Mr. Robot S01E01.mp3"),
        ("Interview v1.2", "Interview v1.2.mp3"),
        ("Mr.Robot", "Mr.Robot.mp3"),
        ("2024.01.15", "2024.01.15.mp3"),
        ("2024.01.15.mkv", "2024.01.15.mp3"),
        ("Dr. No.mp4.MOV", "Dr. No.mp4.mp3"),
        ("archive.tar.gz", "archive.tar.gz.mp3"),
        ("a.MP4", "a.mp3"),
        ("x.mp4.", "x.mp3"),
        ("x.mp4 ..", "x.mp3"),
        ("mp4", "mp4.mp3"),
        ("x.\u202emp4", "x.mp3"),
        ("already.mp3", "already.mp3"),
        ("Recording from TV.dvr-ms", "Recording from TV.mp3"),
        ("Voice 001.3ga", "Voice 001.mp3"),
        ("VID_0001.INSV", "VID_0001.mp3"),
        ("clip.m2p", "clip.mp3"),
        ("movie.m4v.part", "movie.m4v.part.mp3"),
        ("\u200b\xad\u2060.mp4", "audio.mp3"),
        ("in\xadvisi\u200bble.mp4", "invisible.mp3"),
        (".mp4", "audio.mp3"),
        ("..", "audio.mp3"),
        ("", "video.mp3"),
        ("videos/", "video.mp3"),
        ("\0\x07\x1b", "video.mp3"),
        (" . .mp4", "audio.mp3"),
    ],
)
def test_an_mp3_is_called_after_its_video(video: str, audio: str) -> None:
    """Whatever a stranger calls a video, the name of its MP3 is one plain path component."""
    assert audio_name(video, MP3) == audio


def test_a_long_name_is_cut_between_letters() -> None:
    """200 bytes at most, no half character at the end, and a suffix stays one."""
    assert audio_name("映" * 300 + ".mp4", MP3) == "映" * 65 + ".mp3"
    assert video_name("映" * 300 + ".webm") == "映" * 65 + ".webm"
    assert video_name("a." * 150) == "a." * 100


@pytest.mark.parametrize(
    ("sent", "name"),
    [
        ("Größe.mp4".encode(), "Größe.mp4"),
        ("Größe.mp4".encode("latin-1"), "Größe.mp4"),
        ("„Größe“ – 5 €.mp4".encode("cp1252"), "„Größe“ – 5 €.mp4"),
        (b"\x81.mp4", "\ufffd.mp4"),
        (b"\xed\xa0\x80.mp4", "í\xa0€.mp4"),  # half a surrogate pair is no UTF-8
    ],
)
def test_any_bytes_are_a_name(sent: bytes, name: str) -> None:
    """UTF-8, or else what old clients on Windows send, with a mark for what is no letter there either."""
    assert text(sent) == name


@given(some.text(some.characters(), max_size=300))
def test_no_name_makes_a_name_that_a_file_system_or_a_header_refuses(sent: str) -> None:
    """Nor one that Postgres refuses. It is the same whether the video's name was cleaned before or not."""
    name = audio_name(sent, MP3)
    assert len(name.encode()) <= 200  # which fails for half a surrogate pair
    assert not set(name) & set("/\\\0\r\n")
    assert not name.startswith(".")
    assert name == audio_name(video_name(sent), MP3)


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_says_in_plain_words_what_to_do(reason: Reason) -> None:
    """Two sentences: what is wrong, and what a person can do."""
    assert reason.sentence.endswith(".")
    assert ". " in reason.sentence
    assert reason == reason.name.lower()  # stored in rows: stable


def test_a_media_error_carries_reason_and_detail() -> None:
    """The reason is for the owner, the detail for the log."""
    error = MediaError(Reason.DAMAGED, "status 69")
    assert (error.reason, error.detail, str(error)) == (Reason.DAMAGED, "status 69", "damaged: status 69")
    assert str(MediaError(Reason.NO_AUDIO)) == "no_audio"
