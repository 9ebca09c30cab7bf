"""The cover of the audio: from whatever picture a video brings, from a frame of it, or from an uploaded picture."""

import struct
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import mutagen
import pytest
from imageio_ffmpeg import get_ffmpeg_exe

from functions.convert import cover, jpeg
from functions.convert.jail import Jail, ffprobe
from functions.model.audio import Note
from functions.model.containers import Container
from tests import videos
from tests.convert.conftest import Convert, force

RED, BLUE, WHITE = (254, 0, 0), (0, 0, 254), (255, 255, 255)
SOUND = ("-f", "lavfi", "-i", "sine=440:d=1")
Attach = Callable[..., Path]


@dataclass(frozen=True)
class Picture:
    """The cover of a finished MP3, as a player that knows nothing of Exif shows it."""

    data: bytes

    @property
    def size(self) -> tuple[int, int]:
        command = [ffprobe(), "-v", "error", "-show_entries", "stream=codec_name,width,height", "-of", "csv=p=0", "-"]
        said = subprocess.run(command, input=self.data, capture_output=True, check=True).stdout.decode().split(",")
        assert said[0] == "mjpeg"
        return int(said[1]), int(said[2])

    def colour(self, across: float = 0.5, down: float = 0.5) -> tuple[int, ...]:
        """The colour at a place, both counted from 0 to 1."""
        width, height = self.size
        at = int(down * height) * width + int(across * width)
        command = [get_ffmpeg_exe(), "-v", "error", "-noautorotate", "-f", "jpeg_pipe", "-i", "-", "-pix_fmt", "rgb24"]
        shown = subprocess.run([*command, "-f", "rawvideo", "-"], input=self.data, capture_output=True, check=True)
        return tuple(shown.stdout[at * 3 : at * 3 + 3])


def read(path: Path) -> Picture | None:
    """The one cover of an MP3."""
    tags = mutagen.File(path).tags
    found = tags.getall("APIC") if tags else []
    assert len(found) <= 1
    return Picture(found[0].data) if found else None


@pytest.fixture
def made(tmp_path: Path) -> Callable[[], Picture | None]:
    """The cover of what was converted last."""
    return lambda: read(tmp_path / "audio.mp3")


def halves(directory: Path, suffix: str = "jpg", size: tuple[int, int] = (400, 200)) -> Path:
    """A picture that is red on the left and blue on the right."""
    (width, height), half = size, size[0] // 2
    drawn = f"color=red:s={width}x{height},drawbox=x={half}:c=blue:w={half}:h={height}:t=fill"
    return videos.make(
        directory / f"halves-{width}x{height}.{suffix}",
        *("-f", "lavfi", "-i", drawn, "-frames:v", "1", "-q:v", "2", "-bitexact"),
    )


@pytest.fixture
def attach(tmp_path: Path) -> Attach:
    """A Matroska with a file attached for each pair of a file and what the container says of it."""

    def run(*files: tuple[Path, str, str]) -> Path:
        words = []
        for at, (path, mime, name) in enumerate(files):
            said = (f"-metadata:s:t:{at}", f"mimetype={mime}", f"-metadata:s:t:{at}", f"filename={name}")
            words += ["-attach", str(path), *said]
        return videos.make(tmp_path / "attached.mkv", *SOUND, "-c:a", "aac", *words)

    return run


def exif(orientation: int) -> bytes:
    """A JPEG's segment of Exif: which way is up, the camera's maker, and a place."""
    entries = struct.pack("<HHII", 0x010F, 2, 7, 50)
    entries += struct.pack("<HHIHH", 0x0112, 3, 1, orientation, 0) + struct.pack("<HHII", 0x8825, 4, 1, 57)
    body = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 3) + entries + struct.pack("<I", 0) + b"SECRET\0"
    body += struct.pack("<HHHI4sI", 1, 1, 2, 2, b"N\0\0\0", 0)
    return b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body


@pytest.mark.parametrize(
    ("suffix", "mime"),
    [
        ("jpg", "image/jpeg"), ("png", "image/png"), ("gif", "image/gif"), ("webp", "image/webp"), ("bmp", "image/bmp"),
        ("tiff", "image/tiff"), ("png", "image/jpeg"), ("jpg", "image/png"), ("webp", "image/jpeg"),
    ],
)  # fmt: skip
def test_a_picture_is_what_its_bytes_say(
    suffix: str, mime: str, shelf: Path, attach: Attach, convert: Convert, made: Callable[[], Picture]
) -> None:
    """Containers call many a PNG a JPEG, and ffmpeg knows some kinds only as files."""
    facts = convert(attach((halves(shelf, suffix), mime, "cover.jpg"))).facts
    assert facts.notes == ()
    assert made().size == (400, 200)
    assert made().colour(0.25) == pytest.approx(RED, abs=10)
    assert made().colour(0.75) == pytest.approx(BLUE, abs=10)


def unreadable(directory: Path) -> dict[str, bytes]:
    """Files that are called a picture, by what they are."""
    png, jpg = halves(directory, "png").read_bytes(), halves(directory).read_bytes()
    damaged = bytearray(jpg)
    damaged[len(jpg) * 2 // 3 : len(jpg) * 2 // 3 + 60] = bytes(60)
    return {
        "HTML": b"<html><body>404 Not Found</body></html>" * 20,
        "SVG": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        "nothing": b"\0",
        "half a PNG": png[: len(png) // 2],
        "half a JPEG": jpg[: len(jpg) // 2],
        "a scratched JPEG": bytes(damaged),
        "a bomb": png[:16] + struct.pack(">II", 30_000, 30_000) + png[24:],
        "the first bytes of a JPEG": jpg[:3],
    }


@pytest.mark.parametrize("kind", [
    "HTML", "SVG", "nothing", "half a PNG", "half a JPEG", "a scratched JPEG", "a bomb", "the first bytes of a JPEG",
])  # fmt: skip
@pytest.mark.parametrize("mime", ["image/jpeg", "image/png"])
def test_a_picture_that_cannot_be_read_costs_the_cover_and_not_the_sound(
    kind: str, mime: str, shelf: Path, tmp_path: Path, attach: Attach, convert: Convert, made: Callable[[], Picture]
) -> None:
    path = tmp_path / "given"
    path.write_bytes(unreadable(shelf)[kind])
    facts = convert(attach((path, mime, "cover.jpg"))).facts
    assert facts.duration == pytest.approx(1, abs=0.05)
    assert facts.notes == (Note.COVER_UNREADABLE,)
    assert made() is None
    uploaded = force(videos.plain(shelf), Container.MP4, tmp_path, picture=path.read_bytes(), cover="upload").facts
    assert uploaded.notes == (Note.COVER_UNREADABLE,)


def test_what_is_attached_and_no_picture_is_no_cover(
    tmp_path: Path, attach: Attach, convert: Convert, made: Callable[[], Picture]
) -> None:
    """Fonts and subtitles lie in many a Matroska; nobody is told that they are no pictures."""
    path = tmp_path / "font"
    path.write_bytes(bytes(100))
    assert convert(attach((path, "font/ttf", "cover.ttf"))).facts.notes == ()
    assert made() is None


@pytest.mark.parametrize("first", ["cover.jpg", "cover_land.jpg", "small_cover.jpg"])
def test_of_several_pictures_the_front_cover_is_taken(
    first: str, shelf: Path, attach: Attach, convert: Convert, made: Callable[[], Picture]
) -> None:
    """Matroska tells them by their names, wherever they stand."""
    small, large = halves(shelf, size=(40, 20)), halves(shelf)
    last = "cover.png" if first != "cover.jpg" else "small_cover.png"
    convert(attach((small, "image/jpeg", first), (large, "image/jpeg", last)))
    assert made().size == ((40, 20) if first == "cover.jpg" else (400, 200))


def test_id3_tells_the_front_cover_by_its_type(
    shelf: Path, tmp_path: Path, convert: Convert, made: Callable[[], Picture]
) -> None:
    """Here the back cover and an icon stand before it."""
    pictures = [halves(shelf, size=size) for size in ((40, 20), (32, 32), (400, 200))]
    kinds = ("Cover (back)", "Other file icon", "Cover (front)")
    video = videos.make(
        tmp_path / "three.mp3", *SOUND, *(word for path in pictures for word in ("-i", str(path))), "-c:v", "copy",
        *(word for at in range(4) for word in ("-map", str(at))),
        *(word for at, kind in enumerate(kinds) for word in (f"-metadata:s:v:{at}", f"comment={kind}")),
    )  # fmt: skip
    convert(video)
    assert made().size == (400, 200)


def test_where_the_first_picture_cannot_be_read_another_one_is_taken(
    shelf: Path, tmp_path: Path, attach: Attach, convert: Convert, made: Callable[[], Picture]
) -> None:
    (tmp_path / "html").write_bytes(b"<html>")
    facts = convert(
        attach((tmp_path / "html", "image/jpeg", "cover.jpg"), (halves(shelf), "image/jpeg", "b.jpg"))
    ).facts
    assert facts.notes == ()
    assert made().size == (400, 200)


def test_a_jpeg_loses_what_is_said_about_it_and_nothing_else(
    shelf: Path, attach: Attach, tmp_path: Path, convert: Convert, made: Callable[[], Picture]
) -> None:
    """Where it was taken and with what: XMP, IPTC, a comment, and what a phone has put behind the picture."""
    whole = halves(shelf).read_bytes()
    said = b"".join(
        b"\xff" + marker + struct.pack(">H", len(text) + 2) + text
        for marker, text in (
            (b"\xe1", b"http://ns.adobe.com/xap/1.0/\0<SECRET/>"),
            (b"\xed", b"Photoshop 3.0\0SECRET"),
            (b"\xfe", b"SECRET\xff\xd9"),
            (b"\xe2", b"MPF\0SECRET"),
        )
    )
    path = tmp_path / "talking.jpg"
    path.write_bytes(whole[:20] + said + whole[20:] + b"SECRET video")
    convert(attach((path, "image/jpeg", "cover.jpg")))
    assert made().data == whole
    assert b"SECRET" not in (tmp_path / "audio.mp3").read_bytes()


@pytest.mark.parametrize("size", [(400, 200), (4000, 2000)])
@pytest.mark.parametrize("orientation", [1, 6])
def test_exif_is_obeyed_and_left_out(
    orientation: int, size: tuple[int, int], shelf: Path, tmp_path: Path, attach: Attach, convert: Convert,
    made: Callable[[], Picture],
) -> None:  # fmt: skip
    """Orientation 6: the picture lies on its left side (Exif 2.32, 4.6.4)."""
    whole = halves(shelf, size=size).read_bytes()
    path = tmp_path / "exif.jpg"
    path.write_bytes(whole[:2] + exif(orientation) + whole[2:])
    convert(attach((path, "image/jpeg", "cover.jpg")))
    expected = min(size, (1500, 750))
    assert made().size == (expected if orientation == 1 else expected[::-1])
    places = ((0.25, 0.5), (0.75, 0.5)) if orientation == 1 else ((0.5, 0.25), (0.5, 0.75))
    assert [made().colour(*place) for place in places] == [
        pytest.approx(RED, abs=10), pytest.approx(BLUE, abs=6),
    ]  # fmt: skip
    assert b"SECRET" not in (tmp_path / "audio.mp3").read_bytes()


@pytest.mark.parametrize("kind", ["rgba", "rgba64be", "ya8"])
def test_what_is_transparent_becomes_white(
    kind: str, shelf: Path, attach: Attach, convert: Convert, made: Callable[[], Picture]
) -> None:
    path = videos.make(
        shelf / f"clear-{kind}.png",
        *("-f", "lavfi", "-i", f"color=black@0.0:s=200x100,format=rgba,format={kind}", "-frames:v", "1"),
    )
    convert(attach((path, "image/png", "cover.png")))
    assert made().colour() == pytest.approx(WHITE, abs=3)


@pytest.mark.parametrize(
    ("size", "expected"),
    [((6000, 3000), (1500, 750)), ((40, 20), (40, 20)), ((4000, 2), (1500, 1)), ((2, 4000), (1, 1500))],
)
def test_a_picture_is_made_smaller_but_never_larger(
    size: tuple[int, int], expected: tuple[int, int], shelf: Path, attach: Attach, convert: Convert,
    made: Callable[[], Picture],
) -> None:  # fmt: skip
    """One of 18 million pixels too, within the memory that ffmpeg may have."""
    convert(attach((halves(shelf, "png", size), "image/png", "cover.png")))
    assert made().size == expected


def numbered(directory: Path, suffix: str, codec: str) -> Path:
    """Twenty seconds that become brighter with every second, and a whole frame every four."""
    grey = "color=s=64x64:r=25:d=20,format=gray,geq=lum='10*floor(T)+30',format=yuv420p"
    return videos.make(
        directory / f"numbered.{suffix}",
        *("-f", "lavfi", "-i", grey, "-f", "lavfi", "-i", "sine=d=20:r=44100", "-c:v", codec, "-g", "100", "-ac", "2"),
    )


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [
        ("mp4", "libx264"), ("mkv", "libx264"), ("ts", "libx264"), ("mpg", "mpeg2video"), ("avi", "mpeg4"),
        ("flv", "flv1"), ("wmv", "wmv2"), ("ogv", "libtheora"),
    ],
)  # fmt: skip
@pytest.mark.parametrize(("at", "second"), [(0.0, 0), (3.5, 3), (10.5, 10), (19.5, 19), (500.0, 19)])
def test_a_frame_is_the_one_that_is_shown_at_that_time(
    at: float, second: int, suffix: str, codec: str, shelf: Path, convert: Convert, made: Callable[[], Picture]
) -> None:
    """In containers without an index too; the last one where the video has ended before."""
    convert(numbered(shelf, suffix, codec), cover=at, end=0.5)
    assert made().colour()[1] == pytest.approx(10 * second + 30, abs=4)


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
@pytest.mark.parametrize(("at", "second"), [(5.0, 0), (15.0, 10), (45.0, 20), (70.0, 20)])
def test_a_frame_is_shown_until_the_next_one_comes(
    at: float, second: int, suffix: str, shelf: Path, convert: Convert, made: Callable[[], Picture]
) -> None:
    """A talk with a slide every ten seconds, the last of which stays for half a minute."""
    grey = "color=s=64x64:r=1/10:d=30,format=gray,geq=lum='3*T+100',format=yuv420p"
    video = videos.make(
        shelf / f"slides.{suffix}", "-f", "lavfi", "-i", grey, "-f", "lavfi", "-i", "sine=d=60", "-c:v", "libx264",
    )  # fmt: skip
    convert(video, cover=at, end=0.5)
    assert made().colour()[1] == pytest.approx(3 * second + 100, abs=4)


def test_a_frame_of_high_definition_keeps_its_colours(
    shelf: Path, convert: Convert, made: Callable[[], Picture]
) -> None:
    """Its colours are coded as in BT.709, those of a JPEG as in BT.601."""
    tagged = ("-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709")
    video = videos.make(
        shelf / "bt709.mp4", *SOUND, "-f", "lavfi", "-i",
        "color=0xC04020:s=1280x720:r=5:d=1,format=gbrp,scale=out_color_matrix=bt709:out_range=tv,format=yuv420p",
        *tagged, "-c:v", "libx264",
    )  # fmt: skip
    convert(video, cover=0.5)
    assert made().colour() == pytest.approx((0xC0, 0x40, 0x20), abs=5)


def test_a_frame_is_turned_as_a_player_turns_it(shelf: Path, convert: Convert, made: Callable[[], Picture]) -> None:
    """A phone that is held upright records lying and says so."""
    video = shelf / "upright.mp4"
    if not video.exists():
        lying = videos.make(
            shelf / "lying.mp4", *SOUND, "-loop", "1", "-i", str(halves(shelf)), "-t", "1", "-c:v", "libx264",
            "-pix_fmt", "yuv420p",
        )  # fmt: skip
        videos.make(video, "-display_rotation:v:0", "90", "-i", str(lying), "-c", "copy")
    convert(video, cover=0.5)
    assert made().size == (200, 400)


def test_sound_without_a_picture_has_no_frame(shelf: Path, convert: Convert) -> None:
    assert convert(videos.wav(shelf), cover=1.0).facts.notes == (Note.COVER_UNREADABLE,)


def test_no_run_is_made_for_a_cover_where_there_is_no_picture(
    shelf: Path, convert: Convert, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or where none is wanted."""
    runs: list[str] = []
    run = cover._run

    def noted(jail: Jail, words: list[str], most: int, made: str) -> None:
        runs.append(made)
        run(jail, words, most, made)

    monkeypatch.setattr(cover, "_run", noted)
    convert(videos.plain(shelf))
    convert(videos.covered(shelf), cover="strip")
    assert runs == []
    convert(videos.covered(shelf))
    assert runs == ["picture", "cover.jpg"]


@pytest.mark.parametrize("at", range(0, 60, 7))
def test_no_bytes_stop_the_reader_of_jpegs(at: int, shelf: Path) -> None:
    """Cut off anywhere it is no whole picture; and no length that a segment claims is believed beyond the end."""
    whole = halves(shelf).read_bytes()
    assert jpeg.read(whole[: len(whole) * at // 60]) is None
    for length in (b"\0\0", b"\0\1", b"\xff\xff"):
        hurt = whole[:4] + length + whole[6:]
        found = jpeg.read(hurt)
        assert found is None or found.data.startswith(b"\xff\xd8")
