"""The email about a job: what users chose appears in it, and none of that becomes markup or a header."""

import re
from email import message_from_bytes, policy
from email.header import decode_header, make_header
from email.message import EmailMessage, Message
from email.utils import getaddresses
from typing import Any
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from functions.model.audio import Audio, Note, Part
from functions.model.jobs import State
from functions.model.media import Reason
from functions.model.notifications import Notification
from functions.model.options import Options
from functions.notify import emails

LINK = "https://example.org/download?fid=1&token=2"
HEADERS = ["Subject", "From", "To", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type"]


def email(**changes: Any) -> EmailMessage:
    owed: dict[str, Any] = {
        "job": UUID(int=7), "generation": 0, "outcome": State.DONE, "tries": 1, "fid": UUID(int=8),
        "filename": "video.mp4", "reason": None, "detail": None, "facts": None, "options": Options(), "name": "Ada",
        "email": "ada@example.org", "mails_this_hour": 0,
    }  # fmt: skip
    return emails.compose(Notification(**owed | changes), "Videos <videos@example.org>", LINK)


def arrived(**changes: Any) -> tuple[Message, str, str]:
    """The email as a mail program reads it: the whole message, its text, its HTML."""
    message = message_from_bytes(email(**changes).as_bytes(), policy=policy.SMTP)
    text, page = (part.get_content() for part in message.iter_parts())
    return message_from_bytes(message.as_bytes()), text, page


def test_a_finished_job_brings_its_link_and_the_videos_name() -> None:
    """In the text and in the HTML, where the ampersand must be escaped."""
    message, text, page = arrived()
    assert message["Subject"] == "Your MP3 is ready: video.mp4"
    assert LINK in text
    assert f'href="{LINK.replace("&", "&amp;")}">Download video.mp3' in page


@pytest.mark.parametrize("reason", Reason)
def test_a_failed_job_brings_its_reason_in_plain_words(reason: Reason) -> None:
    """In the text and in the HTML."""
    message, text, page = arrived(outcome=State.FAILED, reason=str(reason))
    assert message["Subject"] == "No MP3 from video.mp4"
    assert reason.sentence in text
    assert reason.sentence in page.replace("&#x27;", "'")


def test_a_second_email_about_the_same_is_the_same() -> None:
    """A mail program can then drop the repeat; after a retry the email is another."""
    assert email()["Message-ID"] == email()["Message-ID"]
    assert email()["Message-ID"] != email(generation=1)["Message-ID"] != email(outcome=State.FAILED)["Message-ID"]
    assert re.fullmatch(r"<[0-9a-f-]{36}@example\.org>", email()["Message-ID"])


def test_nobody_s_vacation_answers_it() -> None:
    """RFC 3834."""
    assert email()["Auto-Submitted"] == "auto-generated"


def test_markup_in_a_name_is_shown_and_not_obeyed() -> None:
    """In the HTML it is escaped; in the text it needs no escape."""
    _, text, page = arrived(filename="<img src=x>{link}.mp4", name='<b>"Ada"</b>')
    assert "<img" not in page
    assert "<b>&quot;" not in page
    assert "&lt;img src=x&gt;{link}.mp4" in page
    assert '<b>"Ada"</b>' in text


words = st.text(max_size=80) | st.lists(
    st.sampled_from(["\r\n", "Bcc: eve@x.org", "=?utf-8?q?", "=0d=0a", "?=", " ", "ä"])
).map("".join)


@given(filename=words, name=words)
@example(filename="=?utf-8?q?=0d=0aBcc:eve@x.org?=", name="=?utf-8?q?=0d=0aBcc:eve@x.org?=")
@example(filename="日本語" * 60, name="Jörg" * 60)
@example(filename='"; \\', name='a, <eve@x.org>, "b')
@example(filename="", name="Bcc: eve@x.org" * 6)
def test_no_name_becomes_a_header_or_an_address(filename: str, name: str) -> None:
    """Whatever users call themselves and their videos."""
    message = message_from_bytes(email(filename=filename, name=name).as_bytes())
    assert message.keys() == HEADERS
    assert [address for _, address in getaddresses([message["To"]])] == ["ada@example.org"]


@given(st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=40))
def test_a_name_in_any_script_arrives(name: str) -> None:
    """In the subject and beside the address."""
    message = message_from_bytes(email(filename=f"{name}.mp4", name=name).as_bytes())
    assert str(make_header(decode_header(message["Subject"]))) == f"Your MP3 is ready: {name}.mp4"
    assert str(make_header(decode_header(message["To"]))).startswith(name)


def test_an_email_says_what_was_asked_for_and_how_it_came_out() -> None:
    """Options by which one conversion of a video is told from another, how many parts there are, and what to know."""
    parts = tuple(Part(str(at), f"{at}.opus", 0, 1, 1.0) for at in range(3))
    facts = Audio(1.0, 64, 1, 48_000, 2, parts=parts, notes=(Note.INCOMPLETE,))
    options = Options().asked({"format": "opus", "quality": "voice", "split": "chapters", "start": "1:00"})
    message, text, page = arrived(options=options, facts=facts)
    assert message["Subject"] == "Your Opus is ready: video.mp4"
    for body in (text, page):
        assert "You asked for: quality voice, bitrate 64, channels mono, start 60.0, split chapters." in body
        assert "a zip of 3 files" in body
        assert Note.INCOMPLETE.sentence in body
    assert "video.zip" in page


def test_an_email_of_which_nothing_was_asked_has_no_word_of_it() -> None:
    assert all("asked" not in body for body in arrived()[1:])


def test_the_detail_of_a_failure_is_told_where_there_is_one() -> None:
    """It knows more than the reason's own sentence."""
    told = arrived(outcome=State.FAILED, reason="no_such_track", detail="It has: 1 (eng).")
    assert all("It has: 1 (eng)." in body for body in told[1:])
