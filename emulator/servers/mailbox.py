"""The mailbox: it gets every mail that the system sends, whoever that is addressed to."""

from pathlib import Path

from emulator import privileges
from emulator.parts import Part, answers
from emulator.ports import LOOPBACK, reserve_port
from emulator.processes import Process, python

_ROOT = Path(__file__).parents[2]  # where `python -m` finds the mail catcher, whether it is installed or not


class Mailbox(Part):
    """The mail catcher (mail_catcher.py) as a process. The mails are files in `directory`/mails, and stay there."""

    def __init__(self, directory: Path, *, smtp_port: int | None = None, http_port: int | None = None) -> None:
        super().__init__("mailbox", directory)
        self.smtp_port = smtp_port or reserve_port()
        self.http_port = http_port or reserve_port()

    @property
    def url(self) -> str:
        """The page that shows the mails; its API is below /api/v1."""
        return f"http://{LOOPBACK}:{self.http_port}"

    def start(self) -> None:
        """Start it with the mails of earlier starts. Raises PartFailed."""
        mails = self.directory / "mails"
        privileges.make_writable_directory(mails)
        options = ["--smtp", str(self.smtp_port), "--http", str(self.http_port), "--dir", str(mails)]
        argv = python("-m", "emulator.servers.mail_catcher", *options)
        self.run(Process(self.name, argv, self.directory, cwd=_ROOT, ports=[self.smtp_port, self.http_port]))

    def is_ready(self) -> bool:
        """Look once whether it takes mails and shows them."""
        return answers(self.smtp_port, answer=b"220") and answers(self.http_port)
