"""What is no HTTP at all, or next to none."""

from random import Random

PIECES = (
    *(
        b"\r\n",
        b"\n",
        b"\0",
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/1.1\r\n",
    ),
    *(
        b"GET /\r\n",
        b"GET",
        b" ",
        b"Host: x\r\n",
        b"\xff\xfe",
        b": \r\n",
        b"POST /upload HTTP/1.1\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
    ),
    *(
        b"AMQP\0\0\x09\x01",
        b"EHLO x\r\n",
        b"*1\r\n$4\r\nPING\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"Content-Length: 5\r\n",
    ),
    *(
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n",
        b"GET  /  HTTP/1.1\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
    ),
    *(b"GET /jobs HTTP/1.1\r\nHost: x\r\n continued\r\n\r\n", b"\t", b"G" * 10_000, b"GET /" + b"a" * 70_000),
)


def data(random: Random) -> bytes:
    """Some of it."""
    pieces = [random.choice(PIECES) for _ in range(random.choice((1, 2, 4, 9)))]
    if random.random() < 0.4:
        pieces.insert(random.randrange(len(pieces) + 1), random.randbytes(random.choice((1, 30, 3000))))
    return b"".join(pieces)
