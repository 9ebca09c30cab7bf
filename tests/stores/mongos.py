"""Servers that look like MongoDB and send no streams of answers, made of one that does by altering what it says."""

import struct
from typing import Any

import bson

_ANSWER, _MESSAGE = 1, 2013  # codes of messages (MongoDB's wire protocol): the first answer to a client, and all others
_DOCUMENT = {_ANSWER: 36, _MESSAGE: 21}  # where the document of a message begins
_STREAM = 1 << 16  # the flag exhaustAllowed


def mongos(data: bytes) -> bytes:
    """Its hello is that of a mongos of MongoDB 6. The driver asks that for no stream."""
    start = _start(data)
    if b"maxWireVersion" not in data or not start:
        return data
    hello: dict[str, Any] = bson.decode(data[start:])
    hello = {key: value for key, value in hello.items() if key not in ("setName", "hosts")}
    document = bson.encode({**hello, "msg": "isdbgrid", "maxWireVersion": 17})
    return struct.pack("<i", start + len(document)) + data[4:start] + document


def without_streams(data: bytes) -> bytes:
    """It knows no command that asks for one."""
    if _start(data) and struct.unpack_from("<i", data, 16)[0] & _STREAM:
        return data.replace(b"getMore", b"getWhat")
    return data


def _start(data: bytes) -> int | None:
    """Where the document begins, if the bytes are a whole message, as small ones are."""
    if len(data) < 21 or struct.unpack_from("<i", data)[0] != len(data):
        return None
    return _DOCUMENT.get(struct.unpack_from("<i", data, 12)[0])
