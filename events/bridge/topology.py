"""What stands on the broker, as plain data: names, arguments and bindings."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

DIRECT = ""  # AMQP's default exchange: the routing key is a queue's name

# What quorum queues do by default only since RabbitMQ 4.0.
DELIVERY_LIMIT = 20
ENDLESS = 1_000_000  # for queues whose messages have nowhere further to go; -1 is unknown to RabbitMQ 3


@dataclass(frozen=True)
class Queue:
    """A durable quorum queue."""

    name: str
    arguments: Mapping[str, Any]
    keys: tuple[str, ...] = ()  # bound to the topic exchange by these
    fanout: str | None = None  # bound to this fanout exchange


@dataclass(frozen=True)
class Topology:
    """A topic exchange, a work queue per function, wait queues for what is tried again, queues of what was given up.

    A wait queue is one step of the backoff and serves every work queue: messages arrive through a fanout exchange, so
    each keeps its routing key, the name of the work queue it goes back to when its time is over.
    """

    exchange: str
    work: Mapping[str, tuple[str, ...]]  # queue → event types
    delays: tuple[float, ...] = (1, 2, 4, 8, 16, 32, 60)  # seconds, rising

    @property
    def dead(self) -> str:
        """Queue of the events a function was given up on; the dead-letter function is asked about them."""
        return f"{self.exchange}.dead"

    @property
    def parked(self) -> str:
        """Queue of the events nobody could handle; they lie there until someone replays them."""
        return f"{self.exchange}.parked"

    def wait(self, attempt: int, at_least: float | None = None) -> str:
        """The exchange of the delay after that attempt (the first is 1), or of the longer one a function asked for."""
        step = self.delays[min(attempt, len(self.delays)) - 1]
        delay = max(step, min((d for d in self.delays if d >= (at_least or 0)), default=self.delays[-1]))
        return self._wait(delay)

    def queues(self) -> tuple[Queue, ...]:
        """Every queue, those first that others dead-letter to."""
        return tuple(
            chain(
                (Queue(self.parked, _quorum(limit=ENDLESS)), Queue(self.dead, _quorum(self.parked))),
                (Queue(name, _quorum(self.dead), keys=types) for name, types in self.work.items()),
                (self._waiting(delay) for delay in self.delays),
            )
        )

    def _wait(self, delay: float) -> str:
        return f"{self.exchange}.wait.{delay * 1000:.0f}ms"

    def _waiting(self, delay: float) -> Queue:
        # The time to live is the queue's: a message's own would wait behind the head of the queue.
        arguments = _quorum(limit=ENDLESS) | _safely_to(DIRECT) | {"x-message-ttl": int(delay * 1000)}
        return Queue(self._wait(delay), arguments, fanout=self._wait(delay))


def _quorum(beyond: str | None = None, limit: int = DELIVERY_LIMIT) -> dict[str, Any]:
    """Lost connections count as deliveries, and beyond the limit a message is dropped unless it has a way to go."""
    arguments: dict[str, Any] = {"x-queue-type": "quorum", "x-delivery-limit": limit}
    return arguments | (_safely_to(DIRECT) | {"x-dead-letter-routing-key": beyond} if beyond else {})


def _safely_to(exchange: str) -> dict[str, Any]:
    # At least once: the broker keeps the message until the next queue has confirmed it. It asks for reject-publish.
    return {
        "x-dead-letter-exchange": exchange,
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }
