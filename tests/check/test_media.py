"""What a video's audio is called, and what a person is told."""

import pytest
from hypothesis import given
from hypothesis import strategies as some

from functions.model.encoding import MP3
from functions.model.media import MediaError, Reason, audio_name, text, video_name


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
