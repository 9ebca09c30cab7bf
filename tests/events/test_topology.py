"""The delays before retries, and what is declared on the broker."""

import pytest

from events.bridge.topology import Topology

TOPOLOGY = Topology("events", {"video": ("uploaded",)}, delays=(1, 2, 4))


@pytest.mark.parametrize(
    ("attempt", "asked_for", "delay"),
    [(1, None, 1), (2, None, 2), (3, None, 4), (9, None, 4), (1, 3, 4), (3, 1, 4), (1, 3600, 4), (1, 0, 1)],
)
def test_the_delay_rises_is_capped_and_honours_what_was_asked_for(
    attempt: int, asked_for: float | None, delay: int
) -> None:
    """It is the attempt's step, or the next longer one where the function asked for more."""
    assert TOPOLOGY.delay_exchange(attempt, asked_for) == f"events.delay.{delay}000ms"


def test_no_queue_can_drop_what_it_gives_up_on() -> None:
    """Each dead-letters at least once to another one, except the queue where events lie until an operator looks."""
    queues = {queue.name: queue.arguments for queue in TOPOLOGY.queues()}
    next_queue = {name: arguments.get("x-dead-letter-routing-key") for name, arguments in queues.items()}
    assert next_queue["video"] == "events.dead"
    assert next_queue["events.dead"] == "events.parked"
    for name in set(queues) - {"events.parked"}:
        assert queues[name]["x-dead-letter-strategy"] == "at-least-once"
        assert queues[name]["x-overflow"] == "reject-publish"
