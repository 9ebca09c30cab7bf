"""Upload behind a real socket: clients that hang up, lie, dawdle and send too much."""

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from http.client import HTTPResponse
from typing import Any

import psutil
import pytest
import requests

from functions.stores.gridfs import CHUNK, Bucket
from tests.functions.harness import VIDEO, Person, Served, files, problem
from tests.waiting import PATIENCE, until

LIMIT = 30 * CHUNK
MEGABYTE = 1024 * 1024
pytestmark = pytest.mark.usefixtures("database", "videos")  # emptied afterwards


@pytest.fixture
def upload(served: Callable[..., Served]) -> Served:
    return served("upload", MAX_UPLOAD_BYTES=str(LIMIT))


def talk(upload: Served, ada: Person, *lines: str) -> socket.socket:
    """A request of which only the head was sent."""
    connection = socket.create_connection(("127.0.0.1", upload.port), timeout=PATIENCE)
    head = ["POST / HTTP/1.1", "Host: x", f"Authorization: {ada.headers['Authorization']}", *lines]
    connection.sendall("\r\n".join([*head, "", ""]).encode())
    return connection


def answered(connection: socket.socket) -> tuple[int, dict[str, Any]]:
    """Its status and JSON."""
    answer = HTTPResponse(connection)
    answer.begin()
    return answer.status, json.loads(answer.read())


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


FORM = ["Content-Length: 20000000", "Content-Type: multipart/form-data; boundary=x"]
FILE = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n' + VIDEO.ljust(6 * CHUNK)
HALVES = {
    "a raw body": (["Content-Length: 20000000"], VIDEO.ljust(6 * CHUNK)),
    "a chunked body": (["Transfer-Encoding: chunked"], chunk(VIDEO.ljust(6 * CHUNK))),
    "a form": (FORM, FILE),
    "a form whose file has come": (FORM, FILE + b"\r\n--x\r\nContent-Dispo"),
    "a form whose last boundary has come": (FORM, FILE + b"\r\n--x--\r\n"),
    "a chunked form whose last boundary has come": (
        ["Transfer-Encoding: chunked", FORM[1]], chunk(FILE + b"\r\n--x--\r\n"),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("head", "body"), HALVES.values(), ids=HALVES)
def test_a_client_that_hangs_up_leaves_nothing(
    head: list[str], body: bytes, upload: Served, ada: Person, videos: Bucket, sql: Callable[..., Any]
) -> None:
    """Even where megabytes of its video were stored by then."""
    with closing(talk(upload, ada, *head)) as connection:
        connection.sendall(body)
        until(lambda: files(videos)[1])
    until(lambda: files(videos) == (0, 0))
    assert sql("SELECT * FROM jobs") == []
    assert '"status": 500' not in upload.log.read_text(encoding="utf-8")


def test_a_chunked_video_arrives(upload: Served, ada: Person) -> None:
    """Nobody said how long it would be."""
    answer = requests.post(upload.url, data=iter([VIDEO, VIDEO]), headers=ada.headers, timeout=PATIENCE)
    assert (answer.status_code, answer.json()["source"]["size_bytes"]) == (202, 2 * len(VIDEO))


def test_a_chunked_body_is_refused_once_it_passes_the_limit(upload: Served, ada: Person, videos: Bucket) -> None:
    """While it is being read, for its end may never come. The client can read the answer."""

    def endless() -> Iterator[bytes]:
        yield VIDEO
        for _ in range(LIMIT // MEGABYTE + 20):
            yield bytes(MEGABYTE)

    answer = requests.post(upload.url, data=endless(), headers=ada.headers, timeout=PATIENCE)
    problem(answer, 413, "too-large", field="file")
    assert files(videos) == (0, 0)


def test_a_video_declared_too_large_is_refused_unread(upload: Served, ada: Person) -> None:
    """Before a byte of it has come."""
    with closing(talk(upload, ada, f"Content-Length: {LIMIT * 100}")) as connection:
        status, document = answered(connection)
    assert (status, document["field"]) == (413, "file")


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"quality": "best"}, "quality"),
        ({"quality": "high", "vbr": "0"}, "quality"),
        ({"format": "wav", "bitrate": "128"}, "bitrate"),
        ({"colour": "red"}, "colour"),
    ],
    ids=str,
)
def test_options_that_are_not_taken_cost_nobody_the_time_of_the_video(
    options: dict[str, str], field: str, upload: Served, ada: Person, videos: Bucket
) -> None:
    """The answer is there while most of the video has not been sent, where they stand before it."""
    parts = "".join(
        f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{text}\r\n' for name, text in options.items()
    )
    head = parts.encode() + b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.mp4"\r\n\r\n' + VIDEO
    lines = f"Content-Length: {LIMIT}", "Content-Type: multipart/form-data; boundary=x", "Connection: close"
    with closing(talk(upload, ada, *lines)) as connection:
        connection.sendall(head + bytes(300_000))
        status, document = answered(connection)
    assert (status, document["field"]) == (400 if field == "colour" else 422, field)
    assert files(videos) == (0, 0)


@pytest.mark.parametrize("rest", [b"zz\r\n", b"-5\r\nabc", b"5\r\nabcdefg\r\n0\r\n\r\n"])
def test_a_body_that_breaks_the_rules_of_chunks_is_refused(
    rest: bytes, upload: Served, ada: Person, videos: Bucket
) -> None:
    """With 400, for the fault is the client's. What came before is not kept."""
    with closing(talk(upload, ada, "Transfer-Encoding: chunked")) as connection:
        connection.sendall(chunk(VIDEO) + rest)
        assert answered(connection)[0] == 400
    assert files(videos) == (0, 0)


def test_megabytes_from_a_stranger_are_never_held_in_memory(upload: Served) -> None:
    """The framework alone would read all 300 MB before the 401. The client can read that answer."""
    worker = max(psutil.Process(upload.process.pid).children(), key=lambda child: child.memory_info().rss)
    before = worker.memory_info().rss
    answer = requests.post(upload.url, data=(bytes(MEGABYTE) for _ in range(300)), timeout=PATIENCE)
    problem(answer, 401, "unauthorized")
    assert worker.memory_info().rss - before < 20 * MEGABYTE


def test_the_log_tells_each_outcome_and_no_secret(upload: Served, ada: Person) -> None:
    """In one line of JSON, with the ids of the job and of the user."""
    headers = {**ada.headers, "X-Request-Id": "r1"}
    address = f"{upload.url}/?filename=secret-name.mp4&token=t0ken"
    job = requests.post(f"{upload.url}/?filename=secret-name.mp4", data=VIDEO, headers=headers, timeout=PATIENCE).json()
    problem(requests.post(address, data=VIDEO, headers=headers, timeout=PATIENCE), 400, "bad-request", field="token")
    [line] = until(lambda: [line for line in log(upload) if line.get("job") == job["id"]])
    assert (line["level"], line["status"], line["user"], line["bytes"]) == ("info", 202, str(ada.id), len(VIDEO))
    whole = upload.log.read_text(encoding="utf-8")
    for secret in (ada.token, ada.username, "secret-name", "t0ken", "Traceback"):
        assert secret not in whole


def log(upload: Served) -> list[dict[str, Any]]:
    return [json.loads(line) for line in upload.log.read_text(encoding="utf-8").splitlines()]
