"""The one place that builds things: what a function works with, made from its settings when it is first used."""

from collections.abc import Callable
from threading import RLock
from typing import TYPE_CHECKING, Generic, TypeVar

from functions.runtime import settings
from functions.runtime.settings import Settings

if TYPE_CHECKING:
    from events.sink import Sink
    from functions.model.files import FileStore
    from functions.model.jobs import JobCount
    from functions.model.notifications import NotificationCount
    from functions.model.options import Options
    from functions.model.tokens import Links, Tokens
    from functions.runtime.bearer import Bearer
    from functions.stores.accounts import Accounts
    from functions.stores.expiry import Expiry
    from functions.stores.jobs import Jobs
    from functions.stores.mail import Mailer
    from functions.stores.notifications import Notifications
    from functions.stores.postgres import Database

T = TypeVar("T")


class built_once(Generic[T]):  # noqa: N801 -- a decorator, used like property
    """A service that is built when it is first asked for, by one thread while the others wait.

    functools.cached_property would let each of them build one: it has no lock since Python 3.12. The result is kept in
    the instance under the service's name, where Python looks first, so later accesses take no lock.
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
    """What a function works with. Each service connects, and imports its driver, when it is first used.

    So a cold start pays only for what its first request needs. Raises serving.environment.SettingsError.
    """

    def __init__(self, function: str) -> None:
        self.building = RLock()  # one lock for all services, and reentrant, because most of them are made of others
        self.settings: Settings = settings.load(function)
        self.source = (
            f"/functions/{settings.deployed_name(function)}"  # of the function's events (CloudEvents `source`)
        )
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
    def videos(self) -> "FileStore":
        from functions.stores.gridfs import Bucket

        return Bucket(self.settings.mongo_uri)

    @built_once
    def audios(self) -> "FileStore":
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

        if self.settings.auth_svc_addr and not self._is_validate:  # validate would ask itself, and wait for itself
            return RemoteBearer(self.settings.auth_svc_addr)
        return LocalBearer(self.tokens)

    @built_once
    def sink(self) -> "Sink":
        from events.sink import Sink

        return Sink(self.settings.k_sink)

    @built_once
    def mailer(self) -> "Mailer":
        from functions.stores import mail

        if self.settings.mail_transport == "ses":
            return mail.Ses()
        return mail.Smtp(
            self.settings.smtp_host,
            self.settings.smtp_port,
            user=self.settings.smtp_user,
            password=self.settings.smtp_password,
            starttls=self.settings.smtp_starttls,
            ca_file=self.settings.smtp_ca_file,
        )

    @built_once
    def default_options(self) -> "Options":
        """What a conversion is like of which nothing is asked."""
        from functions.model.options import Options

        return Options(vbr=self.settings.mp3_quality)

    def counts(self) -> "tuple[list[JobCount], list[NotificationCount]]":
        """Jobs and notifications by state, for /_/metrics."""
        return self.jobs.counts(), self.notifications.counts()

    def ready(self) -> None:
        """Asks each store that the function needs. Raises Unavailable where one does not answer."""
        if "database_url" in self._needs:
            self.database.ping()
        if "mongo_uri" in self._needs:
            self.videos.ping()
        if "mongo_mp3_uri" in self._needs:
            self.audios.ping()
