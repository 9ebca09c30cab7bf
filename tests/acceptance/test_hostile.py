"""Whatever bytes a stranger sends to the gateway, to a function or to the bridge, the answer is no 5xx."""

import json
import re
import socket
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from emulator.system import System
from tests.acceptance.person import Person
from tests.waiting import PATIENCE

NOBODY = "00000000-0000-4000-8000-000000000000"
VIDEO = b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41" + bytes(range(256)) * 4
FORM = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.mp4"\r\n\r\n'
EVENT = {
    "specversion": "1.0",
    "id": "1",
    "source": "/x",
    "type": "org.videotomp3.conversion.failed.v1",
    "subject": f"jobs/{NOBODY}",
    "data": {"job_id": NOBODY, "generation": 0, "reason": "no_audio"},
}
HEADERS = (
    *(
        "Authorization",
        "Content-Type",
        "Content-Disposition",
        "Content-Encoding",
        "Transfer-Encoding",
        "Expect",
        "Range",
    ),
    *("If-Range", "If-None-Match", "If-Match", "Idempotency-Key", "X-Request-Id", "X-Forwarded-For", "traceparent"),
    *("ce-id", "ce-type", "ce-source", "ce-specversion", "ce-subject", "ce-time", "ce-traceparent", "Prefer", "Cookie"),
)

# Some of what breaks parsers: text in place of numbers, half an encoding, quotes and brackets, and very long text.
odd = some.sampled_from(
    [
        "",
        " ",
        "-1",
        "0x10",
        "1e999",
        "NaN",
        "é",
        "\xff\xfe",
        "%00",
        "%ff",
        "..%2f..",
        "{",
        '"',
        "\\",
        "bytes=9-1,2-",
        NOBODY,
    ]
)
texts = (
    odd
    | some.text(some.characters(max_codepoint=255, exclude_characters="\0\r\n"), max_size=40)
    | some.just("x" * 5000)
)
words = texts.map(lambda text: text.encode("latin-1"))
kinds = some.sampled_from(
    [
        "application/json",
        "multipart/form-data",
        "multipart/form-data; boundary=x",
        "application/cloudevents+json",
        "text/plain; charset=x",
    ]
)
credentials = some.sampled_from(["Bearer {}", "Basic OjpjOg==", "bearer", "Bearer a.b.c"]) | some.builds(
    "{} {}".format,
    some.sampled_from(["Basic", "Bearer"]),
    texts.map(lambda text: text.replace("{", "").replace("}", "")),
)
headers = some.dictionaries(some.sampled_from(HEADERS), words, max_size=6)
json_values = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | some.text(max_size=20),
    lambda inner: (
        some.lists(inner, max_size=3) | some.dictionaries(some.sampled_from(["name", "username", "email"]), inner)
    ),
    max_leaves=8,
)
bodies = (
    some.binary(max_size=60)
    | json_values.map(lambda value: json.dumps(value).encode())
    | some.builds(
        lambda name, value: json.dumps(EVENT | {name: value}).encode(),
        some.sampled_from([*EVENT, "traceparent"]),
        json_values,
    )
    | some.sampled_from([VIDEO, FORM, FORM + VIDEO, FORM + VIDEO + b"\r\n--x--\r\n", b"[" * 5000, b'{"a":' * 5000])
)
paths = some.sampled_from(
    ["", "/", f"/{NOBODY}", f"/{NOBODY}/cancel", f"/{NOBODY}/retry", f"?fid={NOBODY}", "/_/ready", "/_/metrics"]
) | some.builds(
    "{}{}".format,
    some.sampled_from(["/", "?fid=", "?cursor=", "?limit=", "?filename=", f"?fid={NOBODY}&token="]),
    texts,
)
methods = some.sampled_from(["GET", "GET", "POST", "POST", "POST", "PATCH", "DELETE", "PUT", "HEAD", "OPTIONS", "FOO"])


@pytest.fixture(scope="module")
def token(system: System) -> str:
    return Person(system).token


@pytest.fixture(scope="module")
def doors(system: System) -> list[tuple[str, str]]:
    """`host:port` and the front of the path: of each function through the gateway, of each function, of the bridge."""
    outside = [
        (urlsplit(system.gateway.url).netloc, each.function.path)
        for each in system.functions.values()
        if each.function.path
    ]
    return [
        *outside,
        *((each.address, "") for each in system.functions.values()),
        (urlsplit(system.bridge.url).netloc, ""),
    ]


@settings(max_examples=500, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
@given(methods, paths, headers, some.none() | kinds, some.none() | credentials, bodies)
def test_no_request_breaks_anything(
    doors: list[tuple[str, str]],
    token: str,
    method: str,
    path: str,
    told: dict[str, bytes],
    kind: str | None,
    credential: str | None,
    body: bytes,
) -> None:
    """Break: a request that no honest client sends. Symptom: a 5xx, from code that did not expect it."""
    told |= {"Content-Type": kind.encode()} if kind else {}
    told |= {"Authorization": credential.format(token).encode("latin-1")} if credential else {}
    answers = {(address, front): ask(address, method, front + path, told, body) for address, front in doors}
    # An unknown transfer coding is to be answered 501 (RFC 9112, 6.1), and nginx does.
    allowed = {501} if "Transfer-Encoding" in told else set()
    assert {
        door: status for door, status in answers.items() if status and status >= 500 and status not in allowed
    } == {}


def ask(address: str, method: str, path: str, told: dict[str, bytes], body: bytes) -> int | None:
    """The status of the answer; None if the other side closes the connection without one."""
    host, _, port = address.partition(":")
    target = path.replace(" ", "%20").encode("latin-1") or b"/"
    lines = [b"%s %s HTTP/1.1" % (method.encode(), target if target.startswith(b"/") else b"/" + target), b"Host: x"]
    lines += [name.encode() + b": " + value for name, value in told.items()]
    lines += [b"Connection: close", b"Content-Length: %d" % len(body), b"", body]
    answer = b""
    with socket.create_connection((host, int(port)), timeout=PATIENCE) as connection:
        try:
            connection.sendall(b"\r\n".join(lines))
            while (piece := connection.recv(65536)) and len(answer) < 100:
                answer += piece
        except ConnectionError:  # it was closed while we were still sending
            pass
    found = re.match(rb"HTTP/1\.1 (\d{3}) ", answer)
    return int(found[1]) if found else None
