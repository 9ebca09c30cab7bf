"""The email about a job: what users chose appears in it, and none of that becomes markup or a header."""

import re
from email import message_from_bytes, policy
from email.header import decode_header, make_header
from email.message import EmailMessage, Message
from email.utils import getaddresses
from html import escape
from typing import Any
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from functions.model.audio import Audio, Note, Part
from functions.model.jobs import State
from functions.model.media import Reason
from functions.model.notifications import Notification
from functions.model.options import NAMES, Options
from functions.notify import emails, wishes

LINK = "https://example.org/download?fid=1&token=2"
HEADERS = ["Subject", "From", "To", "Date", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type"]


def email(**changes: Any) -> EmailMessage:
    owed: dict[str, Any] = {
        "job": UUID(int=7), "generation": 0, "outcome": State.DONE, "tries": 1, "fid": UUID(int=8),
        "filename": "video.mp4", "reason": None, "detail": None, "options": Options(), "facts": None, "name": "Ada",
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


def test_what_the_owner_should_do_stands_in_place_of_the_reason_s_sentence() -> None:
    """It names what the sentence cannot, such as the tracks; a name in it becomes neither markup nor a line."""
    say = "The video has no audio track de. It has: 1 (en “<b>A</b>\n“)."
    _, text, page = arrived(outcome=State.FAILED, reason="no_such_track", detail=say)
    assert say.replace("\n", "") in text
    assert "It has: 1 (en “&lt;b&gt;A&lt;/b&gt;“)." in page
    assert Reason.NO_SUCH_TRACK.sentence not in text


@pytest.mark.parametrize("format_", ["m4a", "opus", "flac", "wav"])
def test_the_format_is_named_as_people_write_it(format_: str) -> None:
    """In the subject, in both texts, and as the suffix of what is downloaded."""
    options = Options().asked({"format": format_})
    message, text, page = arrived(options=options)
    assert message["Subject"] == f"Your {options.encoding.name} is ready: video.mp4"
    assert f"your {options.encoding.name} of video.mp4 is ready" in text
    assert f">Download video.{format_}<" in page
    assert "MP3" not in text + page
    assert arrived(outcome=State.FAILED, options=options)[0]["Subject"] == f"No {options.encoding.name} from video.mp4"


def audio(**changes: Any) -> Audio:
    return Audio(duration=9, bitrate=190, channels=2, sample_rate=44_100, track=1, **changes)


@pytest.mark.parametrize("note", Note)
def test_what_is_odd_about_the_audio_is_told(note: Note) -> None:
    """For instance that the recording was interrupted."""
    _, text, page = arrived(facts=audio(notes=(note,)))
    assert note.sentence in text.splitlines()
    assert f"<p>{note.sentence}</p>" in page


def test_audio_that_was_split_is_called_a_zip_of_so_many_files() -> None:
    """The link leads to all of them."""
    parts = tuple(Part(f"{number}", f"{number}.mp3", 0, 1, 1.5) for number in range(12))
    _, text, page = arrived(facts=audio(parts=parts))
    assert "a zip of 12 files" in text
    assert ">Download video.zip<" in page


WISHES = {
    "quality voice": {"quality": "voice"},
    "bitrate 128 kbit/s": {"bitrate": "128"},
    "vbr 0": {"vbr": "0"},
    "channels mono, sample rate 22050 Hz": {"channels": "mono", "sample_rate": "22050"},
    "track pt-BR": {"track": "pt-BR"},
    "start 1:02.5, end 1:00:00": {"start": "62.5", "end": "3600"},
    "split chapters, loudness podcast": {"split": "chapters", "loudness": "podcast"},
    "loudness -14 LUFS": {"loudness": "-14"},
    "title “A <b> B”, artist removed, comment “one two”": {"title": "A <b> B", "artist": "", "comment": "one\ntwo"},
    "tags strip, chapters strip, cover 0:09, copy never": {
        "tags": "strip", "chapters": "strip", "cover": "9", "copy": "never",
    },
}  # fmt: skip


@pytest.mark.parametrize(("line", "asked"), WISHES.items(), ids=WISHES)
@pytest.mark.parametrize("outcome", [State.DONE, State.FAILED])
def test_what_was_asked_for_is_one_line(line: str, asked: dict[str, str], outcome: State) -> None:
    """Only what is not as usual."""
    reason = "no_audio" if outcome == State.FAILED else None
    _, text, page = arrived(outcome=outcome, reason=reason, options=Options().asked(asked))
    assert f"You asked for: {line}." in text
    assert f"<p>You asked for: {escape(line)}.</p>" in page


def test_every_option_that_can_be_asked_for_is_told() -> None:
    """One that is added is told too; the format is, by its name."""
    asked = {name for values in WISHES.values() for name in values}
    assert asked | {"format", "album", "year", "genre"} == set(NAMES)
    assert wishes.told(Options().asked({"album": "x", "year": "1999", "genre": "y"})).count("“") == 3


@pytest.mark.parametrize("asked", [{}, {"format": "flac"}, {"quality": "standard"}], ids=str)
def test_where_nothing_was_asked_for_nothing_is_told(asked: dict[str, str]) -> None:
    assert "asked" not in arrived(options=Options().asked(asked))[1]
    assert "asked" not in arrived(options=Options(vbr=5).asked({}))[1]  # MP3_QUALITY


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
