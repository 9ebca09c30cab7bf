"""What is said about a video, in whatever words, is said about its audio, and nothing that is nobody's business."""

from pathlib import Path

import mutagen
import pytest
from tinytag import TinyTag

from functions.model.encoding import ENCODINGS
from functions.model.options import Format
from functions.model.tags import Tags
from tests import videos
from tests.convert.conftest import Convert

FORMATS = [Format(name) for name in ENCODINGS]
SOUND = ("-f", "lavfi", "-i", "sine=440:d=1:r=48000", "-ac", "2")
# Places, devices and accounts, by the names that cameras, phones and downloaders give them.
SECRETS = (
    *("location", "location-deu", "RECORDING_LOCATION", "com.apple.quicktime.location.ISO6709", "make", "model"),
    *("com.apple.quicktime.model", "com.android.capture.fps", "encoded_by", "purl", "handler_name", "creation_time"),
    *("iTunNORM", "account_id", "copyright", "publisher", "synopsis", "grouping"),
)


def finished(tmp_path: Path, format_: str) -> Path:
    """What was converted last, by a name that says what it is."""
    return (tmp_path / "audio.mp3").rename(tmp_path / f"audio.{format_}")


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv", "mp3"])
def test_nothing_that_tells_where_with_what_or_by_whom_is_kept(
    suffix: str, format_: Format, shelf: Path, tmp_path: Path, convert: Convert
) -> None:
    """Neither of the whole nor of a stream; what is kept is a list, since nobody can list all that is not."""
    said = [word for name in SECRETS for word in ("-metadata", f"{name}=SECRET-{name}")]
    said += [word for name in SECRETS for word in ("-metadata:s:a:0", f"{name}=SECRET-{name}")]
    flags = ("-movflags", "use_metadata_tags") if suffix in ("mp4", "mov") else ()
    codec = ("-c:a", "libmp3lame" if suffix == "mp3" else "aac")
    video = videos.make(shelf / f"secret.{suffix}", *SOUND, *codec, *said, *flags, "-metadata", "title=Kept")
    assert b"SECRET" in video.read_bytes()
    convert(video, format=format_, vbr=2 if format_ is Format.MP3 else None)
    path = finished(tmp_path, format_)
    assert TinyTag.get(path).title == "Kept"
    assert b"SECRET" not in path.read_bytes()


@pytest.mark.parametrize(
    ("found", "tag", "text"),
    [
        ({"com.apple.quicktime.title": "T"}, "title", "T"),
        ({"com.apple.quicktime.artist": "A"}, "artist", "A"),
        ({"TITLE": "T"}, "title", "T"),
        ({"PERFORMER": "P", "ARTIST": "A"}, "artist", "A"),
        ({"PERFORMER": "P"}, "artist", "P"),
        ({"product": "A"}, "album", "A"),
        ({"ALBUMARTIST": "A"}, "album_artist", "A"),
        ({"lyrics-eng": "L"}, "lyrics", "L"),
        ({"lyrics-Refrain-deu": "L"}, "lyrics", "L"),
        ({"WM/Lyrics": "L\r\nl"}, "lyrics", "L\nl"),
        ({"description": "D", "comment": "C"}, "comment", "C"),
        ({"description": "D"}, "comment", "D"),
        ({"date": "2024-05-06T12:33:11+0200"}, "date", "2024-05-06"),
        ({"date": "2024"}, "date", "2024"),
        ({"DATE_RELEASED": "released 2024"}, "date", "2024"),
        ({"date": "yesterday"}, "date", None),
        ({"title": "a\u202eb\n\0c"}, "title", "abc"),
        ({"title": " "}, "title", None),
        ({"com.apple.quicktime.location.ISO6709": "+52.5+013.4/"}, "comment", None),
        ({"location": "+52.5+013.4/", "artist-location": "Berlin"}, "artist", None),
    ],
)
def test_a_tag_has_many_names(found: dict[str, str], tag: str, text: str | None) -> None:
    """QuickTime's, AVI's, Matroska's, Windows Media's, and those of ID3's lyrics."""
    kept = Tags.of(found)
    assert getattr(kept, tag) == text
    assert kept.items() == ([(tag, text)] if text else [])


def test_a_title_of_a_phone_s_video_is_kept(shelf: Path, tmp_path: Path, convert: Convert) -> None:
    """Its tags have Apple's names."""
    video = videos.make(
        shelf / "phone.mov", *SOUND, "-c:a", "aac", "-movflags", "use_metadata_tags",
        "-metadata", "com.apple.quicktime.title=Strand", "-metadata", "com.apple.quicktime.artist=Jemand",
    )  # fmt: skip
    convert(video)
    read = TinyTag.get(finished(tmp_path, "mp3"))
    assert (read.title, read.artist) == ("Strand", "Jemand")


def test_the_title_of_a_track_is_none_of_the_video(shelf: Path, tmp_path: Path, convert: Convert) -> None:
    """ "English, 5.1" is not what a song is called, also where the video has no tags at all."""
    video = videos.make(
        shelf / "named.mkv", *SOUND, "-c:a", "aac", "-metadata:s:a:0", "title=English, 5.1", "-bitexact"
    )
    convert(video)
    assert mutagen.File(finished(tmp_path, "mp3")).tags is None


def test_ogg_may_have_its_tags_in_another_stream(shelf: Path, tmp_path: Path, convert: Convert) -> None:
    """In that of the picture; the sound's own come before them."""
    video = videos.make(
        shelf / "other.ogv", *SOUND, "-f", "lavfi", "-i", "color=s=32x32:d=1", "-c:a", "libvorbis", "-c:v", "libtheora",
        "-metadata:s:v:0", "title=Picture", "-metadata:s:v:0", "artist=Painter", "-metadata:s:a:0", "artist=Singer",
    )  # fmt: skip
    convert(video)
    read = TinyTag.get(finished(tmp_path, "mp3"))
    assert (read.title, read.artist) == ("Picture", "Singer")


@pytest.mark.parametrize("format_", FORMATS)
def test_a_large_cover_is_read_by_others(format_: Format, shelf: Path, tmp_path: Path, convert: Convert) -> None:
    """Of more bytes than a page of Ogg or a line of text usually has."""
    noise = "nullsrc=s=1400x1400,format=gbrp,geq=r='random(1)*255':g='random(2)*255':b='random(3)*255'"
    large = videos.make(
        shelf / "noise.jpg",
        "-f",
        "lavfi",
        "-i",
        noise,
        "-frames:v",
        "1",
        "-q:v",
        "2",
        "-pix_fmt",
        "yuvj444p",
        "-bitexact",
    )
    assert large.stat().st_size > 1_000_000
    attached = ("-attach", str(large), "-metadata:s:t", "mimetype=image/jpeg")
    video = videos.make(shelf / "noisy.mkv", *SOUND, "-c:a", "aac", *attached)
    result = convert(video, format=format_, vbr=2 if format_ is Format.MP3 else None)
    path = finished(tmp_path, format_)
    images = TinyTag.get(path, image=True).images
    assert images.front_cover
    assert images.front_cover.data == large.read_bytes()
    assert result.facts.notes == ()
