"""What a function is told by its environment.

Read once, checked whole: a start that lacks something names all of it.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

SECRETS_DIR = "/var/openfaas/secrets"
SECRETS = ("database_url", "mongo_uri", "mongo_mp3_uri", "jwt_secret", "link_secret", "smtp_password")
KEYS = ("jwt_secret", "link_secret")  # HMAC keys: RFC 7518, 3.2 asks for at least as many bytes as the hash has
KEY_BYTES = 32
TRANSPORTS = ("smtp", "ses")
# What each function cannot do without. It is given nothing else: convert, which opens strangers' files, holds no key.
NEEDS = {
    "register": ("database_url",),
    "login": ("database_url", "jwt_secret"),
    "validate": ("jwt_secret",),
    "account": ("database_url", "jwt_secret"),
    "upload": ("database_url", "mongo_uri", "jwt_secret", "k_sink"),
    "jobs": ("database_url", "jwt_secret", "k_sink"),
    "download": ("database_url", "mongo_mp3_uri", "jwt_secret", "link_secret"),
    "ui": (),
    "convert": ("database_url", "mongo_uri", "mongo_mp3_uri"),
    "convert_once": ("database_url", "mongo_uri", "mongo_mp3_uri", "k_sink"),
    "notify": ("database_url", "link_secret", "public_url", "mail_from"),
    "dead_letter": ("database_url",),
    "sweep": ("database_url", "mongo_uri", "mongo_mp3_uri", "k_sink"),
    "migrate": ("database_url",),
}
# Where AUTH_SVC_ADDR is set; then they need no key to check tokens with.
ASK_VALIDATE = ("account", "upload", "jobs", "download")
GIB = 1024**3
DAY = 86400


class SettingsError(Exception):
    """Something in the environment is missing or weak; the message names all of it and says what to set."""


@dataclass(frozen=True)
class Settings:
    """Each field is the environment variable of that name in upper case."""

    database_url: str = ""  # Postgres
    mongo_uri: str = ""  # where videos lie; the path names the database
    mongo_mp3_uri: str = ""  # where MP3s lie
    jwt_secret: str = ""  # signs access tokens
    link_secret: str = ""  # signs the links in mails
    smtp_password: str = ""
    k_sink: str = ""  # where events are posted (Knative's name)
    auth_svc_addr: str = ""  # host:port of validate; when set, bearer checks go there
    public_url: str = ""  # how people reach the gateway: links in mails start with it

    concurrency: int = 8  # requests one instance works on at once; CONCURRENCY also sets gunicorn's threads

    max_upload_bytes: int = 4 * GIB
    max_duration_seconds: int = 12 * 3600
    max_audio_bytes: int = 2 * GIB
    convert_disk_bytes: int = 0  # what the conversions of one instance may take of its disk; 0: all that is free
    convert_seconds: int = 570  # of the 600 that every platform gives one event
    mp3_quality: int = 2  # LAME's -V: 0 (best) to 9
    lease_seconds: int = 60
    max_tries: int = 3

    upload_seconds: int = 3600  # the longest an upload may take
    transfer_seconds: int = 3600  # the longest a download may take: nothing is removed under one
    result_seconds: int = 7 * DAY  # how long an MP3 can be downloaded
    source_seconds: int = DAY  # how long a video is kept after its job ended, so that it can be tried again
    orphan_seconds: int = (
        3 * 3600
    )  # files no row names are removed after this: more than any upload or conversion takes
    orphan_pass_seconds: int = 600  # how often they are looked for

    token_seconds: int = DAY
    link_seconds: int = 7 * DAY
    login_free_attempts: int = 5
    mails_per_hour: int = 10  # to one address
    notify_give_up_seconds: int = 3 * DAY

    mail_transport: str = "smtp"  # one of TRANSPORTS; SES reads AWS' own variables
    mail_from: str = ""
    smtp_host: str = "localhost"
    smtp_port: int = 25
    smtp_user: str = ""
    smtp_starttls: bool = False


def load(function: str, environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings of that function, from the environment and from files in $SECRETS_DIR.

    Raises SettingsError naming everything that is missing, malformed or weak.
    """
    folder = Path(environ.get("SECRETS_DIR", SECRETS_DIR))
    wrong: list[str] = []
    values: dict[str, Any] = {}
    for field in fields(Settings):
        text = environ.get(field.name.upper()) or (_secret(folder, field.name) if field.name in SECRETS else "")
        if text:
            try:
                values[field.name] = PARSERS[field.type](text)
            except ValueError:
                wrong.append(f"{field.name.upper()} must be {NOUNS[field.type]}, not {text[:40]!r}")
    settings = Settings(**values)
    wrong += [
        f"{name.upper()} {fault}"
        for name in NEEDS[function]
        if not (name == "jwt_secret" and settings.auth_svc_addr and function in ASK_VALIDATE)
        if (fault := _fault(name, getattr(settings, name), folder))
    ]
    if settings.mail_transport not in TRANSPORTS:
        wrong.append(f"MAIL_TRANSPORT must be {' or '.join(TRANSPORTS)}, not {settings.mail_transport[:40]!r}")
    if wrong:
        raise SettingsError(f"{function} cannot start: {'; '.join(wrong)}")
    return settings


def _fault(name: str, value: str, folder: Path) -> str | None:
    """What is wrong with something that cannot be done without; never the value, which may be a secret."""
    if not value:
        return "is not set" + (f" (or the file {folder / name.replace('_', '-')})" if name in SECRETS else "")
    if name in KEYS and len(value.encode()) < KEY_BYTES:
        return f"is shorter than {KEY_BYTES} bytes; make one with `openssl rand -hex 32`"
    if name.startswith("mongo") and not urlsplit(value).path.strip("/"):
        return "must end in /<database>"
    return None


def _secret(folder: Path, name: str) -> str:
    try:
        return (folder / name.replace("_", "-")).read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return ""


def _boolean(text: str) -> bool:
    if text.lower() not in BOOLEANS:
        raise ValueError(text)
    return BOOLEANS[text.lower()]


BOOLEANS = {"true": True, "1": True, "false": False, "0": False}
PARSERS: dict[Any, Any] = {str: str, int: int, bool: _boolean}
NOUNS: dict[Any, str] = {int: "a whole number", bool: "true or false"}
