"""Users: what a registration must hold, what a login sends, what of an account can change, and passwords."""

import re
from base64 import b64decode
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from unicodedata import normalize
from uuid import UUID

from passlib.hash import bcrypt_sha256

from functions.model import media
from functions.model.errors import BadRequest, Unauthorized

# bcrypt_sha256 hashes input of any length, so the limit is ours: nobody shall keep us busy with megabytes.
PASSWORD_MIN, PASSWORD_MAX = 8, 1024
TEXT_MAX = 254  # the longest address that SMTP can carry (RFC 5321, 4.5.3.1.3)
# RFC 5321, 4.1.2 without its quoted names, and without "?", which could begin an encoded word in an email's header.
ATOM, LABEL = r"[A-Za-z0-9!#$%&'*+/=^_`{|}~-]+", r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
ADDRESS = re.compile(rf"(?=.{{1,64}}@){ATOM}(?:\.{ATOM})*@{LABEL}(?:\.{LABEL})+")
CONTROL = re.compile(r"[\x00-\x1f\x7f\u2028\u2029]")
UNSTORABLE = re.compile(r"[\x00\ud800-\udfff]")  # NUL and lone surrogates: JSON can write them, Postgres not store them


@dataclass(frozen=True)
class Registration:
    """What somebody registers with, checked and normalized."""

    name: str
    username: str
    password: str = field(repr=False)  # in plain text: it must not reach a log by way of a traceback
    email: str | None  # None: this person gets no emails


@dataclass(frozen=True)
class User:
    """A user's row."""

    id: UUID
    username: str
    name: str
    email: str | None  # None: this person gets no emails
    password_hash: str = field(repr=False)

    def public(self) -> dict[str, object]:
        """What the user may see, as JSON values."""
        return {"id": str(self.id), "username": self.username, "name": self.name, "email": self.email}


def registration(body: dict[str, Any]) -> Registration:
    """The registration in a JSON object. Without an email, a username that is an address serves as one.

    Raises BadRequest, which names the member that is wrong.
    """
    name, username, password = (_text(body, field) for field in ("name", "username", "password"))
    if len(password) < PASSWORD_MIN:
        raise BadRequest(f"password must have at least {PASSWORD_MIN} characters", field="password")
    if ":" in username:
        raise BadRequest(
            "username must not hold a colon: it ends the name in Basic authentication (RFC 7617)", field="username"
        )
    email = _email(body) or (username if ADDRESS.fullmatch(username) else None)
    return Registration(name, username, password, email)


def new_email(body: dict[str, Any]) -> str | None:
    """The address that a JSON object changes an account's to; None to take it away.

    Raises BadRequest, which names the member that is wrong.
    """
    if "email" not in body:
        raise BadRequest("say what to change: email, with an address or null", field="email")
    return _email(body)


def credentials(authorization: str | None) -> tuple[str, str]:
    """Username and password of Basic authentication (RFC 7617).

    Raises Unauthorized where the header cannot be read, or where nobody can have that username.
    """
    scheme, _, encoded = (authorization or "").partition(" ")
    # Our challenge asks for UTF-8, but Python's requests sends Latin-1. media.text decides by the octets alone. To try
    # both against the database instead would take measurably longer for some usernames than for others.
    with suppress(ValueError):  # no base64
        username, _, password = media.text(b64decode(encoded.strip(" "), validate=True)).partition(":")
        username = _normal(username).strip()
        if scheme.lower() == "basic" and password and 0 < len(username) <= TEXT_MAX and not CONTROL.search(username):
            return username, _normal(password)
    raise Unauthorized("send username and password by Basic authentication", scheme="Basic")


def hash_password(password: str) -> str:
    return str(bcrypt_sha256.hash(password))


def password_matches(password: str, password_hash: str | None) -> bool:
    """Whether the hash is this password's.

    None as the hash, where there is no such user, gives False after the same time: the time must not tell who exists.
    """
    if len(password) > PASSWORD_MAX:
        return False
    if password_hash is None:
        bcrypt_sha256.verify(password, _hash_of_nobody())
        return False
    return bool(bcrypt_sha256.verify(password, password_hash))


def _normal(text: str) -> str:
    """One form for texts that look the same: some keyboards give an ö as one character, some as two (RFC 7617, 2.1)."""
    return normalize("NFC", text)


_nobody: list[str] = []


def _hash_of_nobody() -> str:
    if not _nobody:
        _nobody.append(hash_password("nobody has this password"))
    return _nobody[0]


def _email(body: dict[str, Any]) -> str | None:
    if body.get("email") in (None, ""):
        return None
    email = _text(body, "email")
    if not ADDRESS.fullmatch(email):
        raise BadRequest("email must be an email address, such as ada@example.org", field="email")
    return email


def _text(body: dict[str, Any], field: str) -> str:
    value = body.get(field)
    limit = PASSWORD_MAX if field == "password" else TEXT_MAX
    if not isinstance(value, str) or not value.strip():
        raise BadRequest(f"{field} must be a text and not empty", field=field)
    value = _normal(value)
    if len(value) > limit:
        raise BadRequest(f"{field} must not be longer than {limit} characters", field=field)
    if UNSTORABLE.search(value) or (field != "password" and CONTROL.search(value.strip())):
        raise BadRequest(f"{field} must not contain control characters or broken ones", field=field)
    return value if field == "password" else value.strip()
