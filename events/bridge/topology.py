"""What is declared on the broker, as plain data: names, arguments and bindings."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

DIRECT = ""  # AMQP's default exchange: the routing key is a queue's name

# RabbitMQ 4.0 and later have this limit by default; earlier ones have none.
DELIVERY_LIMIT = 20
# For queues whose messages have nowhere else to go. -1 would say the same, but RabbitMQ 3 does not know it.
UNLIMITED = 1_000_000


@dataclass(frozen=True)
class Queue:
    """A durable quorum queue."""

    name: str
    arguments: Mapping[str, Any]
    keys: tuple[str, ...] = ()  # the routing keys that bind it to the topic exchange
    fanout: str | None = None  # the fanout exchange that it is bound to


@dataclass(frozen=True)
class Topology:
    """A topic exchange, a work queue per function, delay queues for retries, and two queues for what was given up.

    Each step of the backoff has one delay queue, which serves every work queue. A message gets there through a fanout
    exchange, which leaves its routing key alone; the key is the name of the work queue that the broker moves it to when
    its time in the delay queue is over. A delay queue that is no longer declared (because `delays` or its name changed)
    therefore empties itself, and may be deleted then.
    """

    exchange: str
    work: Mapping[str, tuple[str, ...]]  # queue → event types
    delays: tuple[float, ...] = (1, 2, 4, 8, 16, 32, 60)  # seconds, rising

    @property
    def dead(self) -> str:
        """The queue of the dead letters, which feeds the dead-letter function."""
        return f"{self.exchange}.dead"

    @property
    def parked(self) -> str:
        """The queue of the events that nobody can handle. They stay there until an operator replays them."""
        return f"{self.exchange}.parked"

    def delay_exchange(self, attempt: int, at_least: float | None = None) -> str:
        """The exchange to publish to for a retry after that attempt (the first is 1).

        The delay is the attempt's step, or a longer one where the function asked for `at_least` so many seconds; never
        more than the longest step.
        """
        step = self.delays[min(attempt, len(self.delays)) - 1]
        asked_for = min((delay for delay in self.delays if delay >= (at_least or 0)), default=self.delays[-1])
        return self._delay_name(max(step, asked_for))

    def queues(self) -> tuple[Queue, ...]:
        """Every queue. One that others dead-letter to comes before them."""
        return tuple(
            chain(
                (Queue(self.parked, _quorum(limit=UNLIMITED)), Queue(self.dead, _quorum(self.parked))),
                (Queue(name, _quorum(self.dead), keys=types) for name, types in self.work.items()),
                (self._delay_queue(delay) for delay in self.delays),
            )
        )

    def _delay_name(self, delay: float) -> str:
        """Of a delay's queue and of its fanout exchange."""
        return f"{self.exchange}.delay.{delay * 1000:.0f}ms"

    def _delay_queue(self, delay: float) -> Queue:
        # The time to live is set on the queue: with one on each message, a short one would wait behind a long one.
        arguments = _quorum(limit=UNLIMITED) | _dead_letter_to(DIRECT) | {"x-message-ttl": int(delay * 1000)}
        return Queue(self._delay_name(delay), arguments, fanout=self._delay_name(delay))


def _quorum(dead_letter_queue: str | None = None, limit: int = DELIVERY_LIMIT) -> dict[str, Any]:
    """Arguments of a quorum queue. Every delivery that is not acked counts towards the limit, lost connections too.

    Beyond the limit the broker moves a message to the dead-letter queue; without one it would drop it.
    """
    arguments: dict[str, Any] = {"x-queue-type": "quorum", "x-delivery-limit": limit}
    if dead_letter_queue:
        arguments |= _dead_letter_to(DIRECT) | {"x-dead-letter-routing-key": dead_letter_queue}
    return arguments


def _dead_letter_to(exchange: str) -> dict[str, Any]:
    # At least once: the broker keeps the message until the next queue has confirmed it. By default it could lose it on
    # the way. RabbitMQ allows this strategy only together with the overflow reject-publish.
    return {
        "x-dead-letter-exchange": exchange,
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }
