"""Ready once, ready for good: what a platform is told when a store comes late, goes away and comes back."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import pytest
import requests

from emulator.servers.postgres import Postgres
from functions.model.errors import Unavailable
from functions.model.tokens import Tokens
from functions.stores.postgres import migrate
from tests.functions.conftest import SECRETS
from tests.functions.harness import Served, problem
from tests.waiting import PATIENCE, until


@pytest.fixture
def postgres_of_its_own(tmp_path: Path) -> Iterator[Postgres]:
    """A Postgres that a test may stop without disturbing others; it is not started yet."""
    postgres = Postgres(tmp_path / "postgres", durable=False)
    yield postgres
    postgres.stop()


def test_a_store_that_goes_away_is_reported_by_the_function_and_takes_no_instance_away(
    postgres_of_its_own: Postgres, environ: dict[str, str], tmp_path: Path
) -> None:
    """Break: Postgres away. Symptom: every instance unready at once, callers held by the platform for 30 seconds."""
    served = Served("jobs", environ | {"DATABASE_URL": postgres_of_its_own.url}, tmp_path / "jobs.log")
    try:
        url = served.ready().url
        problem(requests.get(f"{url}/_/ready", timeout=PATIENCE), 503, "unavailable")

        start(postgres_of_its_own)
        until(lambda: requests.get(f"{url}/_/ready", timeout=PATIENCE).ok)
        assert ask(url).status_code == 200, "what is ready has its first request answered"

        postgres_of_its_own.stop()
        until(lambda: requests.get(f"{url}/_/stores", timeout=PATIENCE).status_code == 503)
        for _ in range(5):
            assert requests.get(f"{url}/_/ready", timeout=PATIENCE).json() == {"function": "jobs", "ready": True}
            assert problem(ask(url), 503, "unavailable")

        start(postgres_of_its_own)
        until(lambda: requests.get(f"{url}/_/stores", timeout=PATIENCE).ok)
        assert ask(url).status_code == 200
    finally:
        served.stop()


def ask(url: str) -> requests.Response:
    """For the jobs of somebody; waits longer than any platform would."""
    token = Tokens(SECRETS["JWT_SECRET"], 60).issue(uuid4(), "ada@example.org")
    return requests.get(url, headers={"Authorization": f"Bearer {token}"}, timeout=PATIENCE)


def start(postgres: Postgres) -> None:
    postgres.start()
    until(postgres.is_ready)
    until(lambda: migrated(postgres.url))


def migrated(url: str) -> bool:
    with suppress(Unavailable):
        migrate(url)
        return True
    return False


@pytest.mark.parametrize("path", ["/_/ready", "/_/stores"])
def test_a_function_without_stores_waits_for_none(path: str, served: Callable[..., Served]) -> None:
    """A function that needs no store is ready as soon as it runs."""
    assert requests.get(f"{served('validate').url}{path}", timeout=PATIENCE).ok
