"""Moving messages from one queue to others, as `python -m events.bridge replay` does."""

from collections.abc import Callable

import pika
from pika.exceptions import AMQPError

from events.bridge.broker.connection import declare, parameters
from events.bridge.broker.errors import translated
from events.bridge.broker.message import Message
from events.bridge.topology import DIRECT, Topology


def move(url: str, topology: Topology, source: str, target: Callable[[Message], tuple[str, Message]]) -> int:
    """Moves what lies in the queue `source` at the start, and returns how many messages that were.

    `target` names the queue that a message goes to, and the message as it is to arrive there. Each is confirmed in its
    new queue before it is acked in the old one: a crash in between doubles a message, and loses none.

    Raises BrokerError; what was not moved by then stays where it is.
    """
    try:
        with pika.BlockingConnection(parameters(url)) as connection:
            channel = connection.channel()
            declare(channel, topology)
            channel.confirm_delivery()
            count = int(channel.queue_declare(source, passive=True).method.message_count)
            for moved in range(count):
                method, properties, body = channel.basic_get(source)
                if method is None:  # somebody else has emptied the queue meanwhile
                    return moved
                queue, message = target(Message.received(properties, body))
                channel.basic_publish(DIRECT, queue, message.body, message.properties, mandatory=True)
                channel.basic_ack(method.delivery_tag)
            return count
    except (AMQPError, OSError) as error:
        raise translated(error) from error
