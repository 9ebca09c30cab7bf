from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest

from functions.model.jobs import Job
from functions.stores.gridfs import Bucket
from functions.stores.jobs import Jobs
from functions.stores.notifications import Notifications
from functions.stores.postgres import Database
from tests.jobs import new_job

LEASE, MAX_TRIES = 60, 3


@pytest.fixture
def postgres(database: str) -> Database:
    return Database(database)


@pytest.fixture
def jobs(postgres: Database) -> Jobs:
    return Jobs(postgres, LEASE, MAX_TRIES)


@pytest.fixture
def late(postgres: Database) -> Jobs:
    """The same jobs to a worker whose leases have lapsed as soon as they are granted."""
    return Jobs(postgres, -1, MAX_TRIES)


@pytest.fixture
def notifications(postgres: Database) -> Notifications:
    return Notifications(postgres)


@pytest.fixture
def owner(postgres: Database) -> UUID:
    return add_user(postgres)


@pytest.fixture
def add(jobs: Jobs, owner: UUID) -> Callable[..., Job]:
    """A queued job; `changes` are columns of NewJob with another value."""

    def make(**changes: Any) -> Job:
        job = jobs.add(new_job(**{"owner": owner} | changes))
        assert job is not None
        return job

    return make


@pytest.fixture
def bucket(mongo_uri: str) -> Bucket:
    return Bucket(mongo_uri)


def add_user(postgres: Database, email: str | None = "ada@example.org") -> UUID:
    row = postgres.one("add_user", username=uuid4().hex, name="Ada", email=email, password_hash="-")
    assert row is not None
    id_: UUID = row["id"]
    return id_
