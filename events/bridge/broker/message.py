"""A message: the bytes that lie in a queue, and the properties that travel with them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pika


@dataclass(frozen=True)
class Message:
    """A message, apart from the exchange and the routing key that it is published with."""

    body: bytes
    content_type: str | None
    id: str | None
    headers: Mapping[str, Any] = field(default_factory=dict)
    died_in: tuple[str, ...] = ()  # the queues that dead-lettered it, the latest first

    @classmethod
    def received(cls, properties: pika.BasicProperties, body: bytes) -> "Message":
        """The message of a delivery.

        The broker's own headers (x-…) are left out, because they must not be published again: to RabbitMQ a copied
        x-death header can look like a cycle of dead-lettering, and it drops a message that goes in circles.
        """
        headers = properties.headers or {}
        ours = {name: value for name, value in headers.items() if not name.startswith("x-")}
        died_in = tuple(death["queue"] for death in headers.get("x-death", ()))
        return cls(body, properties.content_type, properties.message_id, ours, died_in)

    @property
    def properties(self) -> pika.BasicProperties:
        """What pika publishes it with: persistent, so it outlives a restart of the broker."""
        return pika.BasicProperties(
            content_type=self.content_type,
            message_id=self.id,
            headers=dict(self.headers),
            delivery_mode=pika.DeliveryMode.Persistent,
        )
