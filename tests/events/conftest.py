from collections.abc import Iterator
from pathlib import Path

import pika
import pytest

from tests.events.harness import Bridge, Harness
from tests.events.wire import Wire


@pytest.fixture
def harness(amqp_url: str, tmp_path: Path) -> Iterator[Harness]:
    """For a test that starts bridges of its own."""
    harness = Harness(amqp_url, tmp_path)
    yield harness
    harness.close()


@pytest.fixture(scope="session")
def kept(amqp_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harness]:
    """A harness with a bridge that runs for the whole session: most of a short test's time is the start of a bridge."""
    harness = Harness(amqp_url, tmp_path_factory.mktemp("bridge"))
    harness.bridge().ready()
    yield harness
    harness.close()


@pytest.fixture
def shared(kept: Harness) -> Harness:
    """For a test that breaks nothing, and that waits for all it causes: the harness around `bridge`."""
    kept.reset()
    return kept


@pytest.fixture
def bridge(shared: Harness) -> Bridge:
    """The bridge that such tests share, with the default settings."""
    return shared.bridges[0]


@pytest.fixture
def wire(amqp_url: str) -> Iterator[Wire]:
    """A wire to the broker."""
    broker = pika.URLParameters(amqp_url)
    wire = Wire(broker.host, broker.port)
    yield wire
    wire.close()
