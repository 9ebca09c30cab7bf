"""The composition root, as the threads of one worker see it: each service is built once, whoever asks first."""

from collections.abc import Callable
from typing import Any

import pytest

from functions.runtime.settings import NEEDS
from functions.runtime.wiring import Services

SERVICES = (
    *("database", "accounts", "jobs", "notifications", "expiry", "videos", "audios", "tokens", "links", "bearer"),
    *("sink", "mailer", "default_options"),
)
ENVIRON = {name.upper(): "x" * 32 + "://y/z" for names in NEEDS.values() for name in names} | {
    "MONGO_URI": "mongodb://127.0.0.1:1/videos",
    "MONGO_MP3_URI": "mongodb://127.0.0.1:1/mp3s",
}


@pytest.fixture
def services(monkeypatch: pytest.MonkeyPatch) -> Callable[[], Services]:
    """Makes new ones, which have built nothing yet."""
    for name, value in ENVIRON.items():
        monkeypatch.setenv(name, value)
    return lambda: Services("sweep")


def test_every_service_is_known_here() -> None:
    """So that a service that is added is tried like the others below."""
    lazy = {name for name, made in vars(Services).items() if not callable(made) and not name.startswith("_")}
    assert lazy == set(SERVICES)


@pytest.mark.parametrize("name", SERVICES)
def test_the_first_requests_at_once_share_one_service(
    name: str, services: Callable[[], Services], at_once: Callable[[Callable[[], Any]], list[Any]]
) -> None:
    """With two pools of connections, a connection would be taken from one and given back to the other."""
    several = 0
    for _ in range(100):
        fresh = services()
        several += len({id(each) for each in at_once(lambda: getattr(fresh, name))}) > 1  # noqa: B023 -- called at once
    assert several == 0
