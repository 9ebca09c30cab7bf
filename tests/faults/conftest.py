import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from emulator.processes import PartFailed
from tests.acceptance.person import Person
from tests.faults.harness import Harness
from tests.waiting import until

Upload = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harness]:
    harness = Harness(tmp_path_factory.mktemp("faults"))
    try:
        harness.__enter__()
    except PartFailed as failure:
        pytest.fail(str(failure)) if os.environ.get("CI") else pytest.skip(str(failure))
    yield harness
    harness.__exit__()


@pytest.fixture
def harness(unbroken: Harness) -> Iterator[Harness]:
    """A system that nobody has broken yet; whatever the test breaks is whole again for the next."""
    yield unbroken
    unbroken.heal()
    unbroken.sql(
        "UPDATE jobs SET state = 'cancelled', lease_until = NULL, finished_at = now()"
        " WHERE state IN ('queued', 'converting')"
    )


@pytest.fixture
def person(harness: Harness) -> Person:
    return Person(harness)


@pytest.fixture(scope="session")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where videos are kept."""
    return tmp_path_factory.mktemp("videos")


@pytest.fixture
def upload(person: Person) -> Upload:
    """The job of a video that was accepted."""

    def send(video: Path, *, retried: bool = False, **headers: str) -> dict[str, Any]:
        def once() -> dict[str, Any] | None:
            named = {"filename": video.name}
            answer = person.ask("POST", "/upload", params=named, data=video.read_bytes(), headers=headers)
            assert answer.status_code == 202 or (retried and answer.status_code == 503), answer.text
            return dict(answer.json()) if answer.ok else None

        return dict(until(once))

    return send
