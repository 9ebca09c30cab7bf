"""The settings of a function, read from its environment.

They are read once, before the first request, and checked as a whole: a start that fails names everything that is wrong.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import Field, dataclass, field, fields, replace
from typing import Any
from urllib.parse import urlsplit

from serving import logs
from serving.environment import Environment

KEYS = ("jwt_secret", "link_secret")  # HMAC keys: RFC 7518, 3.2 asks for at least as many bytes as the hash has
KEY_BYTES = 32
TRANSPORTS = ("smtp", "ses")
JAILS = ("possible", "full")
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
    "convert_jobsink": ("database_url", "mongo_uri", "mongo_mp3_uri", "k_sink"),
    "notify": ("database_url", "link_secret", "public_url", "mail_from"),
    "dead_letter": ("database_url",),
    "sweep": ("database_url", "mongo_uri", "mongo_mp3_uri", "k_sink"),
    "migrate": ("database_url",),
}
# These have tokens checked by validate where AUTH_SVC_ADDR is set, and then need no key of their own.
ASK_VALIDATE = ("account", "upload", "jobs", "download")
GIB = 1024**3
DAY = 86400


def _secret() -> Any:
    """A field that may also be read from a file, and that repr() leaves out."""
    return field(default="", repr=False, metadata={"secret": True})


@dataclass(frozen=True)
class Settings:
    """What the function itself reads. Each field is the environment variable of that name in upper case."""

    database_url: str = _secret()  # Postgres
    mongo_uri: str = _secret()  # where videos lie; the path names the database
    mongo_mp3_uri: str = _secret()  # where MP3s lie
    jwt_secret: str = _secret()  # signs access tokens
    link_secret: str = _secret()  # signs the links in emails
    smtp_password: str = _secret()
    k_sink: str = ""  # where events are posted (Knative's name)
    auth_svc_addr: str = ""  # host:port of validate; when set, bearer checks go there
    public_url: str = ""  # how people reach the gateway: links in emails start with it

    # How many requests one instance works on at once; CONCURRENCY also sets gunicorn's threads.
    concurrency: int = field(default=8, metadata={"bounds": (1, None)})

    max_upload_bytes: int = 4 * GIB
    max_duration_seconds: int = 12 * 3600
    max_audio_bytes: int = 2 * GIB
    convert_disk_bytes: int = 0  # what the conversions of one instance may take of its disk; 0: all that is free
    convert_cores: int = 0  # that the conversions of one instance share; 0: all that its container may use
    # "full": no start where the kernel cannot put all walls around ffmpeg.
    require_jail: str = field(default="possible", metadata={"choices": JAILS})
    convert_seconds: int = 570  # of the 600 that every platform gives one event
    mp3_quality: int = field(default=2, metadata={"bounds": (0, 9)})  # LAME's -V where an upload asks for none
    lease_seconds: int = 60
    max_tries: int = 3

    # How many uploads, and how many downloads, one user may have under way in one instance: fewer than it has threads.
    transfers_per_user: int = field(default=4, metadata={"bounds": (1, None)})
    upload_seconds: int = 3600  # the longest an upload may take
    transfer_seconds: int = 3600  # the longest a download may take: nothing is removed under one
    result_seconds: int = 7 * DAY  # how long an MP3 can be downloaded
    source_seconds: int = DAY  # how long a video is kept after its job ended, so that it can be tried again
    # A file that no row names is removed when it is this old: older than any upload or conversion takes.
    orphan_seconds: int = 3 * 3600
    orphan_pass_seconds: int = 600  # how often they are looked for
    sweep_until: int = 0  # the second of a minute until which a run of sweep goes on looking for events that are due

    token_seconds: int = DAY
    link_seconds: int = 7 * DAY
    login_free_attempts: int = 5
    mails_per_hour: int = 10  # to one address
    notify_give_up_seconds: int = 3 * DAY

    mail_transport: str = field(default="smtp", metadata={"choices": TRANSPORTS})  # SES reads AWS' own variables
    mail_from: str = ""
    smtp_host: str = "localhost"
    smtp_port: int = 25
    smtp_user: str = ""
    smtp_starttls: bool = False
    smtp_ca_file: str = ""  # PEM; empty: the CAs of this machine


@dataclass(frozen=True)
class Hosting:
    """How gunicorn serves a function: the same for all of them (functions/runtime/gunicorn.conf.py)."""

    host: str = "0.0.0.0"  # noqa: S104 -- a container's port is reached from outside
    port: int = 8080
    concurrency: int = 8  # the same setting as in Settings
    grace_seconds: int = 620  # how long a stopping function may finish its work: a little over the longest time limit
    log_level: str = field(default=logs.LEVEL, metadata={"choices": logs.LEVELS})


SECRETS = tuple(each.name for each in fields(Settings) if "secret" in each.metadata)
READERS: dict[Any, Any] = {str: Environment.text, int: Environment.number, bool: Environment.boolean}


def load(function: str, environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings of that function, from the environment and from files in $SECRETS_DIR.

    Raises serving.environment.SettingsError, which names everything that is missing, malformed or weak.
    """
    return _read(function, environ)[0]


def hosting(function: str, environ: Mapping[str, str] = os.environ) -> Hosting:
    """How that function is to be served. Raises SettingsError, also for what is wrong with the settings of `load`."""
    return _read(function, environ)[1]


def deployed_name(function: str) -> str:
    """The function's name in template.yml, in addresses, logs, metrics and events: `dead-letter` for dead_letter.

    Python allows no dash in the name of a module. convert_jobsink is convert too, started as a Job.
    """
    return function.removesuffix("_jobsink").replace("_", "-")


def _read(function: str, environ: Mapping[str, str]) -> tuple[Settings, Hosting]:
    env = Environment(environ)
    settings = Settings(**{each.name: _value(env, each) for each in fields(Settings)})
    served = Hosting(**{each.name: _value(env, each) for each in fields(Hosting) if each.name != "concurrency"})
    for name in NEEDS[function]:
        if name == "jwt_secret" and settings.auth_svc_addr and function in ASK_VALIDATE:
            continue
        if fault := _fault(name, getattr(settings, name), env):
            env.reject(f"{name.upper()} {fault}")
    if "mail_from" in NEEDS[function]:
        for fault in _faults_of_mail(settings):
            env.reject(fault)
    env.complain(deployed_name(function))
    return settings, replace(served, concurrency=settings.concurrency)


def _value(env: Environment, each: Field[Any]) -> Any:
    name = each.name.upper()
    default: Any = each.default
    if "secret" in each.metadata:
        return env.secret(name)
    if "choices" in each.metadata:
        return env.choice(name, default, each.metadata["choices"])
    if "bounds" in each.metadata:
        return env.number(name, default, *each.metadata["bounds"])
    return READERS[each.type](env, name, default)


def _fault(name: str, value: str, env: Environment) -> str | None:
    """What is wrong with a setting that the function needs; never the value, which may be a secret."""
    if not value:
        return "is not set" + (f" (or the file {env.file(name)})" if name in SECRETS else "")
    if name in KEYS and len(value.encode()) < KEY_BYTES:
        return f"is shorter than {KEY_BYTES} bytes; make one with `openssl rand -hex 32`"
    if name.startswith("mongo") and not _names_database(value):
        return "must end in /<database>"
    return None


def _faults_of_mail(settings: Settings) -> Iterator[str]:
    if settings.mail_transport == "smtp" and settings.smtp_user and not settings.smtp_starttls:
        yield "SMTP_USER needs SMTP_STARTTLS=true: without it everybody on the way could read the password"
    if settings.smtp_ca_file and not os.access(settings.smtp_ca_file, os.R_OK):
        yield "SMTP_CA_FILE names no file that can be read"


def _names_database(uri: str) -> bool:
    try:
        return bool(urlsplit(uri).path.strip("/"))
    except ValueError:  # no URI at all
        return False
