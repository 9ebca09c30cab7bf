"""The email about a job that has ended: as text and as HTML, with a link or with the reason in plain words."""

import re
from datetime import UTC, datetime
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from html import escape
from uuid import uuid5

from functions.model import media
from functions.model.errors import MailRefused
from functions.model.jobs import State
from functions.model.media import Reason
from functions.model.notifications import Notification
from functions.notify import wishes

READY = """\
<p>Your {format} of <b>{video}</b> is ready.</p>
<p><a href="{link}">Download {audio}</a></p>
{more}<p>The link opens without a login until it expires. Whoever has it can download the {format}.</p>"""
FAILED = """\
<p><b>{video}</b> could not be converted.</p>
<p>{why}</p>
{more}<p><a href="{link}">Your videos</a></p>"""


def compose(owed: Notification, sender: str, link: str) -> EmailMessage:
    """The email that is owed, with a link to the audio or, where the job failed, to the page.

    Its Message-ID is the same however often it is composed (RFC 5322, 3.6.4), so that a mail program can drop a second.
    Raises MailRefused for an address that no email can carry.
    """
    video, name = _inert(media.video_name(owed.filename)), _inert(media.printable(owed.name))
    done, format_ = owed.outcome == State.DONE, owed.options.encoding.name
    message = EmailMessage(policy=SMTP)
    message["Subject"] = f"Your {format_} is ready: {video}" if done else f"No {format_} from {video}"
    message["From"] = sender
    try:
        message["To"] = Address(display_name=_phrase(name), addr_spec=owed.email)
    except (MessageError, ValueError) as error:
        raise MailRefused("no email can carry the address") from error
    message["Date"] = format_datetime(datetime.now(UTC))  # which every email must have (RFC 5322, 3.6)
    message["Message-ID"] = f"<{uuid5(owed.job, f'{owed.outcome}/{owed.generation}')}@{_domain(sender)}>"
    message["Auto-Submitted"] = "auto-generated"  # so that nobody's vacation notice answers it (RFC 3834)
    message.set_content(f"Hello {name},\n\n{_text(owed, video, link)}\n")
    message.add_alternative(
        f"<!doctype html>\n<p>Hello {escape(name)},</p>\n{_page(owed, video, link)}\n", subtype="html"
    )
    return message


def _inert(text: str) -> str:
    """The text without encoded words, which Python decodes in headers, with the line ends in them (CVE-2024-6923)."""
    return text.replace("=?", "= ?")


def _phrase(name: str) -> str:
    """The name without what needs quotes: Python loses the quotes where it folds a long line (cpython#80222)."""
    return " ".join(re.sub(r'[()<>\[\]:;@\\,."]', " ", name).split())


def _text(owed: Notification, video: str, link: str) -> str:
    format_ = owed.options.encoding.name
    if owed.outcome == State.DONE:
        first = f"your {format_} of {video} is ready:\n\n{link}"
        last = f"The link opens without a login until it expires. Whoever has it can download the {format_}."
    else:
        first = f"{video} could not be converted.\n\n{_why(owed)}"
        last = f"Your videos: {link}"
    return "\n\n".join((first, *_more(owed), last))


def _page(owed: Notification, video: str, link: str) -> str:
    page = READY if owed.outcome == State.DONE else FAILED
    audio = media.archive_name(video) if _parts(owed) else media.audio_name(video, owed.options.encoding)
    values = {"video": video, "link": link, "audio": audio, "format": owed.options.encoding.name, "why": _why(owed)}
    escaped = {name: escape(value) for name, value in values.items()}
    return page.format_map(escaped | {"more": "".join(f"<p>{escape(each)}</p>\n" for each in _more(owed))})


def _more(owed: Notification) -> list[str]:
    """What else there is to say, a paragraph each: how many files it is, what is odd about it, what was asked for."""
    asked = wishes.told(owed.options)
    return [
        *([f"It is a zip of {_parts(owed)} files, one for each chapter."] if _parts(owed) else []),
        *(note.sentence for note in (owed.facts.notes if owed.facts else ())),
        *([f"You asked for: {asked}."] if asked else []),
    ]


def _parts(owed: Notification) -> int:
    return len(owed.facts.parts) if owed.facts else 0


def _why(owed: Notification) -> str:
    """What is wrong and what to do; it may quote the video, for instance the names of its tracks."""
    return media.printable(owed.detail or (Reason(owed.reason).sentence if owed.reason else ""))


def _domain(sender: str) -> str:
    return sender.rpartition("@")[2].rstrip("> ")
