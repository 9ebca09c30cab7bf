"""Notify: one email for each end of a job, by SMTP or SES; trouble with the mail server never touches the job."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from email.header import decode_header, make_header
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from flask.testing import FlaskClient

from emulator.ports import reserve_port
from functions.model.jobs import Job, State
from functions.model.media import Reason
from functions.model.tokens import Links
from functions.runtime import announcement
from functions.stores.jobs import Jobs
from tests.functions.harness import Person, deliver, nothing_follows, problem
from tests.functions.mail_server import MailServer
from tests.servers import bound_to_us
from tests.waiting import PATIENCE, until

Function = Callable[..., FlaskClient]
Make = Callable[..., Job]
Sql = Callable[..., list[tuple[Any, ...]]]
NOTIFICATION = "SELECT state, last_error FROM notifications"


@pytest.fixture(scope="module")
def kept_server() -> Iterator[MailServer]:
    mail_server = MailServer()
    yield mail_server
    mail_server.close()


@pytest.fixture
def mail_server(kept_server: MailServer) -> MailServer:
    kept_server.emails.clear()
    kept_server.answer = kept_server.sender_answer = kept_server.recipient_answer = "250 OK"
    return kept_server


@pytest.fixture
def client(function: Function, mail_server: MailServer) -> FlaskClient:
    return function("notify", SMTP_HOST="127.0.0.1", SMTP_PORT=str(mail_server.port))


@pytest.fixture
def fail(jobs: Jobs, add: Make) -> Make:
    def make(reason: Reason, **changes: Any) -> Job:
        claimed = jobs.claim(add(**changes).id)
        assert claimed
        job = jobs.fail(claimed, reason, "")
        assert job
        return job

    return make


def tell(client: FlaskClient, job: Job) -> Any:
    """Delivers the event about the job's result."""
    return deliver(client, announcement.result(job, "/functions/convert"))


def test_the_owner_of_a_finished_job_gets_a_link(
    client: FlaskClient, mail_server: MailServer, finish: Make, ada: Person, links: Links
) -> None:
    """It begins with PUBLIC_URL, not with the Host that the request happened to have."""
    job = finish(filename="Größe <b>.mp4")
    assert nothing_follows(tell(client, job))
    [(addresses, email)] = mail_server.emails
    assert addresses == [ada.username]
    text = email.get_body(("plain",)).get_content()
    page = email.get_body(("html",)).get_content()
    address = next(word for word in text.split() if word.startswith("http"))
    assert address.startswith(f"https://videos.example.org/download?fid={job.fid}&token=")
    links.check(parse_qs(urlsplit(address).query)["token"][0], job.fid)
    assert str(make_header(decode_header(email["Subject"]))) == "Your MP3 is ready: Größe <b>.mp4"
    assert "Größe &lt;b&gt;" in page


def test_the_owner_of_a_failed_job_gets_the_reason(client: FlaskClient, mail_server: MailServer, fail: Make) -> None:
    """In plain words, and with the page where it can be tried again."""
    tell(client, fail(Reason.TRUNCATED))
    [(_, email)] = mail_server.emails
    text = email.get_body(("plain",)).get_content()
    assert Reason.TRUNCATED.sentence in " ".join(text.split())
    assert "https://videos.example.org/" in text
    assert "token" not in text


def test_a_doubled_event_brings_no_second_email(client: FlaskClient, mail_server: MailServer, finish: Make) -> None:
    job = finish()
    assert nothing_follows(tell(client, job))
    assert nothing_follows(tell(client, job))
    assert len(mail_server.emails) == 1


def test_the_row_decides_what_is_told(client: FlaskClient, mail_server: MailServer, finish: Make, sql: Sql) -> None:
    """An event that claims the job failed only makes notify look at the row."""
    job = finish()
    sql("UPDATE jobs SET reason = 'no_audio'")
    forged = announcement.result(replace(job, state=State.FAILED, reason="no_audio"), "/functions/evil")
    assert nothing_follows(deliver(client, forged))
    assert mail_server.emails[0][1]["Subject"].startswith("Your MP3 is ready")


def test_a_job_that_is_not_done_is_told_of_to_nobody(client: FlaskClient, mail_server: MailServer, add: Make) -> None:
    """Whatever an event claims."""
    job = add()
    event = announcement.result(replace(job, state=State.FAILED, reason="no_audio"), "/functions/evil")
    assert nothing_follows(deliver(client, event))
    assert mail_server.emails == []


@pytest.mark.parametrize("which", ["answer", "recipient_answer"])
def test_an_email_that_will_never_be_taken_is_given_up(
    which: str, client: FlaskClient, mail_server: MailServer, finish: Make, sql: Sql, ada: Person
) -> None:
    """The reply was 5yz. The job stays done, and the address, which the reply repeats, gets into no log."""
    setattr(mail_server, which, f"550 no such user {ada.username}")
    assert nothing_follows(tell(client, finish()))
    assert sql(NOTIFICATION) == [("given_up", "the mail server refuses the email: 550")]
    assert sql("SELECT state FROM jobs") == [("done",)]


@pytest.mark.parametrize("which", ["answer", "recipient_answer"])
def test_an_email_that_may_be_taken_later_stays_owed(
    which: str, client: FlaskClient, mail_server: MailServer, finish: Make, sql: Sql
) -> None:
    """The reply was 4yz, so the event is delivered again, and then the email is sent."""
    setattr(mail_server, which, "451 greylisted, come back")
    job = finish()
    problem(tell(client, job), 503, "unavailable")
    assert sql(NOTIFICATION) == [("owed", "the mail server answers 451")]
    setattr(mail_server, which, "250 OK")
    assert nothing_follows(tell(client, job))
    assert sql(NOTIFICATION) == [("sent", None)]


def test_a_sender_that_is_refused_leaves_the_email_owed(
    client: FlaskClient, mail_server: MailServer, finish: Make, sql: Sql
) -> None:
    """The email is not to blame: once an operator has set MAIL_FROM right, it is sent."""
    mail_server.sender_answer = "553 not a sender of ours"
    problem(tell(client, finish()), 503, "unavailable")
    assert sql(NOTIFICATION) == [("owed", "the mail server refuses us: 553; is MAIL_FROM right?")]


def test_while_the_mail_server_is_away_the_email_stays_owed(function: Function, finish: Make, sql: Sql) -> None:
    problem(tell(function("notify", SMTP_HOST="127.0.0.1", SMTP_PORT="1"), finish()), 503, "unavailable")
    assert sql(NOTIFICATION) == [("owed", "the mail server cannot be reached: ConnectionRefusedError")]


def test_a_mail_server_without_tls_leaves_the_email_owed(
    function: Function, mail_server: MailServer, finish: Make, sql: Sql
) -> None:
    """It is never sent without encryption where that is set; an operator can mend that."""
    client = function("notify", SMTP_HOST="127.0.0.1", SMTP_PORT=str(mail_server.port), SMTP_STARTTLS="true")
    problem(tell(client, finish()), 503, "unavailable")
    assert mail_server.emails == []
    assert [state for state, _ in sql(NOTIFICATION)] == ["owed"]


def test_one_address_gets_some_emails_an_hour(
    function: Function, mail_server: MailServer, finish: Make, sql: Sql, eve: Person
) -> None:
    """The rest waits; other addresses do not."""
    client = function("notify", SMTP_HOST="127.0.0.1", SMTP_PORT=str(mail_server.port), MAILS_PER_HOUR="2")
    for _ in range(3):
        assert nothing_follows(tell(client, finish()))
    assert len(mail_server.emails) == 2
    assert ("owed", "too many emails to this address in an hour") in sql(NOTIFICATION)
    tell(client, finish(owner=eve.id))
    assert mail_server.emails[-1][0] == [eve.username]


def test_nobody_s_name_becomes_a_header(
    client: FlaskClient, mail_server: MailServer, finish: Make, person: Callable[..., Person]
) -> None:
    """A row may be older than the rules by which register refuses such a name."""
    evil = person(name="Eve\r\nBcc: all@example.org")
    tell(client, finish(owner=evil.id, filename="=?utf-8?q?=0d=0aBcc:all@example.org?=.mp4"))
    [(addresses, email)] = mail_server.emails
    assert addresses == [evil.username]
    assert "Bcc" not in email


def test_an_address_that_no_email_can_carry_is_given_up(
    client: FlaskClient, finish: Make, person: Callable[..., Person], sql: Sql
) -> None:
    """A row may be older than the rules of register; trying again would not help."""
    assert nothing_follows(tell(client, finish(owner=person(email="a..b@example.org").id)))
    assert sql("SELECT state FROM notifications") == [("given_up",)]


@pytest.mark.parametrize("end", ["finish", "fail"])
def test_who_has_no_address_is_told_nothing(
    end: str,
    client: FlaskClient,
    mail_server: MailServer,
    finish: Make,
    fail: Make,
    person: Callable[..., Person],
    sql: Sql,
) -> None:
    """That is noted when the job ends, and an address that is given later does not change it."""
    john = person(email=None)
    job = finish(owner=john.id) if end == "finish" else fail(Reason.NO_AUDIO, owner=john.id)
    assert sql(NOTIFICATION) == [("unwanted", None)]
    assert nothing_follows(tell(client, job))
    sql("UPDATE users SET email = 'john@example.org'")
    assert nothing_follows(tell(client, job))
    assert mail_server.emails == []
    assert sql(NOTIFICATION) == [("unwanted", None)]
    tell(client, finish(owner=john.id))
    assert [addresses for addresses, _ in mail_server.emails] == [["john@example.org"]]


def test_an_address_that_was_taken_away_in_time_gets_nothing(
    client: FlaskClient, mail_server: MailServer, finish: Make, function: Function, ada: Person, sql: Sql
) -> None:
    """Between the end of the job and its email."""
    job = finish()
    function("account").patch("/", json={"email": None}, headers=ada.headers)
    assert nothing_follows(tell(client, job))
    assert mail_server.emails == []
    assert sql(NOTIFICATION) == [("unwanted", None)]


def test_an_address_gets_no_more_for_passing_from_account_to_account(
    function: Function, mail_server: MailServer, finish: Make, ada: Person, eve: Person, sql: Sql
) -> None:
    """Otherwise somebody who changes addresses could flood a stranger."""
    client = function("notify", SMTP_HOST="127.0.0.1", SMTP_PORT=str(mail_server.port), MAILS_PER_HOUR="2")
    account = function("account")
    account.patch("/", json={"email": "Victim@example.org"}, headers=ada.headers)
    for _ in range(2):
        tell(client, finish())
    account.patch("/", json={"email": None}, headers=ada.headers)
    account.patch("/", json={"email": "victim@example.org"}, headers=eve.headers)
    assert nothing_follows(tell(client, finish(owner=eve.id)))
    assert len(mail_server.emails) == 2
    assert ("owed", "too many emails to this address in an hour") in sql(NOTIFICATION)


@pytest.fixture(scope="module")
def ses() -> Iterator[str]:
    """Amazon SES as moto imitates it, over HTTP."""
    url = f"http://127.0.0.1:{(port := reserve_port())}"
    server = subprocess.Popen(
        bound_to_us(sys.executable, "-c", f"from moto.server import main; main(['-p', '{port}'])"),
        stderr=subprocess.DEVNULL,
    )
    until(lambda: answers(url))
    yield url
    server.terminate()
    server.wait()


def answers(url: str) -> bool:
    try:
        return requests.get(f"{url}/moto-api/data.json", timeout=PATIENCE).ok
    except requests.ConnectionError:
        return False


@pytest.fixture
def by_ses(function: Function, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], FlaskClient]:
    """notify, sending through the SES at that address; AWS' library reads the environment when it first sends."""

    def client(url: str) -> FlaskClient:
        aws = {"AWS_ENDPOINT_URL_SESV2": url, "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
        environ = aws | {"AWS_DEFAULT_REGION": "eu-central-1", "MAIL_TRANSPORT": "ses"}
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        return function("notify", **environ)

    return client


def test_while_ses_is_away_the_email_stays_owed(by_ses: Callable[[str], FlaskClient], finish: Make, sql: Sql) -> None:
    problem(tell(by_ses("http://127.0.0.1:1"), finish()), 503, "unavailable")
    assert sql(NOTIFICATION) == [("owed", "SES cannot be reached: EndpointConnectionError")]


def test_an_email_goes_by_ses_where_that_is_chosen(
    by_ses: Callable[[str], FlaskClient], ses: str, finish: Make, sql: Sql
) -> None:
    """It stays owed while Amazon does not know the sender, and is sent once it does."""
    client = by_ses(ses)
    job = finish(filename="Größe.mp4")
    problem(tell(client, job), 503, "unavailable")
    assert sql(NOTIFICATION) == [("owed", "SES answers MessageRejected")]
    sender = {"EmailIdentity": "videos@example.org"}
    authorization = {"Authorization": "AWS4-HMAC-SHA256 Credential=x/20260101/eu-central-1/ses/aws4_request"}
    requests.post(f"{ses}/v2/email/identities", json=sender, headers=authorization, timeout=PATIENCE).raise_for_status()
    assert nothing_follows(tell(client, job))
    assert sql(NOTIFICATION) == [("sent", None)]
    [sent] = requests.get(f"{ses}/moto-api/data.json", timeout=PATIENCE).json()["ses"]["RawMessage"]
    assert sent
