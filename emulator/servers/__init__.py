"""The servers that the emulator runs: Postgres, MongoDB's wire protocol, RabbitMQ, a mailbox, and the gateway."""
