"""A person at the page, in a real browser, on the whole running system."""

import re
import secrets
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest

from emulator.system import System
from functions.stores.accounts import Accounts
from functions.stores.jobs import Jobs
from functions.stores.postgres import Database
from tests import videos
from tests.browser.visitor import Visitor
from tests.jobs import new_job


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
    assert visitor.find(".strip input").get_attribute("aria-valuetext") == "0:02 of 0:05"

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


@pytest.mark.parametrize("width", [320, 768, 1920])
def test_nothing_needs_scrolling_sideways(visitor: Visitor, tmp_path: Path, width: int) -> None:
    """From the narrowest phone (WCAG 2.2, 1.4.10) to a wide screen, also with a long name."""
    video = tmp_path / f"{'endless' * 25}.mp4"
    video.write_bytes(b"no video")
    visitor.command(
        "Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=width < 500
    )
    assert visitor.run("return document.documentElement.scrollWidth <= innerWidth")
    visitor.register(secrets.token_hex(100))
    visitor.await_that(lambda: visitor.sees("#address"))
    assert visitor.run("return document.documentElement.scrollWidth <= innerWidth")
    visitor.choose(video)
    visitor.await_state("refused")
    assert visitor.run("return document.documentElement.scrollWidth <= innerWidth")
