"""Writing the MP3 beside its video: nothing that was there is lost, and nothing unfinished is left."""

import errno
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from emulator import audio


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """In a folder with nothing else in it."""
    video = tmp_path / "video.mp4"
    video.write_bytes(b"video")
    return video


def test_what_lies_there_stays_and_the_next_free_name_is_taken(video: Path) -> None:
    """A file, a directory, and a link that leads nowhere are all in the way."""
    video.with_name("video.mp3").write_bytes(b"somebody's")
    video.with_name("video (2).mp3").mkdir()
    video.with_name("video (3).mp3").symlink_to("nowhere")
    written = audio.write([b"o", b"urs"], video.with_name("video.mp3"), video=video, force=False)
    assert (written.name, written.read_bytes()) == ("video (4).mp3", b"ours")
    assert video.with_name("video.mp3").read_bytes() == b"somebody's"


def test_force_replaces_what_lies_there(video: Path) -> None:
    """In one step, so that nobody ever sees half an MP3."""
    video.with_name("video.mp3").write_bytes(b"somebody's")
    written = audio.write([b"ours"], video.with_name("video.mp3"), video=video, force=True)
    assert (written.name, written.read_bytes()) == ("video.mp3", b"ours")


@pytest.mark.parametrize("how", ["itself", "hard link", "symbolic link"])
def test_the_video_is_never_replaced(video: Path, how: str) -> None:
    """The name of the MP3 may be that of the video, or of a link to it."""
    wanted = video.with_name("video.mp3")
    match how:
        case "itself":
            video = video.rename(wanted)
        case "hard link":
            wanted.hardlink_to(video)
        case "symbolic link":
            wanted.symlink_to(video)
    assert audio.write([b"ours"], wanted, video=video, force=True).name == "video (2).mp3"
    assert video.read_bytes() == b"video"


def test_a_dot_in_a_name_begins_no_suffix_here(video: Path) -> None:
    """The download chooses the name. What is added to make it free comes before the last suffix."""
    wanted = video.with_name("Mr.Robot 2024.01.15.mp3")
    names = [audio.write([b""], wanted, video=video, force=False).name for _ in range(2)]
    assert names == ["Mr.Robot 2024.01.15.mp3", "Mr.Robot 2024.01.15 (2).mp3"]


def test_two_at_once_get_two_names(video: Path) -> None:
    """Eight threads look for a free name at the same moment."""
    together = Barrier(8)

    def pieces(number: int) -> Iterator[bytes]:
        together.wait(10)
        yield bytes([number])

    def write(number: int) -> Path:
        return audio.write(pieces(number), video.with_name("video.mp3"), video=video, force=False)

    with ThreadPoolExecutor(8) as pool:
        written = list(pool.map(write, range(8)))
    assert [path.read_bytes() for path in written] == [bytes([number]) for number in range(8)]


def test_what_breaks_leaves_nothing(video: Path) -> None:
    """Break: the disk is full, or the download is cut off. Symptom: half an MP3, or an odd file, is left."""

    def pieces() -> Iterator[bytes]:
        yield b"half"
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        audio.write(pieces(), video.with_name("video.mp3"), video=video, force=False)
    assert list(video.parent.iterdir()) == [video]


def test_a_folder_that_takes_no_file_is_found_out_beforehand(video: Path) -> None:
    """Nobody, not even root, can make a file in /proc."""
    audio.require_room(video.parent)
    assert list(video.parent.iterdir()) == [video]
    with pytest.raises(OSError, match=r"\[Errno"):
        audio.require_room(Path("/proc/self"))
