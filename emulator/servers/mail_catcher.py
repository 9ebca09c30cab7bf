"""A mail catcher: it takes mails by SMTP, keeps each as an `.eml` file, and shows them on a page and by an API.

The API is a part of Mailpit's (https://mailpit.axllent.org/docs/api-v1/), so that one client reads both.

`python -m emulator.servers.mail_catcher --smtp PORT --http PORT --dir DIRECTORY`
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

from emulator.ports import LOOPBACK

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


class Mails:
    """The mails, as files whose names begin with the time, so that sorted names are sorted by age."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 aiosmtpd's name
        """Keep one mail. It gets its name when it is complete, so that a crash leaves no half mail in the list."""
        unfinished = self._directory / f"{time.time_ns():019}-{secrets.token_hex(4)}.unfinished"
        unfinished.write_bytes(envelope.original_content or b"")
        unfinished.rename(unfinished.with_suffix(".eml"))
        return "250 kept"

    def list_newest_first(self) -> list[Path]:
        """The files of all mails."""
        return sorted(self._directory.glob("*.eml"), reverse=True)

    def find(self, mail_id: str) -> Path:
        """The file of one mail, or of the newest for `latest`. Aborts the request with 404 when there is none."""
        return next((path for path in self.list_newest_first() if mail_id in (path.stem, "latest")), None) or abort(404)


def build_app(mails: Mails) -> Flask:
    """The page for people and the API, as one WSGI application."""
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
        # A mail's HTML may be anybody's, so it runs no script, fetches nothing and shares no origin with this page.
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
    """A mail as Mailpit's list of messages describes it."""
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
    """A mail with its text and HTML, as Mailpit describes a single message."""
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
    """Catch mails until killed. A mail is on disk before the sender is told that it was taken, so none is lost."""
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
