"""What a registration must hold, and which password matches which hash."""

import re
from dataclasses import fields, is_dataclass
from importlib import import_module
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from functions.model import accounts
from functions.model.errors import BadRequest

MODEL = Path(accounts.__file__).parent
ADA = {"name": "Ada", "username": "ada@example.org", "password": "correct horse"}


def test_a_username_that_is_an_address_serves_as_the_email() -> None:
    """The original system asked for no other address."""
    assert accounts.registration(ADA).email == "ada@example.org"


def test_an_address_of_its_own_lets_the_username_be_anything() -> None:
    """Spaces around either are dropped."""
    registration = accounts.registration(ADA | {"username": " ada ", "email": " ada@example.org "})
    assert (registration.username, registration.email) == ("ada", "ada@example.org")


def test_a_password_keeps_its_spaces() -> None:
    """Whoever chose them types them again."""
    assert accounts.registration(ADA | {"password": "  spaces  "}).password == "  spaces  "


@pytest.mark.parametrize("email", [{}, {"email": None}, {"email": ""}], ids=["none", "null", "empty"])
@pytest.mark.parametrize("username", ["ada", "ada@localhost", "@ada"])
def test_nobody_needs_an_address(username: str, email: dict[str, Any]) -> None:
    """Forms and programs leave it out in several ways; without one there are no emails."""
    assert accounts.registration(ADA | {"username": username} | email).email is None


@pytest.mark.parametrize("email", [None, ""])
def test_an_email_that_is_empty_is_none_and_leaves_the_username_to_serve(email: str | None) -> None:
    """As if it had not been sent."""
    assert accounts.registration(ADA | {"email": email}).email == "ada@example.org"


@pytest.mark.parametrize(("given", "email"), [(" ada@example.org ", "ada@example.org"), ("", None), (None, None)])
def test_an_address_can_be_changed_or_taken_away(given: str | None, email: str | None) -> None:
    """By the same rules as in a registration."""
    assert accounts.new_email({"email": given}) == email


NO_CHANGES: dict[str, tuple[dict[str, Any], str]] = {
    "nothing": ({}, "email"),
    "no address": ({"email": "ada"}, "email"),
    "a number": ({"email": 5}, "email"),
    "false": ({"email": False}, "email"),
    "a list": ({"email": []}, "email"),
}


@pytest.mark.parametrize(("body", "field"), NO_CHANGES.values(), ids=NO_CHANGES)
def test_what_cannot_be_changed_is_refused_by_its_name(body: dict[str, Any], field: str) -> None:
    """A misspelt member must not look as if it had been obeyed."""
    with pytest.raises(BadRequest, match=field) as refused:
        accounts.new_email(body)
    assert refused.value.field == field


WRONG: dict[str, dict[str, Any]] = {
    "no name": {"name": None},
    "an empty name": {"name": "  "},
    "a name that is no text": {"name": ["Ada"]},
    "a name of two lines": {"name": "Ada\r\nBcc: eve@example.org"},
    "a name that ends a line in Unicode": {"name": "Ada\u2028Lovelace"},
    "half a character in the name": {"name": "Ada\ud800"},
    "a long name": {"name": "a" * 255},
    "a colon in the username": {"username": "ada:lovelace"},
    "an email that is no address": {"email": "ada"},
    "an email of spaces": {"email": "  "},
    "an email that is false": {"email": False},
    "a short password": {"password": "1234567"},
    "a password of megabytes": {"password": "a" * 1025},
    "NUL in the password": {"password": "correct\0horse"},
    "half a character in the password": {"password": "\udc00" * 8},
    "an email that is a number": {"email": 5},
}


@pytest.mark.parametrize("changes", WRONG.values(), ids=WRONG)
def test_what_cannot_be_registered_is_refused_by_the_name_of_its_field(changes: dict[str, Any]) -> None:
    """A form can then show the message beside the field."""
    field = changes.get("field", next(iter(changes)))
    with pytest.raises(BadRequest, match=field) as refused:
        accounts.registration(ADA | changes)
    assert refused.value.field == field


@pytest.mark.parametrize(
    "address",
    ["ada", "@b.org", "a@b", "a@@b.org", "a b@c.org", "a..b@c.org", ".a@b.org", "a.@b.org", "a@b..org", "a@b.org.",
     "a@-b.org", "a@b.org\n", "ä@b.org", "=?utf-8?q?a?=@b.org", "<a@b.org>", "a@b.org,c@d.org", f"{'a' * 65}@b.org"],
)  # fmt: skip
def test_an_address_that_no_email_can_carry_is_refused(address: str) -> None:
    """At the first email it would be too late to ask for another."""
    assert not accounts.ADDRESS.fullmatch(address)


@pytest.mark.parametrize("address", ["a@b.org", "a+tag@b.org", "o'neil@b-c.example.org", "a_b.c@xn--bcher-kva.example"])
def test_an_address_that_people_have_is_taken(address: str) -> None:
    """With tags, apostrophes, and domains in other scripts."""
    assert accounts.ADDRESS.fullmatch(address)


@given(st.dictionaries(st.sampled_from([*ADA, "email"]), st.none() | st.integers() | st.text(max_size=300)))
@example({"name": "a" * 10**6})
def test_any_json_object_is_taken_or_refused(body: dict[str, Any]) -> None:
    """No input raises anything but BadRequest."""
    try:
        taken = accounts.registration(ADA | body)
    except BadRequest:
        return
    assert "\n" not in taken.name + taken.username + (taken.email or "")


def test_a_password_of_more_than_72_bytes_counts_to_its_end() -> None:
    """Plain bcrypt ignores what comes after."""
    password = "ä" * 100
    hashed = accounts.hash_password(password)
    assert accounts.password_matches(password, hashed)
    assert not accounts.password_matches(password[:-1] + "o", hashed)


def test_a_password_and_its_hash_are_not_printed() -> None:
    """A log or a traceback may hold any object's repr."""
    registration = accounts.registration(ADA)
    user = accounts.User(UUID(int=1), "ada", "Ada", None, accounts.hash_password(registration.password))
    printed = f"{registration!r} {user!r}"
    assert "'Ada'" in printed
    assert registration.password not in printed
    assert user.password_hash not in printed
    assert "password_hash" not in user.public()


@pytest.mark.parametrize("module", sorted(path.stem for path in MODEL.glob("[a-z]*.py")))
def test_no_value_of_the_model_prints_a_secret(module: str) -> None:
    """Whatever is added to it."""
    values = vars(import_module(f"functions.model.{module}")).values()
    kinds = [kind for kind in values if isinstance(kind, type) and is_dataclass(kind)]
    secrets = [each for kind in kinds for each in fields(kind) if re.search("password|secret|token", each.name)]
    assert len(secrets) >= (module == "accounts") * 2
    assert [each.name for each in secrets if each.repr] == []


def test_nobody_has_any_password() -> None:
    """Not even the one whose hash stands in where there is no user."""
    assert not accounts.password_matches("nobody has this password", None)


def test_a_password_too_long_to_have_been_registered_is_not_hashed() -> None:
    """Otherwise logins with megabytes would keep us busy for nothing."""
    assert not accounts.password_matches("a" * 10**7, "not even a hash")
