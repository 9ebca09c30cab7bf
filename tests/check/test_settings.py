"""Settings of functions: a start that lacks something names all of it at once, and no secret is ever shown."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from events import catalogue
from events.bridge.settings import Settings as BridgeSettings
from functions.runtime import settings
from functions.runtime.settings import NEEDS, SECRETS, Hosting, Settings
from serving.environment import Environment, SettingsError

WHOLE = {
    "DATABASE_URL": "postgresql://localhost/app",
    "MONGO_URI": "mongodb://localhost/videos",
    "MONGO_MP3_URI": "mongodb://localhost/mp3s",
    "JWT_SECRET": "j" * 32,
    "LINK_SECRET": "l" * 32,
    "K_SINK": "http://localhost:8000",
    "PUBLIC_URL": "https://example.org",
    "MAIL_FROM": "noreply@example.org",
}


@pytest.mark.parametrize("function", NEEDS)
def test_nothing_set_is_told_whole(function: str, tmp_path: Path) -> None:
    """Each missing setting once, and for a secret also the file that it may come from."""
    if not NEEDS[function]:
        assert settings.load(function, {}) == Settings()
        return
    with pytest.raises(SettingsError) as refused:
        settings.load(function, {"SECRETS_DIR": str(tmp_path)})
    for name in NEEDS[function]:
        assert str(refused.value).count(f"{name.upper()} is not set") == 1
        assert (str(tmp_path / name.replace("_", "-")) in str(refused.value)) == (name in SECRETS)


@pytest.mark.parametrize("function", NEEDS)
def test_what_is_needed_is_enough(function: str) -> None:
    """Every other setting has a default that works."""
    settings.load(function, {name.upper(): WHOLE[name.upper()] for name in NEEDS[function]})


@pytest.mark.parametrize("function", ["login", "validate", "account", "upload", "jobs", "download"])
def test_who_asks_validate_needs_no_key(function: str) -> None:
    """AUTH_SVC_ADDR may be set for all functions alike: login and validate need their key all the same."""
    environ = {"AUTH_SVC_ADDR": "validate:8080"} | {name: WHOLE[name] for name in WHOLE if name != "JWT_SECRET"}
    if function in settings.ASK_VALIDATE:
        assert settings.load(function, environ).jwt_secret == ""
    else:
        with pytest.raises(SettingsError, match="JWT_SECRET is not set"):
            settings.load(function, environ)


WRONG = {
    "a short key": ({"JWT_SECRET": "secret"}, "JWT_SECRET is shorter than 32 bytes"),
    "a number in words": ({"MAX_TRIES": "three"}, "MAX_TRIES must be a whole number such as 3, not 'three'"),
    "no quality of LAME's": ({"MP3_QUALITY": "12"}, "MP3_QUALITY must be a whole number from 0 to 9, not '12'"),
    "no request at all": ({"CONCURRENCY": "0"}, "CONCURRENCY must be a whole number such as 8, not '0'"),
    "a negative number": ({"MAX_TRIES": "-1"}, "MAX_TRIES must be a whole number such as 3, not '-1'"),
    "a maybe": ({"SMTP_STARTTLS": "perhaps"}, "SMTP_STARTTLS must be true or false"),
    "an unknown transport": ({"MAIL_TRANSPORT": "pigeon"}, "MAIL_TRANSPORT must be smtp or ses, not 'pigeon'"),
    "a server without a database": ({"MONGO_URI": "mongodb://localhost:27017"}, "MONGO_URI must end in /<database>"),
    "no URI at all": ({"MONGO_URI": "mongodb://[/videos"}, "MONGO_URI must end in /<database>"),
    "an unknown log level": ({"LOG_LEVEL": "loud"}, "LOG_LEVEL must be DEBUG or .* CRITICAL, not 'loud'"),
    "a port in words": ({"PORT": "http"}, "PORT must be a whole number such as 8080, not 'http'"),
    "no time to stop": ({"GRACE_SECONDS": "soon"}, "GRACE_SECONDS must be a whole number such as 620, not 'soon'"),
}


@pytest.mark.parametrize(("environ", "complaint"), WRONG.values(), ids=WRONG)
def test_what_is_weak_or_malformed_is_named(environ: dict[str, str], complaint: str) -> None:
    """The message says what it should have been."""
    with pytest.raises(SettingsError, match=complaint):
        settings.load("upload", WHOLE | environ)
    with pytest.raises(SettingsError, match=complaint):
        settings.hosting("upload", WHOLE | environ)


def test_several_faults_are_told_together() -> None:
    """Nobody should have to start five times to learn of five faults."""
    with pytest.raises(SettingsError) as refused:
        settings.load("upload", {"JWT_SECRET": "short", "LEASE_SECONDS": "x"})
    assert all(word in str(refused.value) for word in ("JWT_SECRET", "LEASE_SECONDS", "MONGO_URI", "K_SINK"))


HUSH = "hush-" + "h" * 60  # fits every secret: a key, or part of an address
SECRET = {
    **dict.fromkeys(("JWT_SECRET", "LINK_SECRET", "SMTP_PASSWORD"), HUSH),
    "DATABASE_URL": f"postgresql://app:{HUSH}@localhost/app",
    "MONGO_URI": f"mongodb://app:{HUSH}@localhost/videos",
    "MONGO_MP3_URI": f"mongodb://app:{HUSH}@localhost/mp3s",
    "AMQP_URL": f"amqp://app:{HUSH}@localhost:5672/",
}


def test_settings_that_are_printed_show_no_secret() -> None:
    """In a log, in a traceback of a tool that shows local variables, in the report of a failed test."""
    assert {name.upper() for name in SECRETS} | {"AMQP_URL"} == SECRET.keys()
    environ = WHOLE | SECRET
    read: list[Any] = [settings.load(function, environ) for function in NEEDS]
    read += [settings.hosting(function, environ) for function in NEEDS]
    read.append(BridgeSettings.read(environ, catalogue.load()))
    for each in read:
        assert HUSH in str(dataclasses.asdict(each)) or isinstance(each, Hosting)
        assert "hush" not in f"{each!r} {each}"


@pytest.mark.parametrize("function", NEEDS)
def test_a_start_that_fails_shows_no_secret(function: str) -> None:
    """Whatever is wrong with the secrets themselves or with what stands beside them: the message goes to a log."""
    spoilt = {name: value.replace("localhost", "[").removesuffix("/videos")[:45] for name, value in SECRET.items()}
    for secrets in (SECRET, spoilt, {**SECRET, "JWT_SECRET": "hush", "LINK_SECRET": "hush"}):
        with pytest.raises(SettingsError) as refused:
            settings.load(function, WHOLE | secrets | {"LOG_LEVEL": "loud"})
        assert "hush" not in str(refused.value)
        with pytest.raises(SettingsError) as refused:
            BridgeSettings.read(secrets | {"LOG_LEVEL": "loud"}, catalogue.load())
        assert "hush" not in str(refused.value)


@pytest.mark.parametrize("kind", ["no text", "a folder"])
def test_a_secret_s_file_that_cannot_be_read_is_named_like_any_other_fault(kind: str, tmp_path: Path) -> None:
    """It was a traceback, and the other faults were not told."""
    file = tmp_path / "jwt-secret"
    file.mkdir() if kind == "a folder" else file.write_bytes(b"hush\xff" * 10)
    with pytest.raises(
        SettingsError, match=rf"JWT_SECRET cannot be read from {file}.*DATABASE_URL is not set"
    ) as refused:
        settings.load("login", {"SECRETS_DIR": str(tmp_path)})
    assert "hush" not in str(refused.value)


def test_a_secret_comes_from_a_file_as_openfaas_mounts_it(tmp_path: Path) -> None:
    """In a file named in lower case with dashes; the newline at its end is not part of the secret."""
    (tmp_path / "jwt-secret").write_text(WHOLE["JWT_SECRET"] + "\n", encoding="utf-8")
    assert settings.load("validate", {"SECRETS_DIR": str(tmp_path)}).jwt_secret == WHOLE["JWT_SECRET"]


def test_the_environment_wins_over_a_file(tmp_path: Path) -> None:
    """Whoever sets a variable for one process means it more than a file for all."""
    (tmp_path / "jwt-secret").write_text("f" * 32, encoding="utf-8")
    environ = {"SECRETS_DIR": str(tmp_path), "JWT_SECRET": "e" * 32}
    assert settings.load("validate", environ).jwt_secret == "e" * 32


def test_convert_holds_no_key() -> None:
    """It opens files of strangers, and whoever broke out of ffmpeg would find no key."""
    assert not {"jwt_secret", "link_secret", "smtp_password"} & set(NEEDS["convert"])


def test_every_kind_of_setting_can_be_read() -> None:
    """A field of a new type would need a reader."""
    kinds = {field.type for each in (Settings, Hosting) for field in dataclasses.fields(each)}
    assert kinds <= set(settings.READERS)


def test_what_is_empty_is_not_set() -> None:
    """docker compose hands on every variable of the README, empty where nobody has set it."""
    empty = Environment(dict.fromkeys(("TEXT", "NUMBER", "BOOLEAN", "CHOICE", "SECRET", "SECRETS_DIR"), ""))
    assert empty.text("TEXT", "some") == "some"
    assert empty.number("NUMBER", 7) == 7
    assert empty.boolean("BOOLEAN", True) is True
    assert empty.choice("CHOICE", "a", ("a", "b")) == "a"
    assert empty.secret("SECRET") == ""
    assert str(empty.file("SOME_SECRET")) == "/var/openfaas/secrets/some-secret"
    empty.complain("nobody")
