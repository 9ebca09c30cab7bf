"""A mail server that takes, refuses or defers emails, as a test wants it."""

from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP
from typing import Any

from aiosmtpd.controller import Controller

from emulator.ports import reserve_port


class MailServer:
    """`answer` is its reply to an email; those it took are in `emails`, each with the addresses of its envelope."""

    def __init__(self) -> None:
        self.answer = "250 OK"
        self.sender_answer = self.recipient_answer = "250 OK"
        self.emails: list[tuple[list[str], EmailMessage]] = []
        self.port = reserve_port()
        self._controller = Controller(self, hostname="127.0.0.1", port=self.port)
        self._controller.start()

    async def handle_MAIL(self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any) -> str:  # noqa: N802 -- aiosmtpd's names
        if self.sender_answer.startswith("250"):
            envelope.mail_from = address
        return self.sender_answer

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any) -> str:  # noqa: N802 -- aiosmtpd's names
        if self.recipient_answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return self.recipient_answer

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 -- aiosmtpd's names
        if self.answer.startswith("250"):
            self.emails.append((envelope.rcpt_tos, message_from_bytes(envelope.content, policy=SMTP)))
        return self.answer

    def close(self) -> None:
        self._controller.stop()
