from collections.abc import Callable, Iterator
from threading import Lock
from typing import Any
from uuid import uuid4

import pytest
from flask import Flask
from flask.testing import FlaskClient

from functions.model.audio import Part
from functions.model.jobs import Job
from functions.model.tokens import Links, Tokens
from functions.stores.gridfs import Bucket
from functions.stores.jobs import Jobs
from functions.stores.postgres import Database
from tests import jobs as jobs_of_tests
from tests.conftest import collections
from tests.events import harness as events_harness
from tests.functions.harness import VIDEO, Contained, Person, Served, load
from tests.jobs import new_job

HOUR = 3600  # seconds
SECRETS = {"JWT_SECRET": "j" * 32, "LINK_SECRET": "l" * 32}


@pytest.fixture(scope="session")
def videos_uri(mongo_url: str) -> Iterator[str]:
    with collections(mongo_url) as uri:
        yield uri


@pytest.fixture(scope="session")
def mp3s_uri(mongo_url: str) -> Iterator[str]:
    with collections(mongo_url) as uri:
        yield uri


@pytest.fixture(scope="session")
def session_sink() -> Iterator[events_harness.Function]:
    function = events_harness.Function()
    yield function
    function.close()


@pytest.fixture
def sink(session_sink: events_harness.Function) -> events_harness.Function:
    """Where functions post their events; `asked` holds them, `behave` decides the answer."""
    session_sink.asked.clear()
    session_sink.behave = events_harness.answers(202)
    return session_sink


@pytest.fixture(scope="session")
def environ(
    kept_database: str, videos_uri: str, mp3s_uri: str, session_sink: events_harness.Function
) -> dict[str, str]:
    """Every setting that some function needs."""
    return SECRETS | {
        "DATABASE_URL": kept_database,
        "MONGO_URI": videos_uri,
        "MONGO_MP3_URI": mp3s_uri,
        "K_SINK": session_sink.url,
        "PUBLIC_URL": "https://videos.example.org/",
        "MAIL_FROM": "Videos <videos@example.org>",
        "SECRETS_DIR": "/nowhere",
    }


@pytest.fixture(scope="session")
def loaded(environ: dict[str, str]) -> Callable[..., Flask]:
    """Loads a function's application, once for each set of changes to its environment."""
    applications: dict[Any, Flask] = {}
    loading = Lock()  # a test's threads may ask at once, and while one loads, the environment of all is that function's

    def get(name: str, **changes: str) -> Flask:
        key = (name, *sorted(changes.items()))
        with loading:
            if key not in applications:
                applications[key] = load(name, environ | changes)
        return applications[key]

    return get


@pytest.fixture
def function(loaded: Callable[..., Flask], database: str) -> Callable[..., FlaskClient]:  # noqa: ARG001 -- it is emptied afterwards
    """Makes a client of a function that runs in this process, with changes to the function's environment."""

    def client(name: str, **changes: str) -> FlaskClient:
        return loaded(name, **changes).test_client()

    return client


@pytest.fixture(scope="session")
def served(environ: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Served]]:
    """Starts a function behind gunicorn, once for each set of changes to its environment."""
    yield from started_once(Served, environ, tmp_path_factory)


@pytest.fixture(scope="session")
def contained(environ: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Served]]:
    """The same in a container."""
    yield from started_once(Contained, environ, tmp_path_factory)


def started_once(
    kind: type[Served], environ: dict[str, str], folders: pytest.TempPathFactory
) -> Iterator[Callable[..., Served]]:
    started: dict[Any, Served] = {}

    def get(name: str, **changes: str) -> Served:
        key = (name, *sorted(changes.items()))
        if key not in started:
            started[key] = kind(name, environ | changes, folders.mktemp("served") / f"{name}.log")
        return started[key].ready()

    yield get
    for each in started.values():
        each.stop()


@pytest.fixture
def postgres(database: str) -> Database:
    return Database(database)


@pytest.fixture
def jobs(postgres: Database) -> Jobs:
    return Jobs(postgres, 60, 3)


@pytest.fixture
def person(postgres: Database) -> Callable[..., Person]:
    """Adds somebody new to the database."""

    def make(**changes: str | None) -> Person:
        username = f"{uuid4().hex}@example.org"
        columns = {"username": username, "name": "Ada", "email": username, "password_hash": "-"} | changes
        row = postgres.one("add_user", **columns)
        assert row is not None
        return Person(row["id"], username, Tokens(SECRETS["JWT_SECRET"], HOUR).issue(row["id"], username))

    return make


@pytest.fixture
def ada(person: Callable[..., Person]) -> Person:
    return person()


@pytest.fixture
def eve(person: Callable[..., Person]) -> Person:
    """Somebody else."""
    return person()


@pytest.fixture(scope="session")
def links() -> Links:
    return Links(SECRETS["LINK_SECRET"], HOUR)


@pytest.fixture
def videos(videos_uri: str) -> Iterator[Bucket]:
    yield from emptied(Bucket(videos_uri))


@pytest.fixture
def mp3s(mp3s_uri: str) -> Iterator[Bucket]:
    yield from emptied(Bucket(mp3s_uri))


def emptied(bucket: Bucket) -> Iterator[Bucket]:
    """Yields the bucket without what tests have left there that did not ask for it, and empties it afterwards."""
    _empty(bucket)
    yield bucket
    _empty(bucket)


def _empty(bucket: Bucket) -> None:
    for old in bucket.files_older_than(-60):
        for file in old:
            bucket.delete(file)
    for file in list(bucket.unfinished_older_than(-60)):
        bucket.delete(file)


@pytest.fixture
def add(jobs: Jobs, videos: Bucket, ada: Person) -> Callable[..., Job]:
    """Adds a queued job of Ada's and its video; the changes are columns of the row."""

    def make(content: bytes = VIDEO, **changes: Any) -> Job:
        columns: dict[str, Any] = {"owner": ada.id, "video_size": len(content)}
        new = new_job(**columns | changes)
        videos.write(new.video, [content])
        job = jobs.add(new)
        assert job is not None
        return job

    return make


@pytest.fixture
def finish(jobs: Jobs, mp3s: Bucket, add: Callable[..., Job]) -> Callable[..., Job]:
    """Adds a job that is done, and its audio, which may be in parts."""

    def make(content: bytes = b"ID3" + bytes(range(256)), parts: tuple[Part, ...] = (), **changes: Any) -> Job:
        claimed, audio = jobs.claim(add(**changes).id), uuid4()
        assert claimed
        mp3s.write(audio, [content])
        job = jobs_of_tests.finish(jobs, claimed, len(content), audio, parts=parts)
        assert job
        return job

    return make
