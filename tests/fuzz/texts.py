"""Texts that break programs: every plane of Unicode, directions, controls, formats of others, and JSON that is none."""

import json
from random import Random
from typing import Any

MOST = 3000  # characters
FAMOUS = (
    *(
        "",
        " ",
        "\0",
        ":",
        "a:b",
        "\r\n",
        "\r\nSet-Cookie: a=b",
        "\ufeff",
        "\u202e\u2066evil\u2069",
        "\u200f\u0627\u0644",
    ),
    *("../../etc/passwd", "..\\..\\x", "%00", "%", "%%s%n", "{0}", "${jndi:x}", "' OR 1=1 --", "\\", '"', "'", "`id`"),
    *(
        "null",
        "undefined",
        "NaN",
        "-1",
        "0",
        "1e999",
        "0x10",
        "9" * 400,
        "\u0661\u0662",
        "½",
        "ﬀ",
        "ß",
        "İ",
        "\ud800",
        "\udfff\ud800",
    ),
    *(
        "a@b",
        "a@b.c",
        '"a b"@example.org',
        "a@[127.0.0.1]",
        "a@xn--",
        "a@" + "b." * 120 + "c",
        "a@b\r\nBcc: c@d",
        "<a@b>",
    ),
    *(
        "e" + "\u0301" * 300,
        "👨‍👩‍👧‍👦",
        "\U000e0001",
        "\U0010ffff",
        "\uffff",
        "Z͑ͫ̓a̴l",
        "con",
        "nul.mp4",
        ".",
        "..",
        "/",
        "a/b",
        "=?utf-8?q?x?=",
    ),
)
PLANES = (
    (0, 0x7F),
    (0x80, 0xFF),
    (0x100, 0x7FF),
    (0x800, 0xD7FF),
    (0xD800, 0xDFFF),
    (0xE000, 0xFFFF),
    (0x10000, 0x10FFFF),
)


def text(random: Random, most: int = MOST) -> str:
    """One that may hold lone surrogates."""
    kind = random.random()
    if kind < 0.45:
        return random.choice(FAMOUS)[:most]
    if kind < 0.55:
        return (random.choice(FAMOUS) or "x") * random.randrange(1, most) if most < 50 else _long(random, most)
    low, high = random.choice(PLANES)
    return "".join(chr(random.randint(low, high)) for _ in range(random.choice((1, 3, 8, 40, min(most, 400)))))[:most]


def encoded(random: Random, most: int = MOST) -> bytes:
    """A text in some encoding, or bytes that are none."""
    if random.random() < 0.15:
        return random.randbytes(random.randrange(1, 60))
    return text(random, most).encode(random.choice(("utf-8", "utf-8", "utf-8", "utf-16", "utf-7")), "surrogatepass")


def value(random: Random, depth: int = 0) -> Any:
    """One of any type that JSON has, and some that it has not."""
    kind = random.randrange(9 if depth < 4 else 7)
    if kind < 3:
        return text(random)
    if kind < 7:
        odd = (None, True, False, 0, -1, 10**30, 1.5, float("nan"), float("inf"), -0.0, 1e308, 2**63, 2**31)
        return random.choice(odd)
    if kind == 7:
        return [value(random, depth + 1) for _ in range(random.randrange(4))]
    return {text(random, 40): value(random, depth + 1) for _ in range(random.randrange(4))}


def document(random: Random, members: dict[str, Any]) -> bytes:
    """The JSON of an object, mostly with something wrong about it."""
    members = dict(members)
    for _ in range(random.choice((0, 1, 1, 2))):
        name = random.choice([*members, text(random, 30)])
        members[name] = value(random)
    written = json.dumps(members, ensure_ascii=random.random() < 0.5).encode("utf-8", "surrogatepass")
    if random.random() < 0.6:
        return written
    return random.choice(_BREAKS)(random, written)


def _long(random: Random, most: int) -> str:
    return ((random.choice(FAMOUS) or "x") * most)[: random.randrange(1, most)]


def _nested(random: Random, _written: bytes) -> bytes:
    begin = random.choice((b"[", b'{"a":', b'{"email":', b'[{"source":'))
    count = random.choice((10, 500, 1000, 5000, 60_000 // len(begin)))
    return begin * count


def _huge_number(random: Random, written: bytes) -> bytes:
    number = random.choice((b"9" * 5000, b"1e999999", b"-" + b"1" * 60_000, b"0." + b"0" * 9000 + b"1", b"1E-99999"))
    return written.replace(b": ", b": " + number + b", " + b'"b": ', 1)


def _doubled(_random: Random, written: bytes) -> bytes:
    return written[:-1] + b", " + written[1:]


_BREAKS = (
    _nested,
    _huge_number,
    _doubled,
    lambda random, written: written[: random.randrange(len(written) + 1)],
    lambda _, written: b"\xef\xbb\xbf" + written,
    lambda _, written: written.decode("utf-8", "replace").encode("utf-16"),
    lambda _, written: written + written,
    lambda _, written: b"[" + written + b"]",
    lambda random, _: random.randbytes(random.choice((0, 1, 100, 3000))),
    lambda random, _: json.dumps(value(random)).encode(),
    lambda _, written: written[:-1] + b"," + b" " * 70_000 + b"}",
    lambda _, written: written.replace(b'"', b"'"),
    lambda _, written: written.replace(b'"', b'"\\ud800', 1),
    lambda random, written: written[: (at := random.randrange(len(written)))] + b"\0\xff" + written[at:],
)
