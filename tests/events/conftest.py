from collections.abc import Iterator
from pathlib import Path

import pika
import pytest

from tests.events.harness import Harness
from tests.events.wire import Wire


@pytest.fixture
def harness(amqp_url: str, tmp_path: Path) -> Iterator[Harness]:
    harness = Harness(amqp_url, tmp_path)
    yield harness
    harness.close()


@pytest.fixture
def wire(amqp_url: str) -> Iterator[Wire]:
    """To the broker."""
    broker = pika.URLParameters(amqp_url)
    wire = Wire(broker.host, broker.port)
    yield wire
    wire.close()
