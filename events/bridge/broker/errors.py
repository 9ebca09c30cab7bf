"""What can go wrong with RabbitMQ.

BrokerError
├── BrokerAway       no connection, or it broke meanwhile: whether the message arrived is not known
└── Refused          the broker answered no; nothing was stored
    └── Unroutable   … because no queue is bound for the message
"""

from pika.exceptions import AMQPError, ChannelClosedByBroker, ConnectionClosedByBroker, NackError, UnroutableError


class BrokerError(Exception):
    """The broker did not do what it was asked to do; the message says what an operator can look for."""


class BrokerAway(BrokerError):
    """There is no working connection to the broker. Connections reopen by themselves: try again a little later."""


class Refused(BrokerError):
    """The broker did not store the message. Look for a queue that is full or has no leader, then try again."""


class Unroutable(Refused):
    """No queue is bound for the message. The bindings are declared again within a second: try again after that."""


def translated(error: Exception) -> Exception:
    """Our error for one of pika's or of the socket; any other error comes back as it is."""
    match error:
        case UnroutableError():
            return Unroutable("no queue is bound for this message: its bindings are declared anew, try again")
        case NackError():
            return Refused("the broker refused the message: look for full or unavailable queues")
        case ChannelClosedByBroker() if error.reply_code == 406:
            return BrokerAway(f"the broker has something else by that name, delete or rename it: {error.reply_text}")
        case ConnectionClosedByBroker() if error.reply_code == 541:
            return BrokerAway("the broker broke over our call (541): see its log, and look for queues without a leader")
        case AMQPError() | OSError():
            return BrokerAway(f"the connection to the broker failed ({type(error).__name__}): see that it runs")
    return error
