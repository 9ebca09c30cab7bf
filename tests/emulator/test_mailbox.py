"""The mail catcher: mails come in by SMTP, and are shown on a page and by an API."""

import smtplib
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
import requests

from emulator.servers.mailbox import Mailbox
from tests.waiting import PATIENCE


@pytest.fixture
def mailbox(tmp_path: Path) -> Iterator[Mailbox]:
    """Without any mails at first."""
    with Mailbox(tmp_path) as mailbox:
        yield mailbox


def test_a_mail_is_read_as_mailpit_would_show_it(mailbox: Mailbox) -> None:
    """So that one client reads this mailbox and Mailpit, which docker compose has in its place."""
    _send(mailbox, "Füße.mp3 is ready")
    summary = _get(mailbox, "messages")["messages"][0]
    mail = _get(mailbox, f"message/{summary['ID']}")
    assert (summary["Subject"], summary["To"][0]["Address"]) == ("Füße.mp3 is ready", "ann@example.org")
    assert (mail["Subject"], mail["MessageID"], mail["From"]["Name"]) == ("Füße.mp3 is ready", "1@example.org", "Vidéo")
    assert (mail["Text"].strip(), mail["HTML"].strip()) == ("Plain é", "<script>alert(1)</script><b>Rich</b>")
    assert "Subject: =?utf-8?" in requests.get(f"{mailbox.url}/api/v1/message/{mail['ID']}/raw", timeout=PATIENCE).text


def test_the_list_is_newest_first_and_in_pages(mailbox: Mailbox) -> None:
    """With Mailpit's parameters `start` and `limit`, and the total number of mails in every page."""
    for number in range(3):
        _send(mailbox, f"mail {number}")
    page = _get(mailbox, "messages?start=1&limit=1")
    assert (page["total"], [mail["Subject"] for mail in page["messages"]]) == (3, ["mail 1"])
    assert _get(mailbox, "message/latest")["Subject"] == "mail 2"


def test_a_mails_html_is_shown_without_running_anything_of_it(mailbox: Mailbox) -> None:
    """A stranger may have written it. It is in a sandbox on the page, and also when it is opened by itself."""
    _send(mailbox, "<i>hello</i>")
    mail_id = _get(mailbox, "message/latest")["ID"]
    page = requests.get(f"{mailbox.url}/view/{mail_id}", timeout=PATIENCE).text
    assert "&lt;i&gt;hello&lt;/i&gt;" in page
    assert "<script>" not in page
    assert 'sandbox="allow-popups' in page
    rich = requests.get(f"{mailbox.url}/view/{mail_id}.html", timeout=PATIENCE)
    assert rich.headers["Content-Security-Policy"].startswith("sandbox allow-popups")
    assert "<b>Rich</b>" in rich.text
    assert f"/view/{mail_id}" in requests.get(mailbox.url, timeout=PATIENCE).text


def test_mails_outlive_a_killed_catcher(mailbox: Mailbox) -> None:
    """The catcher has a mail on disk before it tells the sender that it was taken."""
    _send(mailbox, "before")
    mailbox.kill()
    mailbox.start()
    mailbox.wait()
    _send(mailbox, "after")
    assert [mail["Subject"] for mail in _get(mailbox, "messages")["messages"]] == ["after", "before"]


def test_an_unknown_mail_is_404(mailbox: Mailbox) -> None:
    """Nor does an id with dots and slashes lead out of the directory of mails."""
    for path in ("nothing", "latest", "..%2Fmailbox"):
        assert requests.get(f"{mailbox.url}/api/v1/message/{path}", timeout=PATIENCE).status_code == 404


def _send(mailbox: Mailbox, subject: str) -> None:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "Vidéo <video@example.org>", "ann@example.org", subject
    mail["Message-ID"] = "<1@example.org>"
    mail.set_content("Plain é")
    mail.add_alternative("<script>alert(1)</script><b>Rich</b>", subtype="html")
    with smtplib.SMTP("127.0.0.1", mailbox.smtp_port, timeout=PATIENCE) as smtp:
        smtp.send_message(mail)


def _get(mailbox: Mailbox, path: str) -> Any:
    answer = requests.get(f"{mailbox.url}/api/v1/{path}", timeout=PATIENCE)
    answer.raise_for_status()
    return answer.json()
