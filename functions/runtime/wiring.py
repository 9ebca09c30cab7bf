"""The one place that builds things: what a function works with, made from its settings when it is first used."""

from collections.abc import Callable
from threading import RLock
from typing import TYPE_CHECKING, Generic, TypeVar

from functions.runtime import settings
from functions.runtime.settings import Settings

if TYPE_CHECKING:
    from events.sink import Sink
    from functions.model.jobs import JobCount
    from functions.model.notifications import NotificationCount
    from functions.model.tokens import Links, Tokens
    from functions.runtime.bearer import Bearer
    from functions.stores.accounts import Accounts
    from functions.stores.expiry import Expiry
    from functions.stores.gridfs import Bucket
    from functions.stores.jobs import Jobs
    from functions.stores.mail import Mailer
    from functions.stores.notifications import Notifications
    from functions.stores.postgres import Database

T = TypeVar("T")


class built_once(Generic[T]):  # noqa: N801 -- a decorator, used like property
    """A service made by the first thread that asks, while others wait: cached_property has no lock since Python 3.12.

    What it made lies in the instance under the same name, where the next access finds it first, without the lock.
    """

    def __init__(self, build: "Callable[[Services], T]") -> None:
        self._build = build
        self._name = build.__name__

    def __get__(self, services: "Services", _: type) -> T:
        with services.building:
            if self._name not in vars(services):
                vars(services)[self._name] = self._build(services)
        made: T = vars(services)[self._name]
        return made


class Services:
    """Connects to nothing and imports no driver before it is asked to: a cold start pays only for what it uses."""

    def __init__(self, function: str) -> None:
        self.building = RLock()  # one for all, and reentrant: most services are made of others
        self.settings: Settings = settings.load(function)
        self._needs = settings.NEEDS[function]
        self._is_validate = function == "validate"

    @built_once
    def database(self) -> "Database":
        from functions.stores.postgres import Database

        return Database(self.settings.database_url)

    @built_once
    def accounts(self) -> "Accounts":
        from functions.stores.accounts import Accounts

        return Accounts(self.database, self.settings.login_free_attempts)

    @built_once
    def jobs(self) -> "Jobs":
        from functions.stores.jobs import Jobs

        return Jobs(self.database, self.settings.lease_seconds, self.settings.max_tries)

    @built_once
    def notifications(self) -> "Notifications":
        from functions.stores.notifications import Notifications

        return Notifications(self.database)

    @built_once
    def expiry(self) -> "Expiry":
        from functions.stores.expiry import Expiry

        return Expiry(self.database)

    @built_once
    def videos(self) -> "Bucket":
        from functions.stores.gridfs import Bucket

        return Bucket(self.settings.mongo_uri)

    @built_once
    def audios(self) -> "Bucket":
        from functions.stores.gridfs import Bucket

        return Bucket(self.settings.mongo_mp3_uri)

    @built_once
    def tokens(self) -> "Tokens":
        from functions.model.tokens import Tokens

        return Tokens(self.settings.jwt_secret, self.settings.token_seconds)

    @built_once
    def links(self) -> "Links":
        from functions.model.tokens import Links

        return Links(self.settings.link_secret, self.settings.link_seconds)

    @built_once
    def bearer(self) -> "Bearer":
        from functions.runtime.bearer import LocalBearer, RemoteBearer

        if self.settings.auth_svc_addr and not self._is_validate:  # or it would ask itself, and wait for itself
            return RemoteBearer(self.settings.auth_svc_addr)
        return LocalBearer(self.tokens)

    @built_once
    def sink(self) -> "Sink":
        from events.sink import Sink

        return Sink(self.settings.k_sink)

    @built_once
    def mailer(self) -> "Mailer":
        from functions.stores import mail

        wanted = self.settings
        if wanted.mail_transport == "ses":
            return mail.Ses()
        return mail.Smtp(
            wanted.smtp_host,
            wanted.smtp_port,
            user=wanted.smtp_user,
            password=wanted.smtp_password,
            starttls=wanted.smtp_starttls,
        )

    def counts(self) -> "tuple[list[JobCount], list[NotificationCount]]":
        """Jobs and notifications by state, for /_/metrics."""
        return self.jobs.counts(), self.notifications.counts()

    def ready(self) -> None:
        """Asks each store that the function needs. Raises Unavailable."""
        if "database_url" in self._needs:
            self.database.ping()
        if "mongo_uri" in self._needs:
            self.videos.ping()
        if "mongo_mp3_uri" in self._needs:
            self.audios.ping()
