"""What an owner is written: text and HTML, with a link or with the reason in plain words."""

import re
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from html import escape
from uuid import uuid5

from functions.model import media
from functions.model.errors import MailRefused
from functions.model.jobs import DONE
from functions.model.media import Reason
from functions.model.notifications import Notification

READY = """\
<p>Your MP3 of <b>{film}</b> is ready.</p>
<p><a href="{link}">Download {mp3}</a></p>
<p>The link opens without a login until it expires. Whoever has it can download the MP3.</p>"""
FAILED = """\
<p><b>{film}</b> could not be converted.</p>
<p>{why}</p>
<p><a href="{link}">Your films</a></p>"""


def letter(owed: Notification, sender: str, link: str) -> EmailMessage:
    """The letter that is owed; its Message-ID is the same however often it is written (RFC 5322, 3.6.4).

    Raises MailRefused for an address that no letter can carry.
    """
    film, name = _inert(media.film_name(owed.filename)), _inert(media.printable(owed.name))
    done = owed.outcome == DONE
    message = EmailMessage(policy=SMTP)
    message["Subject"] = f"Your MP3 is ready: {film}" if done else f"No MP3 from {film}"
    message["From"] = sender
    try:
        message["To"] = Address(display_name=_phrase(name), addr_spec=owed.email)
    except (MessageError, ValueError) as error:
        raise MailRefused("no letter can carry the address") from error
    message["Message-ID"] = f"<{uuid5(owed.job, f'{owed.outcome}/{owed.generation}')}@{_domain(sender)}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no vacation notes in answer
    message.set_content(f"Hello {name},\n\n{_text(owed, film, link)}\n")
    message.add_alternative(
        f"<!doctype html>\n<p>Hello {escape(name)},</p>\n{_page(owed, film, link)}\n", subtype="html"
    )
    return message


def _inert(text: str) -> str:
    """Without encoded words: Python decodes one it finds in a header, line ends that hide in it too (CVE-2024-6923)."""
    return text.replace("=?", "= ?")


def _phrase(name: str) -> str:
    """Without what would have to stand in quotes: Python loses them where it breaks a long line (cpython#80222)."""
    return " ".join(re.sub(r'[()<>\[\]:;@\\,."]', " ", name).split())


def _text(owed: Notification, film: str, link: str) -> str:
    if owed.outcome == DONE:
        return (
            f"your MP3 of {film} is ready:\n\n{link}\n\n"
            "The link opens without a login until it expires. Whoever has it can download the MP3."
        )
    return f"{film} could not be converted.\n\n{_why(owed)}\n\nYour films: {link}"


def _page(owed: Notification, film: str, link: str) -> str:
    page = READY if owed.outcome == DONE else FAILED
    values = {"film": film, "link": link, "mp3": media.audio_name(film), "why": _why(owed)}
    return page.format_map({name: escape(value) for name, value in values.items()})


def _why(owed: Notification) -> str:
    return Reason(owed.reason).sentence if owed.reason else ""


def _domain(sender: str) -> str:
    return sender.rpartition("@")[2].rstrip("> ")
