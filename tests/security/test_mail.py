"""Emails go to the one they are for, by a mail server that is who it says it is."""

import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from emulator.ports import reserve_port
from functions.model.errors import Unavailable
from functions.runtime import settings
from functions.stores.mail import Smtp
from serving.environment import SettingsError

LOGIN = {"user": "video-to-mp3", "password": "correct horse"}
NOTIFY = {
    "DATABASE_URL": "postgresql://x/x",
    "LINK_SECRET": "x" * 32,
    "PUBLIC_URL": "https://x.example",
    "MAIL_FROM": "no-reply@x.example",
}


class Server:
    """A mail server with a certificate of its own making; `taken` has the emails, and `logins` the passwords."""

    def __init__(self, folder: Path, name: str = "localhost", **changes: Any) -> None:
        self.taken: list[bytes] = []
        self.logins: list[bytes] = []
        self.certificate = folder / f"{name}.pem"
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.certificate, certify(self.certificate, name))
        self.port = reserve_port()
        given: dict[str, Any] = {"tls_context": context, "require_starttls": True, "authenticator": self._login}
        self.controller = Controller(self, hostname="127.0.0.1", port=self.port, **given | changes)
        self.controller.start()

    def _login(self, _server: Any, _session: Any, _envelope: Any, _mechanism: str, given: Any) -> AuthResult:
        self.logins.append(given.password)
        return AuthResult(success=True)

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 -- aiosmtpd's name
        self.taken.append(envelope.content)
        return "250 OK"


def certify(certificate: Path, name: str) -> Path:
    """Makes a certificate that is its own CA; returns the file of its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    names: list[x509.GeneralName] = [x509.DNSName(name)]
    names += [x509.IPAddress(ip_address("127.0.0.1"))] if name == "localhost" else []
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    plain = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    certificate.with_suffix(".key").write_bytes(key.private_bytes(*plain))
    return certificate.with_suffix(".key")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    with ExitStack() as running:

        def start(**changes: Any) -> Server:
            made = Server(tmp_path, **changes)
            running.callback(made.controller.stop)
            return made

        yield start


def email() -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"] = "no-reply@x.example", "ada@x.example"
    message.set_content("Hello")
    return message


def test_a_server_of_a_known_ca_gets_the_email(server: Callable[..., Server]) -> None:
    known = server()
    Smtp("127.0.0.1", known.port, **LOGIN, starttls=True, ca_file=str(known.certificate)).send(email())
    assert (len(known.taken), known.logins) == (1, [b"correct horse"])


def test_an_impostor_gets_neither_the_password_nor_the_email(server: Callable[..., Server]) -> None:
    """Its certificate is of a CA that nobody knows."""
    impostor = server()
    with pytest.raises(Unavailable, match=r"certificate.*SMTP_CA_FILE"):
        Smtp("127.0.0.1", impostor.port, **LOGIN, starttls=True).send(email())
    assert (impostor.taken, impostor.logins) == ([], [])


def test_a_certificate_of_another_name_is_not_accepted(server: Callable[..., Server]) -> None:
    other = server(name="other.example")
    with pytest.raises(Unavailable, match=r"certificate.*SMTP_HOST"):
        Smtp("127.0.0.1", other.port, **LOGIN, starttls=True, ca_file=str(other.certificate)).send(email())
    assert (other.taken, other.logins) == ([], [])


def test_a_server_without_tls_gets_neither(server: Callable[..., Server]) -> None:
    """Somebody on the way may have taken STARTTLS out of what it offers."""
    plain = server(tls_context=None, require_starttls=False, auth_require_tls=False)
    with pytest.raises(Unavailable, match="STARTTLS"):
        Smtp("127.0.0.1", plain.port, **LOGIN, starttls=True).send(email())
    assert (plain.taken, plain.logins) == ([], [])


def test_a_password_without_tls_is_no_setting() -> None:
    with pytest.raises(SettingsError, match="SMTP_USER needs SMTP_STARTTLS=true"):
        settings.load("notify", {**NOTIFY, "SMTP_USER": "me"})
    assert settings.load("notify", {**NOTIFY, "SMTP_USER": "me", "SMTP_STARTTLS": "true"}).smtp_user == "me"
    assert settings.load("notify", {**NOTIFY, "SMTP_USER": "me", "MAIL_TRANSPORT": "ses"}).smtp_user == "me"


def test_a_ca_file_that_is_not_there_is_said_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="SMTP_CA_FILE names no file"):
        settings.load("notify", {**NOTIFY, "SMTP_CA_FILE": str(tmp_path / "none.pem")})
