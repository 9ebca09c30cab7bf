"""Users, and how often somebody may try to log in under one username."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from functions.model.accounts import Registration
from functions.model.errors import AccountGone, Conflict, Throttled
from functions.stores.accounts import Accounts
from functions.stores.postgres import Database

FREE = 3
Sql = Callable[..., list[tuple[Any, ...]]]


@pytest.fixture
def accounts(postgres: Database) -> Accounts:
    return Accounts(postgres, FREE)


def test_a_username_is_taken_whatever_its_case(accounts: Accounts) -> None:
    """Otherwise somebody could pass for somebody else."""
    accounts.add(Registration("Ada", "ada@example.org", "correct horse", "ada@example.org"))
    with pytest.raises(Conflict, match="taken") as refused:
        accounts.add(Registration("Eve", "ADA@example.org", "correct horse", "eve@example.org"))
    assert refused.value.field == "username"
    found = accounts.find("Ada@Example.org")
    assert found
    assert found.name == "Ada"


def test_an_account_is_found_by_its_id_and_changed_alone(accounts: Accounts) -> None:
    """With an address and without one."""
    john = accounts.add(Registration("John", "johndoe", "password123", None))
    eve = accounts.add(Registration("Eve", "eve", "password123", "eve@example.org"))
    assert accounts.of(john.id) == john
    assert john.email is None
    assert accounts.set_email(john.id, "eve@example.org") == replace(john, email="eve@example.org")
    assert accounts.set_email(john.id, None) == accounts.of(john.id) == john
    assert accounts.of(eve.id) == eve


def test_an_account_that_is_gone_is_nobody_s(accounts: Accounts) -> None:
    """A token can outlive its account: whoever holds it must register again."""
    with pytest.raises(AccountGone, match="log in"):
        accounts.of(uuid4())
    with pytest.raises(AccountGone, match="log in"):
        accounts.set_email(uuid4(), None)


def count(accounts: Accounts, attempts: int, username: str = "ada") -> int:
    """How many of the attempts were let through."""
    through = 0
    for _ in range(attempts):
        with suppress(Throttled):
            accounts.count_login_attempt(username)
            through += 1
    return through


def test_after_some_free_login_attempts_a_name_must_wait(accounts: Accounts) -> None:
    """Whether or not somebody has that username, and whatever its case."""
    assert count(accounts, FREE + 5) == FREE + 1
    with pytest.raises(Throttled) as blocked:
        accounts.count_login_attempt("ADA")
    assert 0 < int(blocked.value.headers["Retry-After"]) <= 900
    assert count(accounts, 1, "eve") == 1


def test_many_attempts_at_once_do_not_slip_through(accounts: Accounts) -> None:
    """Each is counted before its password is looked at."""
    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(lambda _: count(accounts, 2), range(8))) == FREE + 1


def test_the_wait_doubles_and_ends_at_a_quarter_of_an_hour(accounts: Accounts, sql: Sql) -> None:
    """A guesser is stopped, an owner who remembers is not locked out for long."""
    waits = []
    for _ in range(FREE + 12):
        count(accounts, 1)
        [(seconds,)] = sql("SELECT round(extract(epoch FROM blocked_until - now())) FROM login_attempts")
        waits.append(int(seconds))
        sql("UPDATE login_attempts SET blocked_until = now()")
    assert waits == [0] * FREE + [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]


def test_a_quiet_quarter_of_an_hour_forgives(accounts: Accounts, sql: Sql) -> None:
    """A login that succeeds does so at once."""
    count(accounts, FREE + 1)
    sql("UPDATE login_attempts SET blocked_until = now() - interval '16 minutes'")
    assert count(accounts, FREE + 1) == FREE + 1
    accounts.forget_login_attempts("ADA")
    assert count(accounts, FREE) == FREE
