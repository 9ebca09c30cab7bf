"""An event arrives as it was sent, in every mode and protocol; what is no event is refused."""

import json
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from events import contract, envelope
from events.contract import Event, InvalidEvent

generations = st.integers(0, 2**31)
sizes = st.integers(1, 2**53)
TOLD: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    contract.VIDEO_UPLOADED: st.fixed_dictionaries({"size": sizes, "container": st.text(max_size=16)}),
    contract.AUDIO_CONVERTED: st.fixed_dictionaries(
        {"fid": st.uuids().map(str), "size": sizes, "duration": st.floats(0, 1e6)}
    ),
    contract.CONVERSION_FAILED: st.fixed_dictionaries({"reason": st.from_regex(r"[a-z_]{1,40}", fullmatch=True)}),
}
times = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))
traces = st.none() | st.from_regex(r"00-[0-9a-f]{32}-[0-9a-f]{16}-01", fullmatch=True)
correlations = st.none() | st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=64)


@st.composite
def events(draw: st.DrawFn) -> Event:
    type_ = draw(st.sampled_from(contract.TYPES))
    return contract.event(
        type_, draw(st.uuids()), draw(generations), source="/functions/test", time=draw(times), data=draw(TOLD[type_]),
        traceparent=draw(traces), correlationid=draw(correlations),
    )  # fmt: skip


@given(events())
def test_binary_over_http(event: Event) -> None:
    """With `content-type: application/json`, which Knative asks for in a reply."""
    headers, body = envelope.to_http(event)
    assert headers["content-type"] == "application/json"
    assert envelope.from_http(headers, body) == event


@given(events())
def test_structured_over_http_and_amqp(event: Event) -> None:
    """The same body does for both protocols, and AMQP needs no header beside it."""
    message = envelope.to_message(event)
    assert envelope.from_http({"Content-Type": f"{envelope.STRUCTURED}; charset=utf-8"}, message) == event
    assert envelope.from_message(envelope.STRUCTURED, {}, message) == event
    assert envelope.from_message(None, {}, message) == event


@pytest.mark.parametrize("prefix", ["ce-", "cloudEvents:", "cloudEvents_"])
@given(event=events())
def test_binary_over_amqp(prefix: str, event: Event) -> None:
    """`ce-` is what Knative's broker writes; the other prefixes are the AMQP binding's."""
    headers, body = envelope.to_http(event)
    named = {prefix + name.lower()[3:]: value for name, value in headers.items() if name.lower().startswith("ce-")}
    assert envelope.from_message("application/json", named, body) == event


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
attributes = st.dictionaries(
    st.sampled_from(
        [
            "specversion",
            "id",
            "source",
            "type",
            "subject",
            "time",
            "data",
            "data_base64",
            "traceparent",
            "correlationid",
        ]
    ),
    st.sampled_from(["1.0", *contract.TYPES, "jobs/00000000-0000-0000-0000-000000000007", "2026-01-01T00:00:00Z"])
    | json_values,
)


EVENT = contract.event(
    contract.CONVERSION_FAILED, UUID(int=7), 0, source="/functions/test", time=datetime.now(UTC),
    data={"reason": "no_audio"},
)  # fmt: skip
FINE = json.loads(envelope.to_message(EVENT))


@given(
    st.binary()
    | (attributes | json_values | attributes.map(lambda some: FINE | some)).map(
        lambda value: json.dumps(value).encode()
    )
)
@example(json.dumps(FINE | {"traceparent": 1.5}).encode())
@example(json.dumps(FINE | {"correlationid": "\ud800"}).encode())
@example(json.dumps(FINE | {"traceparent": "", "correlationid": ""}).encode())
@example(json.dumps(FINE | {"id": "\u20ac"}).encode())
@example(json.dumps(FINE | {"time": "0001-01-01T00:00:00+23:59"}).encode())
@example(b"[" * 2000)
@example(b'{"specversion": []}')
def test_any_bytes_that_call_themselves_an_event_are_one_or_are_refused(body: bytes) -> None:
    """Whatever error the SDK raises; and an event that was taken can be sent on in both modes."""
    with suppress(InvalidEvent):
        event = envelope.from_http({"content-type": envelope.STRUCTURED}, body)
        assert envelope.from_message(None, {}, envelope.to_message(event)) == event
        headers, body = envelope.to_http(event)
        assert "".join(headers.values()).isascii()
        assert envelope.from_http(headers, body).job == event.job


WHOLE, BODY = envelope.to_http(EVENT)
MAY_BE_LEFT_OUT = ("ce-dataschema", "ce-time")  # CloudEvents 1.0.2, 3.1: optional; the SDK then takes the present
BROKEN: dict[str, tuple[dict[str, Any], bytes]] = {
    **{f"no {name}": ({name: None}, BODY) for name in WHOLE if name.startswith("ce-") and name not in MAY_BE_LEFT_OUT},
    "no JSON": ({}, b"not json"),
    "no object": ({}, b"[]"),
    "no body": ({}, b""),
    "bytes that are no text": ({}, b"\xff\xfe{"),
    "another version of CloudEvents": ({"ce-specversion": "2.0"}, BODY),
    "a time of no clock": ({"ce-time": "yesterday"}, BODY),
    "a deep hole": ({}, b"[" * 2000),
}


@pytest.mark.parametrize(("changes", "body"), BROKEN.values(), ids=BROKEN)
def test_what_is_no_event_is_told_without_repeating_its_headers(changes: dict[str, Any], body: bytes) -> None:
    """The message of the SDK repeats every header, which would put credentials into an answer and a log."""
    headers = {**WHOLE, "Authorization": "Bearer secret", **changes}
    with pytest.raises(InvalidEvent) as refused:
        envelope.from_http({name: value for name, value in headers.items() if value is not None}, body)
    assert "secret" not in str(refused.value)
