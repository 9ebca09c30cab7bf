"""The one place that builds things: what a function works with, made from its settings when it is first used."""

from functools import cached_property
from typing import TYPE_CHECKING, Any

from functions import settings
from functions.settings import Settings

if TYPE_CHECKING:
    from events.sink import Sink
    from functions.bearer import Bearer
    from functions.model.tokens import Links, Tokens
    from functions.stores.accounts import Accounts
    from functions.stores.expiry import Expiry
    from functions.stores.gridfs import Bucket
    from functions.stores.jobs import Jobs
    from functions.stores.mail import Mailer
    from functions.stores.notifications import Notifications
    from functions.stores.postgres import Database


class Services:
    """Connects to nothing and imports no driver before it is asked to: a cold start pays only for what it uses."""

    def __init__(self, function: str) -> None:
        self.settings: Settings = settings.load(function)
        self._needs = settings.NEEDS[function]
        self._is_validate = function == "validate"

    @cached_property
    def database(self) -> "Database":
        from functions.stores.postgres import Database

        return Database(self.settings.database_url)

    @cached_property
    def accounts(self) -> "Accounts":
        from functions.stores.accounts import Accounts

        return Accounts(self.database, self.settings.login_free_attempts)

    @cached_property
    def jobs(self) -> "Jobs":
        from functions.stores.jobs import Jobs

        return Jobs(self.database, self.settings.lease_seconds, self.settings.max_tries)

    @cached_property
    def notifications(self) -> "Notifications":
        from functions.stores.notifications import Notifications

        return Notifications(self.database)

    @cached_property
    def expiry(self) -> "Expiry":
        from functions.stores.expiry import Expiry

        return Expiry(self.database)

    @cached_property
    def videos(self) -> "Bucket":
        from functions.stores.gridfs import Bucket

        return Bucket(self.settings.mongo_uri)

    @cached_property
    def audios(self) -> "Bucket":
        from functions.stores.gridfs import Bucket

        return Bucket(self.settings.mongo_mp3_uri)

    @cached_property
    def tokens(self) -> "Tokens":
        from functions.model.tokens import Tokens

        return Tokens(self.settings.jwt_secret, self.settings.token_seconds)

    @cached_property
    def links(self) -> "Links":
        from functions.model.tokens import Links

        return Links(self.settings.link_secret, self.settings.link_seconds)

    @cached_property
    def bearer(self) -> "Bearer":
        from functions.bearer import LocalBearer, RemoteBearer

        if self.settings.auth_svc_addr and not self._is_validate:  # or it would ask itself, and wait for itself
            return RemoteBearer(self.settings.auth_svc_addr)
        return LocalBearer(self.tokens)

    @cached_property
    def sink(self) -> "Sink":
        from events.sink import Sink

        return Sink(self.settings.k_sink)

    @cached_property
    def mailer(self) -> "Mailer":
        from functions.stores import mail

        return mail.mailer(self.settings)

    def census(self) -> "dict[str, list[dict[str, Any]]]":
        """Rows by state, for /_/metrics."""
        return {"jobs": self.jobs.census(), "notifications": self.notifications.census()}

    def ready(self) -> None:
        """Asks each store that the function needs. Raises Unavailable."""
        if "database_url" in self._needs:
            self.database.ping()
        if "mongo_uri" in self._needs:
            self.videos.ping()
        if "mongo_mp3_uri" in self._needs:
            self.audios.ping()
