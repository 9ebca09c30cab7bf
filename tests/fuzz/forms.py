"""Multipart forms (RFC 7578), mostly with something wrong about them."""

from collections.abc import Callable
from random import Random

from tests.fuzz import texts

BOUNDARY = b"fuzz-boundary"
Part = tuple[bytes, bytes]  # its headers, and what is in it


def form(random: Random, media: bytes, names: tuple[str, ...]) -> tuple[bytes, bytes]:
    """A Content-Type and a body: options before and behind a file."""
    parts = [_field(random, names) for _ in range(random.choice((0, 0, 1, 2)))]
    parts.append(_file(random, media))
    parts += [_field(random, names) for _ in range(random.choice((0, 0, 1)))]
    boundary = BOUNDARY
    if random.random() < 0.6:
        parts = random.choice(_MUTATIONS)(random, parts)
    body = b"".join(
        b"--" + boundary + b"\r\n" + headers + b"\r\n\r\n" + content + b"\r\n" for headers, content in parts
    )
    body += b"--" + boundary + b"--\r\n"
    if random.random() < 0.25:
        body = random.choice(_BREAKS)(random, body)
    kind = random.choice(_KINDS) if random.random() < 0.15 else b"multipart/form-data; boundary=%b"
    return kind.replace(b"%b", boundary), body


def _field(random: Random, names: tuple[str, ...]) -> Part:
    name = random.choice(names) if random.random() < 0.8 else texts.text(random, 40)
    words = (b"mp3", b"opus", b"voice", b"3", b"0.1", b"no", b"strip", b"mono", b"8000")
    content = random.choice(words) if random.random() < 0.6 else texts.encoded(random)
    return b'Content-Disposition: form-data; name="' + _bytes(name) + b'"', content


def _file(random: Random, media: bytes) -> Part:
    name = b"a.mp4" if random.random() < 0.6 else texts.encoded(random, 300)
    field = b"file" if random.random() < 0.9 else random.choice((b"cover", b"files", b"", b"File"))
    return b'Content-Disposition: form-data; name="' + field + b'"; filename="' + name + b'"', media


def _many(random: Random, parts: list[Part]) -> list[Part]:
    return parts[:1] * random.choice((20, 300, 3000)) + parts


def _nameless(random: Random, parts: list[Part]) -> list[Part]:
    other = (
        b"Content-Disposition: form-data",
        b"X: y",
        b"",
        b"Content-Disposition: attachment",
        b"Content-Disposition",
    )
    at = random.randrange(len(parts))
    return [*parts[:at], (random.choice(other), parts[at][1]), *parts[at + 1 :]]


def _huge_headers(random: Random, parts: list[Part]) -> list[Part]:
    more = b"\r\nX-Long: " + b"y" * random.choice((1000, 9000, 70_000))
    many = b"".join(b"\r\nX-%d: y" % n for n in range(random.choice((10, 100, 1000))))
    return [(headers + random.choice((more, many)), content) for headers, content in parts]


def _quoted(random: Random, parts: list[Part]) -> list[Part]:
    odd = (
        *(b'; filename="a\\"b\\\\".mp4"', b'; filename="\\"', b"; filename=a b", b"; filename*=UTF-8''%e2%82%ac%ff"),
        *(
            b"; filename*=x'y'z",
            b"; filename*0=a; filename*1=b",
            b'; filename="=?utf-8?b?4oKs?="',
            b";;;=;",
            b'; name="',
        ),
    )
    return [(headers + random.choice(odd), content) for headers, content in parts]


def _encoded(random: Random, parts: list[Part]) -> list[Part]:
    extra = (
        *(b"Content-Transfer-Encoding: base64", b"Content-Type: multipart/mixed; boundary=x", b"Content-Length: 99999"),
        *(b"Content-Type: text/plain; charset=utf-32", b"Content-Encoding: gzip", b" folded", b"\xff\xfe: \0"),
    )
    return [(headers + b"\r\n" + random.choice(extra), content) for headers, content in parts]


_MUTATIONS: tuple[Callable[[Random, list[Part]], list[Part]], ...] = (
    _many,
    _nameless,
    _huge_headers,
    _quoted,
    _encoded,
    lambda random, parts: random.sample(parts, len(parts)),
    lambda _, parts: [*parts, *parts],
    lambda _, parts: parts[:-1],
    lambda random, parts: [
        *parts,
        (b'Content-Disposition: form-data; name="cover"; filename="c"', random.randbytes(999)),
    ],
    lambda random, parts: [(headers, content * random.choice((0, 200, 2000))) for headers, content in parts],
)
_BREAKS: tuple[Callable[[Random, bytes], bytes], ...] = (
    lambda random, body: body[: random.randrange(len(body))],
    lambda _, body: body.replace(b"\r\n", b"\n"),
    lambda _, body: body.replace(b"--fuzz-boundary", b"--fuzz-boundary \t"),
    lambda _, body: body.replace(b"--fuzz-boundary", b"--fuzz-boundar", 1),
    lambda _, body: body[:-4] + b"\r\n" + body,
    lambda random, body: random.randbytes(random.choice((1, 3000, 70_000))) + b"\r\n" + body,
    lambda random, body: body + random.randbytes(random.choice((1, 3000, 70_000))),
    lambda _, body: body[:-2] + b"x",
    lambda _, body: body.replace(b"\r\n\r\n", b"\r\n", 1),
)
_KINDS = (
    *(b"multipart/form-data", b"multipart/form-data; boundary=", b'multipart/form-data; boundary="%b"'),
    *(b"multipart/form-data; boundary=%b; boundary=x", b"multipart/form-data; boundary=" + b"b" * 200),
    *(b"multipart/form-data; boundary=\xff", b"multipart/mixed; boundary=%b", b"application/x-www-form-urlencoded"),
    *(
        b"MULTIPART/FORM-DATA;BOUNDARY=%b",
        b"multipart/form-data; charset=utf-16; boundary=%b",
        b'multipart/form-data; boundary="',
    ),
    b"multipart/form-data; boundary*=utf-8''%b",
)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
