"""RabbitMQ. Only this package uses pika, and every error of pika leaves it as one of `errors`.

Read it in this order: errors, message, connection (which reconnects by itself), publisher, subscriber, transfer.
"""
