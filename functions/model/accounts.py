"""Who people are: what a registration must hold, what a login shows, what of an account can change, and passwords."""

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

# Longer input is refused before it is hashed: bcrypt_sha256 takes any length, but megabytes would be work for nothing.
PASSWORD_MIN, PASSWORD_MAX = 8, 1024
TEXT_MAX = 254  # the longest address that SMTP can carry (RFC 5321, 4.5.3.1.3)
# RFC 5321, 4.1.2 without its quoted names, and without "?", which could begin an encoded word in an email's header.
ATOM, LABEL = r"[A-Za-z0-9!#$%&'*+/=^_`{|}~-]+", r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
ADDRESS = re.compile(rf"(?=.{{1,64}}@){ATOM}(?:\.{ATOM})*@{LABEL}(?:\.{LABEL})+")
CONTROL = re.compile(r"[\x00-\x1f\x7f\u2028\u2029]")
UNSTORABLE = re.compile(r"[\x00\ud800-\udfff]")  # JSON can spell them; UTF-8 and Postgres cannot


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
    """What a person registers with; without an email, a username that is an address serves as it.

    Raises BadRequest naming the field.
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
    """What an account's address is changed to; None where it is taken away. Raises BadRequest naming the member."""
    if "email" not in body:
        raise BadRequest("say what to change: email, with an address or null", field="email")
    return _email(body)


def credentials(authorization: str | None) -> tuple[str, str]:
    """Username and password of Basic authentication (RFC 7617). Raises Unauthorized where they can be nobody's."""
    scheme, _, encoded = (authorization or "").partition(" ")
    # The challenge asks for UTF-8, Python's requests sends Latin-1. The octets alone decide: to try one after the other
    # would take longer for names and passwords that exist.
    with suppress(ValueError):  # what is no base64
        username, _, password = media.text(b64decode(encoded.strip(" "), validate=True)).partition(":")
        username = _normal(username).strip()
        if scheme.lower() == "basic" and password and 0 < len(username) <= TEXT_MAX and not CONTROL.search(username):
            return username, _normal(password)
    raise Unauthorized("send username and password by Basic authentication", scheme="Basic")


def hash_password(password: str) -> str:
    return str(bcrypt_sha256.hash(password))


def password_matches(password: str, password_hash: str | None) -> bool:
    """Whether it is the one; without a hash (no such user) False after the same time."""
    if len(password) > PASSWORD_MAX:
        return False
    if password_hash is None:
        bcrypt_sha256.verify(password, _hash_of_nobody())
        return False
    return bool(bcrypt_sha256.verify(password, password_hash))


def _normal(text: str) -> str:
    """Whether a keyboard gives an ö as one character or as two, it is the same (RFC 7617, 2.1)."""
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
        raise BadRequest(f"{field} must not hold control characters or halves of others", field=field)
    return value if field == "password" else value.strip()
