"""A start that lacks something says all of it at once."""

import dataclasses
from pathlib import Path

import pytest

from functions.runtime import settings
from functions.runtime.settings import NEEDS, SECRETS, Settings, SettingsError

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
    """Each name once, and for a secret the file that would do as well."""
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
    """Everything else has a default that works."""
    settings.load(function, {name.upper(): WHOLE[name.upper()] for name in NEEDS[function]})


@pytest.mark.parametrize("function", ["login", "validate", "account", "upload", "jobs", "download"])
def test_who_asks_validate_needs_no_key(function: str) -> None:
    """AUTH_SVC_ADDR may be set for all functions alike: those that sign and check tokens need theirs all the same."""
    environ = {"AUTH_SVC_ADDR": "validate:8080"} | {name: WHOLE[name] for name in WHOLE if name != "JWT_SECRET"}
    if function in settings.ASK_VALIDATE:
        assert settings.load(function, environ).jwt_secret == ""
    else:
        with pytest.raises(SettingsError, match="JWT_SECRET is not set"):
            settings.load(function, environ)


WRONG = {
    "a short key": ({"JWT_SECRET": "secret"}, "JWT_SECRET is shorter than 32 bytes"),
    "a number in words": ({"MAX_TRIES": "three"}, "MAX_TRIES must be a whole number, not 'three'"),
    "a maybe": ({"SMTP_STARTTLS": "perhaps"}, "SMTP_STARTTLS must be true or false"),
    "an unknown transport": ({"MAIL_TRANSPORT": "pigeon"}, "MAIL_TRANSPORT must be smtp or ses, not 'pigeon'"),
    "a server without a database": ({"MONGO_URI": "mongodb://localhost:27017"}, "MONGO_URI must end in /<database>"),
}


@pytest.mark.parametrize(("environ", "complaint"), WRONG.values(), ids=WRONG)
def test_what_is_weak_or_malformed_is_named(environ: dict[str, str], complaint: str) -> None:
    """With what it should have been."""
    with pytest.raises(SettingsError, match=complaint):
        settings.load("upload", WHOLE | environ)


def test_several_faults_are_told_together() -> None:
    """Nobody should have to start five times."""
    with pytest.raises(SettingsError) as refused:
        settings.load("upload", {"JWT_SECRET": "short", "LEASE_SECONDS": "x"})
    assert all(word in str(refused.value) for word in ("JWT_SECRET", "LEASE_SECONDS", "MONGO_URI", "K_SINK"))


def test_the_message_holds_no_secret() -> None:
    """It goes to a log."""
    with pytest.raises(SettingsError) as refused:
        settings.load("login", {"JWT_SECRET": "hunter2"})
    assert "hunter2" not in str(refused.value)


def test_a_secret_comes_from_a_file_as_openfaas_mounts_it(tmp_path: Path) -> None:
    """Named in lower case with dashes; the line end an editor left is not part of it."""
    (tmp_path / "jwt-secret").write_text(WHOLE["JWT_SECRET"] + "\n", encoding="utf-8")
    assert settings.load("validate", {"SECRETS_DIR": str(tmp_path)}).jwt_secret == WHOLE["JWT_SECRET"]


def test_the_environment_wins_over_a_file(tmp_path: Path) -> None:
    """As it is the nearer of the two."""
    (tmp_path / "jwt-secret").write_text("f" * 32, encoding="utf-8")
    environ = {"SECRETS_DIR": str(tmp_path), "JWT_SECRET": "e" * 32}
    assert settings.load("validate", environ).jwt_secret == "e" * 32


def test_convert_holds_no_key() -> None:
    """It opens strangers' files."""
    assert not {"jwt_secret", "link_secret", "smtp_password"} & set(NEEDS["convert"])


def test_every_kind_of_setting_can_be_read() -> None:
    """A field of a new type would need a parser."""
    assert {field.type for field in dataclasses.fields(Settings)} <= set(settings.PARSERS)
