"""Publishing that counts only once the broker has confirmed it."""

from pika.exceptions import UnroutableError

from events.bridge.broker.connection import POLL_INTERVAL, NoteLoss, RecoveringChannel, RecoveringConnection
from events.bridge.broker.message import Message
from events.bridge.topology import Topology


class Publisher(RecoveringConnection):
    """Publishes messages.

    Its connection is not the subscriber's: a broker that is short of memory or disk stops reading from connections that
    publish, and acks must not be held up by that.
    """

    def __init__(self, url: str, topology: Topology, note_loss: NoteLoss) -> None:
        super().__init__(url, topology, "publisher", note_loss)
        self._channel = RecoveringChannel(lambda channel: channel.confirm_delivery())
        self._channels = (self._channel,)

    def publish(self, exchange: str, key: str, message: Message) -> None:
        """Returns once the broker has stored the message in every queue bound for it. Raises BrokerError."""
        self.call(lambda: self._publish(exchange, key, message))

    def _publish(self, exchange: str, key: str, message: Message) -> None:
        channel = self._channel.channel
        try:
            # Without `mandatory` the broker confirms a message for which there is no queue, and drops it.
            channel.basic_publish(exchange, key, message.body, message.properties, mandatory=True)
        except UnroutableError:
            # Closing the channel has every queue and binding declared again, but not at once: a queue declared too soon
            # after it was deleted is broken (see RecoveringChannel.recover).
            self._connection.call_later(POLL_INTERVAL, lambda: channel.is_open and channel.close())
            raise
