"""Users, and how often somebody tried to log in under each username."""

from typing import Any
from uuid import UUID

from functions.model.accounts import Registration, User, hash_password
from functions.model.errors import AccountGone, Conflict, Throttled
from functions.stores.postgres import Database


class Accounts:
    """All methods raise Unavailable where Postgres is away."""

    def __init__(self, database: Database, free_login_attempts: int) -> None:
        self._database = database
        self._free_login_attempts = free_login_attempts

    def add(self, who: Registration) -> User:
        """The new user. Raises Conflict where the username is taken, whatever its case."""
        row = self._database.one(
            "add_user",
            username=who.username,
            name=who.name,
            email=who.email,
            password_hash=hash_password(who.password),
        )
        if row is None:
            raise Conflict(f"the username {who.username} is taken; choose another", field="username")
        return User(**row)

    def find(self, username: str) -> User | None:
        """The user of that name, whatever its case."""
        row = self._database.one("find_user", username=username)
        return User(**row) if row else None

    def of(self, id_: UUID) -> User:
        """The user of that id. Raises AccountGone."""
        return self._user("find_account", id=id_)

    def set_email(self, id_: UUID, email: str | None) -> User:
        """The user with that address, or with none, which means no emails. Raises AccountGone."""
        return self._user("set_email", id=id_, email=email)

    def count_login_attempt(self, username: str) -> None:
        """Counts one more attempt to log in. Raises Throttled while the username must wait.

        Nobody need have that username: the answer must not tell whether somebody does.
        """
        if self._database.one("count_login_attempt", username=username, free=self._free_login_attempts) is None:
            row = self._database.one("blocked_for", username=username) or {"seconds": 1}
            raise Throttled(f"too many failed logins; try again in {row['seconds']} s", retry_after=row["seconds"])

    def forget_login_attempts(self, username: str) -> None:
        """Starts counting anew: somebody logged in."""
        self._database.all("forget_login_attempts", username=username)

    def _user(self, query: str, **values: Any) -> User:
        row = self._database.one(query, **values)
        if row is None:
            raise AccountGone
        return User(**row)
