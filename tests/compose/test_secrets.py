"""What docker compose starts first: it makes passwords, keeps them, and gives each service its own."""

import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from events import catalogue
from functions.runtime import settings
from functions.runtime.settings import SECRETS
from functions.secrets import distribution, passwords
from tests.check.given import ROOT, compose

SECRETS_OF = {function.name: set(function.secrets) for function in catalogue.load() if function.secrets} | {
    name: set(names) for name, names in distribution.SERVICE_SECRETS.items()
}


@pytest.fixture
def system(tmp_path: Path) -> "System":
    return System(tmp_path)


class System:
    """The volumes of docker-compose.yml as folders, and .secrets of the checkout."""

    def __init__(self, at: Path) -> None:
        self.own, self.kept, self.readers, self.postgres = (
            at / name for name in (".secrets", "secrets", "for", "postgres")
        )
        for folder in (self.kept, self.postgres, *(self.readers / name for name in SECRETS_OF)):
            folder.mkdir(parents=True)

    def start(self) -> str:
        """As `docker compose up` does, by the command of docker-compose.yml. Gives what it says."""
        _, *words = compose({})["services"]["secrets"]["command"]
        places = dict(zip(words[-4:], (self.own, self.kept, self.readers, self.postgres), strict=True))
        command = [sys.executable, *(str(places.get(word, word)) for word in words)]
        run = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", check=False)
        if run.returncode:
            raise Refused(run.stderr)
        return run.stdout

    def use(self) -> None:
        """The stores make their data of the passwords they find."""
        (self.postgres / "PG_VERSION").write_text("17\n", encoding="utf-8")

    def given(self) -> dict[str, dict[str, str]]:
        return {
            folder.name: {path.name: path.read_text(encoding="utf-8").strip() for path in folder.iterdir()}
            for folder in self.readers.iterdir()
        }


class Refused(Exception):
    pass


def test_a_first_start_makes_what_each_service_needs_and_gives_it_nothing_else(system: System) -> None:
    """It begins with nothing; a store and the services that use it get the same password."""
    system.start()
    given = system.given()
    assert {name: files.keys() for name, files in given.items()} == SECRETS_OF
    for store, reader, name in (
        ("postgres", "migrate", "database-url"),
        ("mongo", "upload", "mongo-uri"),
        ("mongo", "download", "mongo-mp3-uri"),
    ):
        assert urlsplit(given[reader][name]).password == given[store][f"{store}-password"]
    assert urlsplit(given["bridge"]["amqp-url"]).password in given["rabbitmq"]["rabbitmq.conf"]
    assert len(given["login"]["jwt-secret"]) >= settings.KEY_BYTES
    assert given["login"]["jwt-secret"] == given["validate"]["jwt-secret"] != given["download"]["link-secret"]


def test_a_later_start_changes_nothing(system: System) -> None:
    """After `down` and `up` every service still has the passwords that the stores were first started with."""
    system.start()
    before = system.given()
    system.use()
    assert "made nothing" in system.start()
    assert system.given() == before


def test_the_secrets_of_an_earlier_version_go_on_with_its_stores(system: System) -> None:
    """`make secrets` made them, and Postgres has data: after the upgrade they are still used."""
    passwords.make(system.own)
    system.use()
    system.start()
    (system.own / "jwt-secret").chmod(0o600)
    assert system.given()["login"] == {
        name: (system.own / name).read_text(encoding="utf-8").strip() for name in ("database-url", "jwt-secret")
    }


@pytest.mark.parametrize("password", ["pass word", "p@ss/w:rd#?%", "Grüße", "'{braces}'"])
def test_a_password_of_one_s_own_reaches_everybody_whole(system: System, password: str) -> None:
    """Also where it has characters that must be encoded in a URL."""
    system.own.mkdir()
    (system.own / "postgres-password").write_text(f"{password}\n", encoding="utf-8")
    system.start()
    given = system.given()
    assert given["postgres"]["postgres-password"] == password
    assert unquote(urlsplit(given["login"]["database-url"]).password or "") == password


def test_keys_and_addresses_of_one_s_own_are_taken_at_any_time(system: System) -> None:
    """The password of a mail server, another key, a database elsewhere: the next start hands them out, data or not."""
    system.start()
    system.use()
    system.own.mkdir()
    chosen = {"smtp-password": "s3cret", "jwt-secret": "k" * 40, "database-url": "postgresql://me@elsewhere/mine"}
    for name, value in chosen.items():
        (system.own / name).write_text(value, encoding="utf-8")
    system.start()
    given = system.given()
    assert given["notify"]["smtp-password"] == "s3cret"
    assert given["login"] == {"jwt-secret": "k" * 40, "database-url": "postgresql://me@elsewhere/mine"}


def test_make_secrets_after_the_first_start_locks_nobody_out(system: System) -> None:
    """It makes passwords that the stores do not know; those are not taken, and the start says so."""
    system.start()
    system.use()
    before = system.given()
    passwords.make(system.own)
    said = system.start()
    for name in (*passwords.OF_STORES, "database-url", "mongo-uri", "mongo-mp3-uri", "amqp-url", "rabbitmq.conf"):
        assert name in said
    after = system.given()
    for name in SECRETS_OF:
        keys = {"jwt-secret", "link-secret"}
        assert {key: after[name][key] for key in after[name].keys() - keys} == {
            key: before[name][key] for key in before[name].keys() - keys
        }
    assert after["login"]["jwt-secret"] == (system.own / "jwt-secret").read_text(encoding="utf-8")


def test_data_without_their_passwords_are_not_given_new_ones(system: System) -> None:
    """So it is in a second checkout of an earlier version: the start says what is missing, and makes nothing."""
    system.use()
    with pytest.raises(Refused, match=r"secrets: the stores have data.*\.secrets/.*down -v") as refused:
        system.start()
    assert "Traceback" not in str(refused.value)
    assert list(system.kept.iterdir()) == []


def test_own_secrets_that_cannot_be_read_are_not_taken_for_none(system: System) -> None:
    """If new ones were made in their place, no store would know them."""
    system.own.write_text("no folder", encoding="utf-8")
    with pytest.raises(Refused, match=r"secrets: .*Not a directory"):
        system.start()
    assert list(system.kept.iterdir()) == []


def test_what_a_service_needs_no_longer_is_taken_from_it(system: System) -> None:
    """And so is what a crash in the middle of a start has left there."""
    system.start()
    (system.readers / "convert" / "jwt-secret").write_text("of an earlier version", encoding="utf-8")
    (system.readers / "convert" / ".database-url.new").write_text("half", encoding="utf-8")
    system.start()
    assert system.given()["convert"].keys() == SECRETS_OF["convert"]


def test_services_can_read_their_own_whoever_they_run_as(system: System) -> None:
    """A service's volume is mounted by that service alone; the folder with all of them is for its owner only."""
    system.start()
    assert {path.stat().st_mode & 0o777 for path in system.readers.glob("*/*")} == {0o444}
    assert {path.stat().st_mode & 0o777 for path in system.kept.iterdir()} == {0o400}


def test_made_secrets_are_for_their_owner_strong_and_never_made_twice(tmp_path: Path) -> None:
    """`make secrets`: a second call changes nothing, as a store keeps the password it was first started with."""
    folder = tmp_path / "secrets"
    passwords.make(folder)
    first = {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()}
    (folder / "jwt-secret").unlink()
    assert passwords.make(folder) == ["jwt-secret"]
    second = {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()}
    assert folder.stat().st_mode & 0o777 == 0o700
    assert len(second["jwt-secret"]) >= settings.KEY_BYTES
    assert {name for name in first if first[name] != second[name]} == {"jwt-secret"}
    assert len({first[name] for name in passwords.MADE}) == len(passwords.MADE)
    assert first.keys() >= {name.replace("_", "-") for name in SECRETS}


def test_make_secrets_needs_nothing_but_python(tmp_path: Path) -> None:
    """It runs before anything is installed: no package is to be found here."""
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import functions.secrets.passwords"
    subprocess.run([sys.executable, "-I", "-S", "-c", code], cwd=tmp_path, check=True)
    assert "python3 -m functions.secrets.passwords" in (ROOT / "Makefile").read_text(encoding="utf-8")
