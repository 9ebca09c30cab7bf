"""A mail catcher: SMTP in, one `.eml` file per mail, a page and an API out. The API has the shape of Mailpit's.

`python -m emulator.servers.mailbox --smtp PORT --http PORT --dir DIR`
"""

import argparse
import secrets
import time
from datetime import UTC, datetime
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from email.utils import getaddresses
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from flask import Flask, Response, abort, render_template_string, request
from werkzeug.serving import make_server

from emulator import privileges
from emulator.ports import LOOPBACK, reserve_port
from emulator.processes import Part, Process, answers, python

_ROOT = Path(__file__).parents[2]  # where `-m` finds this module, installed or not
_LARGEST = 30_000_000  # bytes of one mail
_PAGE = """<!doctype html><meta charset=utf-8><meta name=viewport content="width=device-width">
<title>{{ mail.Subject if mail else "Mails" }}</title>
<style>body{font:16px/1.5 system-ui;max-width:60em;margin:2em auto;padding:0 1em}
td,th{text-align:left;padding:.2em 1em .2em 0}pre{white-space:pre-wrap}
iframe{width:100%;height:30em;border:1px solid #ccc}</style>
{% macro people(addresses) %}{% for a in addresses %}{{ a.Name }} &lt;{{ a.Address }}&gt; {% endfor %}{% endmacro %}
{% if mail %}<p><a href="/">all mails</a> · <a href="/api/v1/message/{{ mail.ID }}/raw">source</a>
<h1>{{ mail.Subject }}</h1><p>From {{ people([mail.From]) }}<br>To {{ people(mail.To) }}<br>{{ mail.Date }}
{% if mail.HTML %}<iframe src="/view/{{ mail.ID }}.html" title="The mail as HTML"
sandbox="allow-popups allow-popups-to-escape-sandbox"></iframe>{% endif %}<pre>{{ mail.Text }}</pre>
{% else %}<h1>Mails</h1><table><tr><th>When<th>To<th>Subject{% for m in mails %}
<tr><td>{{ m.Created[:19] }}<td>{{ people(m.To) }}<td><a href="/view/{{ m.ID }}">{{ m.Subject or "(none)" }}</a>
{% else %}<tr><td colspan=3>None yet.{% endfor %}</table>{% endif %}"""


class Mailbox(Part):
    """The mail catcher as a process of its own; mails are in `directory`/mails and outlive it."""

    def __init__(self, directory: Path, *, smtp_port: int | None = None, http_port: int | None = None) -> None:
        super().__init__("mailbox", directory)
        self.smtp_port = smtp_port or reserve_port()
        self.http_port = http_port or reserve_port()

    @property
    def url(self) -> str:
        """Where the mails can be read."""
        return f"http://{LOOPBACK}:{self.http_port}"

    def start(self) -> None:
        """Start it on the mails it has. Raises PartFailed."""
        privileges.give(mails := self.directory / "mails")
        options = ["--smtp", str(self.smtp_port), "--http", str(self.http_port), "--dir", str(mails)]
        argv = python("-m", "emulator.servers.mailbox", *options)
        self.run(Process(self.name, argv, self.directory, cwd=_ROOT, ports=[self.smtp_port, self.http_port]))

    def is_ready(self) -> bool:
        """Look once whether it takes mails and shows them."""
        return answers(self.smtp_port, answer=b"220") and answers(self.http_port)


class Mails:
    """Mails as files; a name begins with the time, so names sort by age."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 aiosmtpd's name
        """Keep one mail: whole or not at all."""
        unfinished = self._directory / f"{time.time_ns():019}-{secrets.token_hex(4)}.unfinished"
        unfinished.write_bytes(envelope.original_content or b"")
        unfinished.rename(unfinished.with_suffix(".eml"))
        return "250 kept"

    def list_newest_first(self) -> list[Path]:
        """Give the files of all mails."""
        return sorted(self._directory.glob("*.eml"), reverse=True)

    def find(self, mail_id: str) -> Path:
        """Give the file of one mail, or of the newest for `latest`. Answers 404 when there is none."""
        return next((path for path in self.list_newest_first() if mail_id in (path.stem, "latest")), None) or abort(404)


def build_app(mails: Mails) -> Flask:
    """Build the page for people and the API."""
    app = Flask(__name__)

    @app.get("/")
    def show_all() -> str:
        return render_template_string(_PAGE, mails=[summarize(path) for path in mails.list_newest_first()])

    @app.get("/view/<mail_id>")
    def show_one(mail_id: str) -> str:
        return render_template_string(_PAGE, mail=describe(mails.find(mail_id)))

    @app.get("/view/<mail_id>.html")
    def show_html(mail_id: str) -> Response:
        page = '<base target="_blank">' + describe(mails.find(mail_id))["HTML"]
        # A mail is a stranger's page: no script, nothing fetched, an origin of its own.
        guard = "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; style-src 'unsafe-inline'"
        return Response(page, headers={"Content-Security-Policy": guard})

    @app.get("/view/<mail_id>.txt")
    def show_text(mail_id: str) -> Response:
        return Response(describe(mails.find(mail_id))["Text"], mimetype="text/plain")

    @app.get("/api/v1/messages")
    def list_messages() -> dict[str, Any]:
        paths = mails.list_newest_first()
        start, limit = request.args.get("start", 0, int), request.args.get("limit", 50, int)
        page = [summarize(path) for path in paths[start : start + limit]]
        return {"total": len(paths), "messages_count": len(paths), "count": len(page), "start": start, "messages": page}

    @app.get("/api/v1/message/<mail_id>")
    def read_message(mail_id: str) -> dict[str, Any]:
        return describe(mails.find(mail_id))

    @app.get("/api/v1/message/<mail_id>/raw")
    def read_source(mail_id: str) -> Response:
        return Response(mails.find(mail_id).read_bytes(), mimetype="text/plain")

    return app


def summarize(path: Path) -> dict[str, Any]:
    """Describe a mail as an item of Mailpit's list."""
    mail = _parse(path)
    created = datetime.fromtimestamp(int(path.stem.partition("-")[0]) / 1e9, UTC)
    return {
        "ID": path.stem,
        "MessageID": str(mail.get("Message-ID", "")).strip().strip("<>"),
        "From": next(iter(_list_people(mail, "From")), {"Name": "", "Address": ""}),
        "To": _list_people(mail, "To"),
        "Cc": _list_people(mail, "Cc"),
        "Subject": str(mail.get("Subject", "")),
        "Created": created.isoformat(timespec="milliseconds"),
        "Size": path.stat().st_size,
    }


def describe(path: Path) -> dict[str, Any]:
    """Describe a mail as Mailpit does, with its text."""
    mail = _parse(path)
    texts = {"Text": _read(mail, "plain"), "HTML": _read(mail, "html")}
    return summarize(path) | texts | {"Date": str(mail.get("Date", ""))}


def _parse(path: Path) -> EmailMessage:
    return BytesParser(EmailMessage, policy=policy.default).parsebytes(path.read_bytes())


def _list_people(mail: EmailMessage, header: str) -> list[dict[str, str]]:
    return [
        {"Name": name, "Address": address}
        for name, address in getaddresses([str(value) for value in mail.get_all(header, [])])
    ]


def _read(mail: EmailMessage, kind: str) -> str:
    part = mail.get_body((kind,))
    return part.get_content() if part else ""


def main() -> None:
    """Catch mails until killed; a mail is kept before it is accepted, so nothing is lost."""
    parser = argparse.ArgumentParser(prog="python -m emulator.servers.mailbox")
    parser.add_argument("--smtp", type=int, required=True)
    parser.add_argument("--http", type=int, required=True)
    parser.add_argument("--dir", type=Path, required=True)
    options = parser.parse_args()
    mails = Mails(options.dir)
    server = make_server(LOOPBACK, options.http, build_app(mails), threaded=True)
    Controller(mails, hostname=LOOPBACK, port=options.smtp, data_size_limit=_LARGEST, enable_SMTPUTF8=True).start()
    server.serve_forever()


if __name__ == "__main__":
    main()
