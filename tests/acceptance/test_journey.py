"""What the system is for: a video goes in and an MP3 comes out, with no part replaced."""

import re
from pathlib import Path

import pytest
import requests

from tests import videos
from tests.acceptance.person import Person
from tests.acceptance.terminal import emulate, running_below
from tests.waiting import PATIENCE


@pytest.mark.parametrize("form", ["multipart", "raw"])
def test_a_video_becomes_an_mp3_and_its_owner_gets_a_link(person: Person, form: str, tmp_path: Path) -> None:
    """From registering to the MP3 behind the link in the mail, for both ways of uploading."""
    with videos.bunny().open("rb") as video:
        if form == "multipart":
            answer = person.ask("POST", "/upload", files={"file": ("Big Bück.mp4", video)})
        else:
            answer = person.ask("POST", "/upload", params={"filename": "Big Bück.mp4"}, data=video)
    assert answer.status_code == 202, answer.text
    assert answer.headers["Location"] == f"/jobs/{answer.json()['id']}"

    job = person.ended(answer.json())
    assert job["state"] == "done", job

    mp3 = tmp_path / "video.mp3"
    download = person.ask("GET", job["audio"]["url"])
    mp3.write_bytes(download.content)
    assert "filename*=UTF-8''Big%20B%C3%BCck.mp3" in download.headers["Content-Disposition"]
    assert videos.play(mp3) == pytest.approx(videos.play(videos.bunny()), abs=0.1)

    email = person.email()
    assert email["Subject"] == "Your MP3 is ready: Big Bück.mp4"
    (link,) = re.findall(r"http://\S+/download\S+", email["Text"])
    assert requests.get(link, timeout=PATIENCE).content == download.content


def test_a_video_without_sound_fails_and_its_owner_is_told_why(person: Person, tmp_path: Path) -> None:
    """The reason is on the job and, in words, in the mail."""
    with videos.silent(tmp_path).open("rb") as video:
        answer = person.ask("POST", "/upload", files={"file": ("mute.mp4", video)})
    job = person.ended(answer.json())
    assert (job["state"], job["error"]["reason"]) == ("failed", "no_audio")
    assert "no sound" in person.email()["Text"]


def test_one_command_takes_a_video_through_the_system(tmp_path: Path) -> None:
    """`make run VIDEO=…` writes the MP3 beside the video, says where the mail is, and leaves nothing running."""
    video = tmp_path / "my video.mp4"
    video.write_bytes(videos.bunny().read_bytes())
    done = emulate(tmp_path, VIDEO=str(video))
    assert done.returncode == 0, done.stdout + done.stderr
    assert videos.play(video.with_suffix(".mp3")) == pytest.approx(videos.play(video), abs=0.1)
    (email,) = re.findall(r"\S+\.eml", done.stdout)
    assert "Your MP3 is ready" in Path(email).read_text(encoding="utf-8")
    assert "Traceback" not in done.stderr
    assert running_below(tmp_path) == []


def test_one_command_says_why_a_video_cannot_be_converted(tmp_path: Path) -> None:
    """With the exit code 1, the reason as the API has it, and the words of the mail."""
    done = emulate(tmp_path, VIDEO=str(videos.silent(tmp_path)))
    assert done.returncode == 1
    assert "no_audio" in done.stderr
    assert "The video has no sound" in done.stderr


def test_a_video_that_is_not_there_is_named_with_the_usage(tmp_path: Path) -> None:
    """The name may have a typo, so nothing is started for it."""
    done = emulate(tmp_path, VIDEO="nowhere.mp4")
    assert done.returncode == 2
    assert "nowhere.mp4" in done.stderr
    assert "make run VIDEO=" in done.stderr
