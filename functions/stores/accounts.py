"""Users, and how often their names were tried."""

from typing import Any
from uuid import UUID

from functions.model.accounts import Registration, hash_password
from functions.model.errors import AccountGone, Conflict, Throttled
from functions.stores.postgres import AlreadyThere, Database


class Accounts:
    def __init__(self, database: Database, free_attempts: int) -> None:
        self._database = database
        self._free_login_attempts = free_attempts

    def add(self, who: Registration) -> dict[str, Any]:
        """The new user. Raises Conflict where the username is taken, whatever its case."""
        try:
            row = self._database.one(
                "add_user",
                username=who.username,
                name=who.name,
                email=who.email,
                password_hash=hash_password(who.password),
            )
        except AlreadyThere as error:
            raise Conflict(f"the username {who.username} is taken; choose another", field="username") from error
        assert row is not None  # noqa: S101 -- INSERT … RETURNING returns the row it made
        return row

    def find(self, username: str) -> dict[str, Any] | None:
        return self._database.one("find_user", username=username)

    def of(self, id_: UUID) -> dict[str, Any]:
        """Raises AccountGone."""
        return self._account("find_account", id=id_)

    def set_email(self, id_: UUID, email: str | None) -> dict[str, Any]:
        """The account with that address, or with none: then nobody is mailed. Raises AccountGone."""
        return self._account("set_email", id=id_, email=email)

    def count_login_attempt(self, username: str) -> None:
        """Raises Throttled while the name is blocked, a user's or nobody's: the answer must not tell which."""
        if self._database.one("count_login_attempt", username=username, free=self._free_login_attempts) is None:
            row = self._database.one("blocked_for", username=username) or {"seconds": 1}
            raise Throttled(f"too many failed logins; try again in {row['seconds']} s", retry_after=row["seconds"])

    def forget_login_attempts(self, username: str) -> None:
        self._database.all("forget_login_attempts", username=username)

    def _account(self, query: str, **values: Any) -> dict[str, Any]:
        row = self._database.one(query, **values)
        if row is None:
            raise AccountGone
        return row
