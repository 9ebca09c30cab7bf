"""Events as messages on RabbitMQ: how a message carries one, and what the bridge notes in its headers.

An event keeps its notes when it is published again, to be retried or as a dead letter. A replay removes them.
"""

from base64 import b64encode
from collections.abc import Collection
from dataclasses import replace
from typing import Any

from events import envelope
from events.bridge.broker.message import Message
from events.contract import Event

ATTEMPT = "attempt"  # number of the next request to the function; the first one is 1
ORIGIN = "queue"  # the work queue that the event belongs to
# Where an event was given up on (URL), with which status, and what was answered (base64). These are Knative's names for
# them (its dispatcher adds them to dead letters), and a function sees them as ce- headers.
FAILURE = ("knativeerrordest", "knativeerrorcode", "knativeerrordata")
FAILURE_DATA_LIMIT = 1024  # bytes of an answer that are kept


def carrying(event: Event) -> Message:
    """The message that carries this event: structured mode, with the event's id as its own."""
    return Message(envelope.to_message(event), envelope.STRUCTURED, event.id)


def event_in(message: Message) -> Event:
    """The event that this message carries. Raises InvalidEvent."""
    return envelope.from_message(message.content_type, message.headers, message.body)


def attempt_of(message: Message) -> int:
    """The number of the request that this delivery leads to; 1 when the header is missing or is not one of ours."""
    noted = message.headers.get(ATTEMPT)
    return noted if isinstance(noted, int) and noted > 0 else 1


def failure_in(message: Message) -> dict[str, str]:
    """Of a dead letter: why it was given up, as headers for the dead-letter function."""
    noted = {name: message.headers.get(name) for name in FAILURE}
    return {f"ce-{name}": why for name, why in noted.items() if envelope.is_plain(why)}


def for_retry(message: Message) -> Message:
    """The same event, noted as due for its next attempt."""
    return replace(message, headers={**message.headers, ATTEMPT: attempt_of(message) + 1})


def for_dead_letter(message: Message, url: str, status: int, answer: bytes) -> Message:
    """The same event with the reason why it was given up; attempts are counted anew, now for the dead-letter function.

    A reason that stands there already stays: it says why the event was first given up.
    """
    reason = dict(zip(FAILURE, (url, str(status), b64encode(answer[:FAILURE_DATA_LIMIT]).decode()), strict=True))
    return replace(message, headers={**reason, **message.headers, ATTEMPT: 1})


def for_replay(message: Message) -> tuple[str, Message]:
    """The work queue that a parked event belongs to, and the event without any notes, as if it had just come in."""
    ours = (ATTEMPT, ORIGIN, *FAILURE)
    headers = {name: value for name, value in message.headers.items() if name not in ours}
    return message.headers.get(ORIGIN) or message.died_in[-1], replace(message, headers=headers)


def with_origin(message: Message, queue: str, work_queues: Collection[str]) -> Message:
    """The same event with a note of the work queue it belongs to, where there is none yet.

    That is the queue it was delivered from, or, when the broker itself has dead-lettered it, the work queue it was in.
    """
    origin = next((died_in for died_in in message.died_in if died_in in work_queues), queue)
    return replace(message, headers={ORIGIN: origin, **message.headers})


def log_fields(event: Event) -> dict[str, Any]:
    """By what names a log line tells which event it is about."""
    trace = event.traceparent.split("-")[1:2] if event.traceparent else ()
    return {"event": event.id, "type": event.type, "job": event.subject, "trace": next(iter(trace), None)}
