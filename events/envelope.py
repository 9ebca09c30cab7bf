"""How events are encoded: in binary or structured mode over HTTP, in structured mode over AMQP.

Messages in binary mode are read as well. This is the only module that uses the CloudEvents SDK.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TypeGuard

from cloudevents.conversion import to_binary, to_json
from cloudevents.http import CloudEvent
from cloudevents.http import from_http as parse_http

from events import contract
from events.contract import Event, InvalidEvent

STRUCTURED = "application/cloudevents+json"
JSON = "application/json"
REQUIRED = ("id", "source", "type", "subject", "time")
EXTENSIONS = ("traceparent", "correlationid")
# Printable ASCII, which a header carries as it is. The HTTP binding has anything else percent-encoded, which our events
# never need (CloudEvents HTTP 1.0.2, 3.1.3.2).
PLAIN = re.compile("[ -~]*")
ID_LENGTH = 255  # a message has it as its own id, which is a short string (AMQP 0-9-1)
# Knative's RabbitMQ broker writes "ce-"; the others are from the AMQP binding (CloudEvents AMQP 1.0.2, 3.1.3).
AMQP_PREFIXES = ("ce-", "cloudevents:", "cloudevents_")


def to_http(event: Event) -> tuple[dict[str, str], bytes]:
    """Headers and body of a request or a reply in binary mode."""
    headers, body = to_binary(_envelope(event))
    return headers, body


def from_http(headers: Mapping[str, str], body: bytes) -> Event:
    """The event of a request or a reply, in either mode. Raises InvalidEvent."""
    try:
        parsed = parse_http(dict(headers), body)
    except Exception as error:  # besides its own, the SDK raises TypeError, RecursionError … on hostile JSON
        # The SDK's own message repeats every header it was given, credentials included.
        raise InvalidEvent("not a CloudEvent: it needs ce-id, ce-source, ce-type, ce-specversion and JSON") from error
    return _event(parsed)


def to_message(event: Event) -> bytes:
    """The body of an AMQP message in structured mode; its content type is STRUCTURED."""
    return bytes(to_json(_envelope(event)))


def from_message(content_type: str | None, headers: Mapping[str, Any], body: bytes) -> Event:
    """The event of an AMQP message, in either mode. Raises InvalidEvent."""
    attributes = {"content-type": content_type or STRUCTURED}
    for name, value in headers.items():
        for prefix in AMQP_PREFIXES:
            if name.lower().startswith(prefix):
                attributes[f"ce-{name[len(prefix) :].lower()}"] = str(value)
    return from_http(attributes, body)


def is_plain(value: Any) -> TypeGuard[str]:
    """Whether it is a text that a header carries as it is."""
    return isinstance(value, str) and PLAIN.fullmatch(value) is not None


def _envelope(event: Event) -> CloudEvent:
    attributes = {
        "id": event.id,
        "type": event.type,
        "source": event.source,
        "subject": event.subject,
        "time": event.time.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "datacontenttype": JSON,
        "dataschema": event.dataschema,
    }
    extensions = {"traceparent": event.traceparent, "correlationid": event.correlationid}
    return CloudEvent(attributes | {name: value for name, value in extensions.items() if value}, event.data)


def _event(envelope: CloudEvent) -> Event:
    attributes = envelope.get_attributes()
    for name in REQUIRED + EXTENSIONS:
        value = attributes.get(name)
        if value is None and name in EXTENSIONS:
            continue
        if not is_plain(value):
            raise InvalidEvent(f"ce-{name} is {'missing' if value is None else 'not printable ASCII'}")
    if len(attributes["id"]) > ID_LENGTH:
        raise InvalidEvent(f"ce-id has more than {ID_LENGTH} characters")
    try:
        time = datetime.fromisoformat(attributes["time"])
        time = (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise InvalidEvent("ce-time is not an RFC 3339 time") from error
    data: Any = envelope.get_data()
    event = Event(
        **{name: attributes[name] for name in ("id", "source", "type", "subject")},
        time=time,
        data=data,
        # An empty one says nothing, and would be left out when the event is sent on.
        traceparent=attributes.get("traceparent") or None,
        correlationid=attributes.get("correlationid") or None,
    )
    contract.check(event)
    return event
