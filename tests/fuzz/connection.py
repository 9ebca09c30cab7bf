"""Bytes to a port and the answers that come back, by an HTTP client that corrects nothing."""

import socket
import struct
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import BinaryIO

from tests.fuzz.grammar import Input

PATIENCE = 40.0  # seconds for an answer that must come; no address but upload and download may take more than 30
BRIEF = 3.0  # seconds for one that need not
MOST = 50_000_000  # bytes of an answer


class Unanswered(Exception):
    """The connection ended, or time ran out, before an answer was there; the message says which."""


class Malformed(Exception):
    """What came is no answer; the message has its beginning."""


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]  # by names in lower case; one that comes twice has both
    body: bytes

    @property
    def kind(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


class Caller:
    """One client, with a connection to each port that it keeps for as long as the server does."""

    def __init__(self, doors: Mapping[str, tuple[str, int]]) -> None:
        self._doors = doors
        self._kept: dict[str, tuple[socket.socket, BinaryIO]] = {}

    def send(self, given: Input) -> list[Answer]:
        """The answers; none to what need not be answered. Raises Unanswered and Malformed."""
        if not given.whole:
            return self._send_once(given)
        if given.door in self._kept:
            with suppress(Unanswered):  # a server may close a kept connection at any moment, so it is sent again
                return [self._ask(given)]
        return [self._ask(given)]

    def close(self) -> None:
        for door in [*self._kept]:
            self._drop(door)

    def _ask(self, given: Input) -> Answer:
        if given.door not in self._kept:
            connection = socket.create_connection(self._doors[given.door], PATIENCE)
            self._kept[given.door] = connection, connection.makefile("rb")
        connection, incoming = self._kept[given.door]
        try:
            with suppress(ConnectionError):  # refused before it has read all: the answer may be there
                connection.sendall(given.data)
            answer = read(incoming, is_head=given.method == b"HEAD")
        except BaseException:
            self._drop(given.door)
            raise
        if answer.headers.get("connection", "").lower() == "close" or b" HTTP/1.0\r\n" in given.data[:20_000]:
            self._drop(given.door)
        return answer

    def _drop(self, door: str) -> None:
        connection, incoming = self._kept.pop(door)
        incoming.close()
        connection.close()

    def _send_once(self, given: Input) -> list[Answer]:
        answers: list[Answer] = []
        with (
            socket.create_connection(self._doors[given.door], BRIEF) as connection,
            connection.makefile("rb") as incoming,
        ):
            with suppress(OSError):
                connection.sendall(given.data)
                if given.hang_up:
                    if given.number % 2:  # with a reset
                        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    return []
                connection.shutdown(socket.SHUT_WR)
            with suppress(Unanswered):
                while len(answers) < 20:
                    answers.append(read(incoming, is_head=given.method == b"HEAD"))
        return answers


def read(incoming: BinaryIO, *, is_head: bool) -> Answer:
    """The next answer that is final. Raises Unanswered and Malformed."""
    try:
        answer = _read(incoming, is_head=is_head)
        while answer.status < 200:
            answer = _read(incoming, is_head=is_head)
    except TimeoutError as error:
        raise Unanswered("time ran out") from error
    except OSError as error:
        raise Unanswered(f"the connection ended: {error}") from error
    return answer


def _read(incoming: BinaryIO, *, is_head: bool) -> Answer:
    line = incoming.readline(70_000)
    if not line:
        raise Unanswered("the connection was closed")
    words = line.split(None, 2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/1.") or not words[1].isdigit():
        raise Malformed(repr((line + incoming.read1(500))[:500]))  # type: ignore[attr-defined] # BinaryIO does not say that it is buffered
    status, headers = int(words[1]), _headers(incoming)
    if is_head or status < 200 or status in (204, 304):
        return Answer(status, headers, b"")
    if headers.get("transfer-encoding", "").lower() == "chunked":
        return Answer(status, headers, _chunks(incoming))
    if "content-length" not in headers:
        return Answer(status, headers, incoming.read(MOST))
    return Answer(status, headers, _exactly(incoming, int(headers["content-length"])))


def _headers(incoming: BinaryIO) -> dict[str, str]:
    headers: dict[str, str] = {}
    while (line := incoming.readline(70_000)) not in (b"\r\n", b"\n"):
        if not line:
            raise Unanswered("the connection was closed in mid-answer")
        name, colon, value = line.decode("latin-1").rstrip("\r\n").partition(":")
        if not colon:
            raise Malformed(repr(line))
        name = name.strip().lower()
        headers[name] = f"{headers[name]}, {value.strip()}" if name in headers else value.strip()
    return headers


def _chunks(incoming: BinaryIO) -> bytes:
    body = b""
    while size := int(incoming.readline(100).split(b";")[0] or b"0", 16):
        body += _exactly(incoming, size)
        incoming.readline(100)
    incoming.readline(100)
    return body


def _exactly(incoming: BinaryIO, size: int) -> bytes:
    body = incoming.read(size)
    if len(body) < size:
        raise Unanswered(f"the answer broke off after {len(body)} of {size} bytes")
    return body
