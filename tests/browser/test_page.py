"""A person at the page, in a real browser, on the whole running system."""

import re
import secrets
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest

from emulator.system import System
from functions.model.audio import Note
from functions.stores.accounts import Accounts
from functions.stores.jobs import Jobs
from functions.stores.postgres import Database
from tests import videos
from tests.browser.visitor import Visitor
from tests.jobs import finish, new_job


def talkative(folder: Path) -> Path:
    """Three seconds, in German and in English, in two chapters."""
    return videos.bilingual(folder).rename(folder / "talk.mp4")


def test_a_video_becomes_an_mp3_to_listen_to_and_to_keep(visitor: Visitor) -> None:
    """Register, choose a video, see it done, play it, download it; the browser finds nothing to complain of."""
    visitor.register()
    visitor.choose(videos.bunny())
    visitor.await_state("done")
    assert visitor.read(".title") == "bigbuckbunny.mp4"
    assert re.match(r"0:05 · [\d.]+ kB from 1.06 MB · ", visitor.read(".facts"))

    visitor.press("play")
    visitor.await_that(lambda: visitor.read(".facts").startswith("0:02 of 0:05"))
    assert visitor.find("[data-action=play]").accessible_name == "Pause bigbuckbunny.mp4"
    value = visitor.find(".strip input").get_attribute("aria-valuetext") or ""
    assert re.fullmatch(r"0:0[2-5] of 0:05", value)  # it plays on

    visitor.press("download")
    mp3 = visitor.downloads / "bigbuckbunny.mp3"
    visitor.await_that(mp3.exists)
    assert 5.2 < videos.play(mp3) < 5.5
    assert visitor.complaints == []


def test_videos_chosen_together_all_arrive(visitor: Visitor, tmp_path: Path) -> None:
    """One after another, the last on top."""
    visitor.register()
    visitor.choose(videos.plain(tmp_path), videos.bunny())
    visitor.await_that(lambda: visitor.count("[data-state=done]") == 2)
    assert [title.text for title in visitor.chrome.find_elements("css selector", ".title")] == [
        "bigbuckbunny.mp4",
        "plain.mp4",
    ]


def test_a_video_can_be_dropped_anywhere(visitor: Visitor) -> None:
    """The page shows that it would take it, and takes it."""
    visitor.register()
    for event in ("dragEnter", "dragOver", "drop"):
        assert visitor.count("body.over") == (event == "drop")
        visitor.drag(event, videos.bunny())
    visitor.await_state("done")
    assert visitor.count("body.over") == 0


def test_an_upload_can_be_called_off(visitor: Visitor) -> None:
    """On a slow line its row shows how far it is; cancelled, it is gone and nothing arrives."""
    visitor.register()
    visitor.command("Network.enable")
    visitor.command(
        "Network.emulateNetworkConditions", offline=False, latency=0, downloadThroughput=-1, uploadThroughput=100_000
    )
    visitor.choose(videos.bunny())
    visitor.await_that(lambda: re.fullmatch(r"[1-9]\d?%", visitor.read(".track .figure")))
    visitor.press("cancel")
    visitor.await_that(lambda: visitor.sees("#nothing"))
    visitor.chrome.refresh()
    visitor.await_that(lambda: visitor.sees("#nothing"))


def test_why_a_video_failed_stands_there_in_plain_words(visitor: Visitor, tmp_path: Path) -> None:
    """No sound: the reason is a sentence, trying again leads to the same, and deleting it is for good."""
    visitor.register()
    visitor.choose(videos.silent(tmp_path))
    visitor.await_state("failed")
    assert "no sound" in visitor.read(".track .problem")

    visitor.run("document.getElementById('news').textContent = ''")
    visitor.press("again")
    visitor.await_that(lambda: visitor.find("#news").get_property("textContent") == "silent.mp4: not converted")

    visitor.press("remove")
    visitor.find("#sure [value=yes]").click()
    visitor.await_that(lambda: visitor.count(".track") == 0)
    visitor.chrome.refresh()
    visitor.await_that(lambda: visitor.sees("#nothing"))


def add_jobs(visitor: Visitor, database_url: str, count: int) -> None:
    """Cancelled jobs of the visitor's, all made in one instant."""
    database = Database(database_url)
    user, jobs = Accounts(database, 5).find(visitor.username), Jobs(database, 60, 3)
    assert user
    for _ in range(count):
        job = jobs.add(new_job(user.id))
        assert job
        jobs.cancel(job.id, user.id)
    with closing(psycopg2.connect(database_url)) as connection, connection:
        connection.cursor().execute("UPDATE jobs SET created_at = now() WHERE owner = %s", (str(user.id),))


def test_older_videos_are_one_press_away(visitor: Visitor, system: System) -> None:
    """Page by page, though all of them were uploaded in the same instant; a look at the newest page leaves the rest."""
    visitor.register()
    add_jobs(visitor, system.functions["jobs"].env["DATABASE_URL"], 120)
    visitor.chrome.refresh()
    for shown in (50, 100, 120):
        visitor.await_that(lambda: visitor.count(".track") == shown)  # noqa: B023 -- called at once
        assert visitor.sees("#older") == (shown < 120)
        if shown < 120:
            visitor.find("#older").click()
    rows = visitor.run("return [...document.querySelectorAll('.track')].map(row => row.dataset.id)")
    assert rows == sorted(set(rows), reverse=True)
    visitor.run("looks = 0; fetch = (ask => (...all) => ask(...all).finally(() => looks++))(fetch)")
    visitor.run("window.dispatchEvent(new Event('online'))")
    visitor.await_that(lambda: visitor.run("return looks"))
    assert visitor.run("return [...document.querySelectorAll('.track')].map(row => row.dataset.id)") == rows
    assert not visitor.sees("#older")


def test_what_comes_out_is_chosen_before_and_again_afterwards(visitor: Visitor, tmp_path: Path) -> None:
    """Format and quality for what is uploaded; then, without sending it again, another format and the other track."""
    visitor.register()
    visitor.select("#wanted", format="opus", quality="voice")
    visitor.choose(talkative(tmp_path))
    visitor.await_state("done")
    assert "Opus · voice" in visitor.read(".facts")
    assert visitor.find("[data-action=download]").accessible_name == "Download Opus talk.mp4"

    visitor.press("choose")
    assert visitor.focus == ""  # on the first choice, which has no id
    assert visitor.run("return document.activeElement.name") == "format"
    tracks = [option.text for option in visitor.chrome.find_elements("css selector", ".track [name=track] option")]
    assert tracks == ["The one that plays by default", "1: German, mono", "2: English, mono"]
    visitor.select(".track form", format="flac", track="2")
    assert not visitor.find(".track [name=quality]").is_enabled()
    visitor.find(".track form button").click()
    visitor.await_that(lambda: visitor.count("[data-state=done]") == 2)
    assert visitor.run("return document.activeElement.className") == "title"
    assert "FLAC · track 2" in visitor.read(".facts")
    visitor.press("download")
    visitor.await_that((visitor.downloads / "talk.flac").exists)
    assert visitor.complaints == []


def test_parts_of_split_audio_are_saved_one_by_one_or_all_together(visitor: Visitor, tmp_path: Path) -> None:
    """The page of a job that was asked for elsewhere; audio in a zip cannot be played."""
    visitor.register()
    visitor.choose(talkative(tmp_path))
    visitor.await_state("done")
    visitor.run(
        "const track = document.querySelector('.track').dataset.id, {token} = JSON.parse(sessionStorage.session);"
        "fetch('jobs', {method: 'POST', headers: {Authorization: `Bearer ${token}`},"
        "body: JSON.stringify({source: track, split: 'chapters'})}).then(() => location.reload())"
    )
    visitor.await_that(lambda: visitor.sees(".parts"))
    assert not visitor.find(".track [data-action=play]").is_displayed()
    visitor.find(".parts summary").click()
    assert visitor.read(".parts ol").splitlines()[0].startswith("01 One.mp3 0:0")
    visitor.press("part")
    visitor.await_that((visitor.downloads / "01 One.mp3").exists)
    assert 1.3 < videos.play(visitor.downloads / "01 One.mp3") < 1.7
    assert visitor.read("[data-action=download]") == "Download all as a zip"
    visitor.press("download")
    visitor.await_that((visitor.downloads / "talk.zip").exists)
    assert visitor.complaints == []


def test_what_to_do_and_what_to_know_stand_in_the_row(visitor: Visitor, system: System) -> None:
    """The detail of a failure, such as the tracks that there are, and the notes on audio that is done."""
    visitor.register()
    database = Database(system.functions["jobs"].env["DATABASE_URL"])
    user, jobs = Accounts(database, 5).find(visitor.username), Jobs(database, 60, 3)
    assert user
    for ends in ("done", "failed"):
        claimed = jobs.claim(added.id) if (added := jobs.add(new_job(user.id))) else None
        assert claimed
        if ends == "done":
            finish(jobs, claimed, notes=(Note.INCOMPLETE,))
        else:
            jobs.fail(claimed, "no_such_track", "", "The video has no audio track fr. It has: 1 (en).")
    visitor.chrome.refresh()
    visitor.await_state("failed")
    assert visitor.read(".track .problem") == "The video has no audio track fr. It has: 1 (en)."
    assert visitor.chrome.find_elements("css selector", ".notes")[1].text == Note.INCOMPLETE.sentence


def test_a_video_that_is_no_longer_kept_is_not_offered_again(visitor: Visitor, system: System) -> None:
    """Neither to be tried again nor to be converted in another way; a refusal stands in the row."""
    visitor.register()
    url = system.functions["jobs"].env["DATABASE_URL"]
    add_jobs(visitor, url, 1)
    visitor.chrome.refresh()
    visitor.await_state("cancelled")
    assert visitor.sees("[data-action=again]")
    visitor.press("choose")
    with closing(psycopg2.connect(url)) as connection, connection:
        connection.cursor().execute(
            "UPDATE jobs SET video = NULL WHERE id = %s", (visitor.find(".track").get_attribute("data-id"),)
        )
    visitor.find(".track form button").click()
    visitor.await_that(lambda: "no longer kept" in visitor.read(".track .problem"))
    visitor.chrome.refresh()
    visitor.await_state("cancelled")
    assert not visitor.sees("[data-action=again], [data-action=choose]")


def test_a_job_that_waits_is_cancelled_and_stays(visitor: Visitor, system: System) -> None:
    """Cancelling deletes nothing: the video is still there to try again."""
    visitor.register()
    database = Database(system.functions["jobs"].env["DATABASE_URL"])
    user = Accounts(database, 5).find(visitor.username)
    assert user
    Jobs(database, 60, 3).add(new_job(user.id))
    visitor.chrome.refresh()
    visitor.await_state("queued")
    visitor.press("cancel")
    visitor.await_state("cancelled")
    visitor.chrome.refresh()
    visitor.await_state("cancelled")
    assert visitor.sees("[data-action=again]")


def test_what_is_no_video_is_refused_in_its_row(visitor: Visitor, tmp_path: Path) -> None:
    """The server's reason is shown, and there is no use in offering to try again."""
    (tmp_path / "notes.mp4").write_text("this is not a video\n" * 100, encoding="utf-8")
    visitor.register()
    visitor.choose(tmp_path / "notes.mp4")
    visitor.await_state("refused")
    assert "does not begin like a video" in visitor.read(".track .problem")
    assert not visitor.sees("[data-action=again]")


def test_an_upload_that_broke_off_is_tried_again_without_doubling(visitor: Visitor) -> None:
    """The line is cut, the row says so, and the second try makes the one job."""
    visitor.register()
    visitor.command("Network.enable")
    visitor.command("Network.setBlockedURLs", urls=["*/upload*"])
    visitor.choose(videos.bunny())
    visitor.await_state("broken")
    assert "cannot be reached" in visitor.read(".track .problem")
    visitor.command("Network.setBlockedURLs", urls=[])
    visitor.press("again")
    visitor.await_state("done")
    visitor.chrome.refresh()
    visitor.await_state("done")
    assert visitor.count(".track") == 1


def test_a_video_name_is_never_markup(visitor: Visitor, tmp_path: Path) -> None:
    """A name made to be read as HTML is shown letter by letter."""
    name = "<img src=x onerror=document.title='broken-in'>.mp4"
    (tmp_path / name).write_bytes(videos.bunny().read_bytes())
    visitor.register()
    visitor.choose(tmp_path / name)
    visitor.await_state("done")
    assert visitor.read(".title") == name
    assert visitor.count("main img") == 0
    assert visitor.chrome.title == "video to mp3"


def test_a_refused_field_is_named_and_has_the_keyboard(visitor: Visitor) -> None:
    """The problem's `field` is where the reader is led, and a screen reader is told."""
    visitor.find("[data-shows=register]").click()
    visitor.fill("register", name="Ada", username="ada", email="a..b@video-to-mp3.example", password="correct horse")
    visitor.await_that(lambda: "email address" in visitor.read("#register-problem"))
    assert visitor.focus == "register-email"
    assert visitor.find("#register-email").get_attribute("aria-describedby") == "register-problem"


def test_who_registers_without_an_address_is_told_so_and_can_give_one(visitor: Visitor) -> None:
    """The form goes once it is given, the keyboard stays near, and reloading shows the same."""
    visitor.register(username := secrets.token_hex(6))
    visitor.await_that(lambda: visitor.sees("#address"))
    assert visitor.read("#who") == username
    assert "No emails are sent" in visitor.read("#address")
    assert not visitor.sees("#mails")

    visitor.fill("address", email="a..b@video-to-mp3.example")
    visitor.await_that(lambda: "email address" in visitor.read("#address-problem"))
    assert visitor.focus == "address-email"
    assert visitor.find("#address-email").get_attribute("aria-describedby") == "address-problem"

    visitor.fill("address", email=visitor.username)
    visitor.await_that(lambda: visitor.sees("#mails"))
    assert visitor.focus == "mails"
    visitor.chrome.refresh()
    visitor.await_that(lambda: visitor.username in visitor.read("#mails"))
    assert not visitor.sees("#address")
    assert visitor.complaints == []


def test_who_registers_by_an_address_is_told_where_emails_go(visitor: Visitor) -> None:
    """And whoever logs in after them is told of their own, not of the one before."""
    visitor.register()
    visitor.await_that(lambda: visitor.username in visitor.read("#mails"))
    assert not visitor.sees("#address")
    visitor.find("#leave").click()
    visitor.fill("register", name="Eve", username=secrets.token_hex(6), password="correct horse")
    visitor.await_that(lambda: visitor.sees("#address"))
    assert not visitor.sees("#mails")


def test_while_the_account_cannot_be_asked_the_page_says_nothing_of_emails(visitor: Visitor) -> None:
    """Everything else works."""
    visitor.command("Network.enable")
    visitor.command("Network.setBlockedURLs", urls=["*/account"])
    visitor.register(secrets.token_hex(6))
    visitor.choose(videos.bunny())
    visitor.await_state("done")
    assert not visitor.sees("#mails, #address")
    assert visitor.complaints == []


def test_a_wrong_password_is_answered_on_the_page(visitor: Visitor) -> None:
    """Not by the browser's own password box, which a Basic challenge would open."""
    visitor.fill("login", username=visitor.username, password="not the one")
    visitor.await_that(lambda: "wrong" in visitor.read("#login-problem"))
    assert visitor.focus == "login-password"


def test_a_session_that_ended_leads_back_to_the_login(visitor: Visitor) -> None:
    """A 401 says what happened, and logging in leads on."""
    visitor.register()
    visitor.run("sessionStorage.session = JSON.stringify({...JSON.parse(sessionStorage.session), token: 'expired'})")
    visitor.chrome.refresh()
    visitor.await_that(lambda: "session has ended" in visitor.read("#notice"))
    assert visitor.focus == "login-username"
    visitor.fill("login", username=visitor.username, password="correct horse")
    visitor.await_that(lambda: visitor.sees("#nothing"))
    assert visitor.read("#notice") == ""


def test_logging_out_forgets_the_session(visitor: Visitor) -> None:
    """Reloading does not bring it back."""
    visitor.register()
    visitor.find("#leave").click()
    visitor.chrome.refresh()
    visitor.await_that(lambda: visitor.sees("#login"))
    assert visitor.run("return sessionStorage.length") == 0


@pytest.mark.parametrize("width", [320, 360, 768, 1920])
def test_nothing_needs_scrolling_sideways(visitor: Visitor, system: System, tmp_path: Path, width: int) -> None:
    """From the narrowest phone (WCAG 2.2, 1.4.10) to a wide screen, also with a long name."""
    video = tmp_path / f"{'endless' * 25}.mp4"
    video.write_bytes(b"no video")
    visitor.command(
        "Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=width < 500
    )
    assert visitor.run("return document.documentElement.scrollWidth <= innerWidth")
    visitor.username = secrets.token_hex(100)
    visitor.register(visitor.username)
    visitor.await_that(lambda: visitor.sees("#address"))
    assert visitor.run("return document.documentElement.scrollWidth <= innerWidth")
    add_jobs(visitor, system.functions["jobs"].env["DATABASE_URL"], 1)
    visitor.chrome.refresh()
    visitor.press("choose")
    visitor.choose(video)
    visitor.await_state("refused")
    assert visitor.sees(".track form")
    assert visitor.run("return document.documentElement.scrollWidth <= innerWidth")
