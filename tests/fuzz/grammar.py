"""HTTP requests by a grammar: a valid one of some address, and then up to three things wrong with it.

Which request has a number follows from the seed and the number alone, but for the ids and tokens of the run.
"""

import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from urllib.parse import quote_from_bytes
from uuid import UUID

from events.contract import TYPES
from tests.fuzz import forms, garbage, texts
from tests.fuzz.cast import Actor, Cast
from tests.fuzz.routes import ALL, Route

METHODS = (
    *(b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"TRACE", b"CONNECT", b"PROPFIND", b"get"),
    *(b"FOO", b"X" * 300, b"GET,POST", b"M-SEARCH"),
)
WEIGHTS = [route.weight for route in ALL]


@dataclass(frozen=True)
class Input:
    """What is sent over one connection."""

    number: int
    name: str  # of the address
    door: str
    data: bytes
    whole: bool = True  # a complete request, which must be answered
    hang_up: bool = False  # leave without waiting for an answer
    foreign: bool = False  # asks, with a token that is right, for what another user has
    plain: bool = False  # a valid request; of a foreign thing too

    @property
    def method(self) -> bytes:
        return self.data.partition(b" ")[0]


@dataclass
class Draft:
    """A request that is being made."""

    random: Random
    route: Route
    cast: Cast
    method: bytes
    path: bytes
    query: list[tuple[bytes, bytes]]
    body: bytes = b""
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    version: bytes = b"HTTP/1.1"
    whole: bool = True
    chunked: bool = False


def make(seed: int, number: int, cast: Cast) -> Input:
    """The input of that number."""
    random = Random(f"{seed}/http:{number}")
    if random.random() < 0.04:
        door = random.choice(sorted(cast.doors))
        return Input(number, "garbage", door, garbage.data(random), whole=False, hang_up=random.random() < 0.3)
    [route] = random.choices(ALL, WEIGHTS)
    who = _caller(random, cast)
    whose = random.choice((who, cast.ada, cast.eve, None)) if random.random() < 0.7 else who
    wrong = random.choice((0, 1, 1, 2, 3))
    method = route.method.encode()
    if wrong and random.random() < 0.1:
        method = random.choice(METHODS)
    id_ = _id(random, whose, is_deleted=b"DELETE" in method)
    draft = Draft(random, route, cast, method, _b(route.path.replace("{id}", id_)), [])
    _fill(draft, who, whose, id_)
    for _ in range(wrong):
        random.choice(MUTATIONS)(draft)
    straight = route.inside or random.random() < 0.25
    data = _written(draft, straight)
    data = _sparing(data, cast)
    whole, hang_up = draft.whole, False
    if random.random() < 0.05:
        whole, hang_up, data = False, random.random() < 0.7, data[: random.randrange(1, len(data))]
    door = route.function if straight else "gateway"
    if not straight and route.function in ("register", "login", "validate") and random.random() < 0.3:
        door = "auth"
    names_one = "{id}" in route.path or route.function == "download"
    foreign = whose is not None and who is not None and who is not whose and names_one
    is_odd = b"Idempotency-Key" in dict(draft.headers) or {b"part", b"token"} & dict(draft.query).keys()
    plain = not wrong and whole and not is_odd
    return Input(number, f"{door} {route.name}", door, data, whole, hang_up, foreign, plain)


def _caller(random: Random, cast: Cast) -> Actor | None:
    return random.choice((cast.ada, cast.ada, cast.eve, cast.eve, None))


def _id(random: Random, whose: Actor | None, *, is_deleted: bool) -> str:
    if whose is None:
        nobody = str(UUID(int=random.getrandbits(128), version=4))
        odd = (
            nobody,
            nobody,
            nobody.upper(),
            nobody[:-1],
            "{" + nobody + "}",
            nobody.replace("-", ""),
            "null",
            "-1",
            "%00",
        )
        return random.choice(odd)
    place = random.random()
    if is_deleted and whose.spare:
        return whose.spare[int(place * len(whose.spare))]
    return whose.jobs[int(place * len(whose.jobs))]


def _fill(draft: Draft, who: Actor | None, whose: Actor | None, id_: str) -> None:
    """What the address needs, so that it is a valid request."""
    random, route = draft.random, draft.route
    if route.function == "login":
        draft.headers.append((b"Authorization", _basic(random, draft.cast)))
    elif who:
        draft.headers.append((b"Authorization", b"Bearer " + who.token.encode()))
    elif random.random() < 0.5:
        draft.headers.append((b"Authorization", _credentials(random, draft.cast)))
    if route.function == "download":
        _ask_for_audio(draft, whose, id_)
    elif route.query:
        draft.query = [_parameter(random, route) for _ in range(random.choice((0, 0, 1, 2)))]
    if route.body == "json":
        draft.body = _document(draft, id_)
        draft.headers.append((b"Content-Type", b"application/json"))
    elif route.body == "form":
        _video(draft)
    elif route.body == "event":
        _event(draft, id_)
    if random.random() < 0.15:
        key = _header(random) if random.random() < 0.4 else b"key-%d" % random.randrange(50)
        draft.headers.append((b"Idempotency-Key", key))


def _ask_for_audio(draft: Draft, whose: Actor | None, id_: str) -> None:
    random = draft.random
    draft.query = [(b"fid", id_.encode())]
    if random.random() < 0.3:
        draft.query.append((b"part", random.choice((b"1", b"2", b"0", b"99", b"-1", b"x"))))
    if random.random() < 0.2:
        draft.query.append((b"token", random.choice((whose.link.encode() if whose else b"x", b"a.b.c"))))


def _document(draft: Draft, id_: str) -> bytes:
    random = draft.random
    if draft.route.function == "jobs":
        wish = {
            "format": random.choice(("mp3", "opus", "wav", "x")),
            "start": random.choice((0, "0:01", -1, "1:99", 1e400)),
        }
        return texts.document(random, {"source": id_, **(wish if random.random() < 0.3 else {})})
    if draft.route.function == "account":
        return texts.document(random, {"email": random.choice(("a@example.org", None, texts.text(random)))})
    short = random.random() < 0.3  # a password that is hashed takes long
    return texts.document(
        random,
        {
            "name": texts.text(random),
            "username": texts.text(random) if random.random() < 0.5 else f"user-{random.getrandbits(64)}",
            "password": texts.text(random, 1100) if short else "short",
            "email": random.choice((None, texts.text(random))),
        },
    )


def _video(draft: Draft) -> None:
    random = draft.random
    media = random.choice((*draft.cast.media, b"", random.randbytes(3000), b"RIFF\0\0\0\0WAVE"))
    if random.random() < 0.5:
        kind, draft.body = forms.form(random, media, tuple(draft.route.query))
    else:
        kind, draft.body = random.choice((b"video/mp4", b"application/octet-stream", b"", b"text/plain")), media
        if random.random() < 0.4:
            draft.headers.append((b"Content-Disposition", b'attachment; filename="' + _header(random) + b'"'))
    draft.headers.append((b"Content-Type", kind))


def _event(draft: Draft, id_: str) -> None:
    random = draft.random
    type_ = random.choice(TYPES) if random.random() < 0.9 else texts.text(random, 100)
    data = {
        "job_id": id_,
        "generation": 0,
        "size": 10,
        "container": "mov",
        "fid": id_,
        "duration": 1.5,
        "reason": "no_audio",
    }
    names = {
        TYPES[0]: ("job_id", "generation", "size", "container"),
        TYPES[1]: ("job_id", "generation", "fid", "size", "duration"),
    }.get(type_, ("job_id", "generation", "reason"))
    data = {name: data[name] for name in names}
    attributes = {
        "id": f"fuzz-{random.getrandbits(64)}",
        "source": "urn:fuzz",
        "specversion": "1.0",
        "type": type_,
        "subject": f"jobs/{id_}",
        "time": "2026-11-27T12:00:00Z",
        "dataschema": f"urn:videotomp3:schema:{type_}",
        "datacontenttype": "application/json",
    }
    if random.random() < 0.5:
        attributes[random.choice([*attributes, "traceparent", "correlationid", "x" * 40])] = texts.text(random, 300)
    if random.random() < 0.3:
        del attributes[random.choice([*attributes])]
    if random.random() < 0.5:
        draft.body = texts.document(random, {**attributes, "data": data})
        draft.headers.append((b"Content-Type", b"application/cloudevents+json"))
        return
    draft.body = texts.document(random, data)
    kind = attributes.pop("datacontenttype", "application/json")
    draft.headers.append((b"Content-Type", _line(kind.encode("utf-8", "surrogatepass"))))
    for name, value in attributes.items():
        draft.headers.append((b"ce-" + name.encode(), _line(value.encode("utf-8", "surrogatepass"))))


def _parameter(random: Random, route: Route) -> tuple[bytes, bytes]:
    name = _b(random.choice(route.query)) if random.random() < 0.9 else texts.encoded(random, 50)
    good = (
        b"1",
        b"50",
        b"0.1",
        b"mp3",
        b"no",
        b"voice",
        b"keep",
        b"off",
        b"a.mp4",
        b"1:00",
        b"default",
        b"8000",
        b"mono",
    )
    return name, random.choice(good) if random.random() < 0.6 else texts.encoded(random)


def _credentials(random: Random, cast: Cast) -> bytes:
    """None that is right."""
    token = random.choice(cast.actors).token.encode()
    head, payload, signature = token.split(b".")
    none = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').rstrip(b"=")
    odd = base64.urlsafe_b64encode(texts.document(random, {"sub": "x", "exp": 9e9, "username": "a"})).rstrip(b"=")
    at = random.randrange(1, len(token))
    broken = (
        *(token[:at], none + b"." + payload + b".", head + b"." + odd + b"." + signature, token[::-1], b"", b"a.b.c"),
        *(
            odd + b"." + odd + b"." + odd,
            b"x" * 3000,
            head + b".." + signature,
            token[:-6] + b"AAAAAA",
            b"\xff\xfe\x80",
            b".",
        ),
        *(head + b"." + payload + b"." + signature[:-1], b"e30.e30.", b"e30.W10.e30", b"bnVsbA.bnVsbA.bnVsbA"),
    )
    scheme = random.choice((b"Bearer ", b"Bearer ", b"Bearer ", b"Token ", b"Bearer", b"Bearer  \t", b"Digest "))
    return scheme + random.choice(broken)


def _basic(random: Random, cast: Cast) -> bytes:
    username, password = random.choice(cast.actors).login
    if random.random() < 0.1:
        return b"Basic " + base64.b64encode(f"{username}:{password}".encode())
    pair = texts.encoded(random) + random.choice((b":", b":", b"", b"::", b":\0")) + texts.encoded(random)
    code = base64.b64encode(pair[:2900])
    odd = (
        b"Basic",
        b"Basic ",
        b"Basic =",
        b"Basic Og==",
        b"Basic " + code[:-1],
        b"basic " + code,
        b"Basic " + code + b"====",
    )
    more = (
        b"Basic \xff\xff",
        b"Basic " + pair[:200].translate(None, b"\r\n\0"),
        b"Basic " + code[::-1],
        b"Bearer " + code,
    )
    return b"Basic " + code if random.random() < 0.3 else random.choice((*odd, *more))


def _header(random: Random) -> bytes:
    return _line(texts.encoded(random, 600))


def _line(value: bytes) -> bytes:
    """Without what would end the line; everything else stays."""
    return value.translate(None, b"\r\n\0")


# What can be wrong: each changes the draft.


def _odd_path(draft: Draft) -> None:
    random, path = draft.random, draft.path
    at = random.randrange(len(path) + 1)
    odd = (
        *(
            b"//",
            b"/./",
            b"/../",
            b"%2f",
            b"%2e%2e/",
            b"%00",
            b"%",
            b"%zz",
            b"%c0%af",
            b"%ff",
            b";a=b",
            b"/_/health",
            b"\\",
        ),
        *(
            b"%0d%0aX:%20y",
            b"#x",
            b"\xc3\xa9",
            b"\xff",
            b"%25%32%66",
            b"/" * 200,
            b"a" * 3000,
            b"a" * 9000,
            b"*",
            b"|",
            b"{}",
        ),
    )
    path = path[:at] + random.choice(odd) + path[at:]
    if random.random() < 0.2:
        path = b"".join(b"%%%02x" % byte if random.random() < 0.5 and byte != 0x2F else bytes((byte,)) for byte in path)
    if random.random() < 0.1:
        path = random.choice(
            (b"http://example.org" + path, b"*", b"//evil.example" + path, b"?", path + b"/", b"/" + path)
        )
    draft.path = path


def _odd_query(draft: Draft) -> None:
    random = draft.random
    more = [(texts.encoded(random, 100), texts.encoded(random)) for _ in range(random.choice((1, 2, 100)))]
    doubled = draft.query * random.choice((2, 30)) or [(b"a", b""), (b"a", b"")]
    named = [_parameter(random, draft.route)] if draft.route.query else more
    draft.query = random.choice((draft.query + more, doubled, draft.query + named, more, named))


def _odd_header(draft: Draft) -> None:
    random = draft.random
    names = (
        *(
            b"Range",
            b"If-Range",
            b"If-Match",
            b"If-None-Match",
            b"If-Modified-Since",
            b"If-Unmodified-Since",
            b"Accept",
        ),
        *(
            b"Accept-Encoding",
            b"Accept-Language",
            b"Cookie",
            b"Origin",
            b"Referer",
            b"User-Agent",
            b"Via",
            b"X-Request-Id",
        ),
        *(
            b"traceparent",
            b"tracestate",
            b"Prefer",
            b"ce-id",
            b"ce-type",
            b"ce-subject",
            b"ce-source",
            b"ce-specversion",
        ),
        *(
            b"X-Forwarded-For",
            b"X-Forwarded-Proto",
            b"X-Forwarded-Host",
            b"X-Forwarded-Prefix",
            b"Forwarded",
            b"X-Real-IP",
        ),
        *(b"Content-Encoding", b"Content-Disposition", b"Content-Type", b"Upgrade", b"TE", b"Trailer", b"Max-Forwards"),
        *(b"X-HTTP-Method-Override", b"X-Original-URL", b"X-Accel-Redirect", b"Problem", b"Proxy", b"Idempotency-Key"),
    )
    name = random.choice(names)
    value = _conditional(random, draft) if name.startswith((b"If-", b"Range")) else _header(random)
    draft.headers += [(name, value)] * random.choice((1, 1, 1, 2))


def _conditional(random: Random, draft: Draft) -> bytes:
    tags = b", ".join(b'"%x"' % random.getrandbits(32) for _ in range(random.choice((1, 3, 150))))
    parts = b",".join(b"%d-%d" % (n, n + 1) for n in range(random.choice((1, 2, 300))))
    values = (
        *(
            b"*",
            tags,
            b'W/"x"',
            b'"',
            b'"a" "b"',
            b"bytes=" + parts,
            b"bytes=0-",
            b"bytes=-1",
            b"bytes=-0",
            b"bytes=5-2",
        ),
        *(
            b"bytes=0-0",
            b"bytes=" + b"9" * 300 + b"-",
            b"bytes=a-b",
            b"bits=0-1",
            b"bytes=",
            b"bytes=--1",
            b"bytes=1-2-3",
        ),
        *(
            b"Fri, 27 Nov 2026 12:00:00 GMT",
            b"Thu, 01 Jan 1970 00:00:00 GMT",
            b"Mon, 99 Foo 99999 99:99:99 GMT",
            b"0",
            b"-1",
        ),
        *(
            "bytes=\u0660-\u0661".encode(),
            b"bytes=0-1,",
            b"bytes = 0-1",
            b"Fri, 31 Dec 9999 23:59:59 +2400",
            _header(random),
        ),
    )
    if b"{id}" not in draft.path and random.random() < 0.5:
        draft.headers.append((b"Range", b"bytes=0-10"))
    return random.choice(values)


def _odd_credentials(draft: Draft) -> None:
    random = draft.random
    basic = draft.route.function == "login" or random.random() < 0.2
    made = _basic(random, draft.cast) if basic else _credentials(random, draft.cast)
    kept = draft.headers if random.random() < 0.2 else [each for each in draft.headers if each[0] != b"Authorization"]
    draft.headers = [*kept, (random.choice((b"Authorization", b"authorization")), _line(made))]


def _large_headers(draft: Draft) -> None:
    random = draft.random
    long = [(b"X-Long", b"x" * random.choice((3000, 5000, 9000, 40_000)))]
    many = [(b"X-%d" % n, b"y") for n in range(random.choice((40, 63, 70, 200, 1500)))]
    draft.headers += random.choice((long, many))


def _malformed_headers(draft: Draft) -> None:
    odd = (
        *(
            (b"X Y", b"z"),
            (b"", b"z"),
            (b"X\0", b"z"),
            (b"X", b"a\0b"),
            (b"X", b"a\r\n b"),
            (b"X", b"\x01\x7f"),
            (b"X_Y", b"z"),
        ),
        *(
            (b"Host", b"b"),
            (b"Host", b"a b"),
            (b"Host", b""),
            (b"\xff", b"z"),
            (b"X", b"\xff" * 50),
            (b"X\xa0", b"y"),
            (b"X", b"a\rb"),
        ),
    )
    draft.headers.insert(draft.random.randrange(len(draft.headers) + 1), draft.random.choice(odd))
    draft.whole = False


def _framing(draft: Draft) -> None:
    """Where a body ends, said twice, or wrongly: whether that is answered or hung up on is all the same."""
    size = len(draft.body)
    conflicts: tuple[list[tuple[bytes, bytes]], ...] = (
        [(b"Content-Length", b"%d" % (size + 1))],
        [(b"Content-Length", b"%d" % max(0, size - 1))],
        [(b"Content-Length", b"0"), (b"Transfer-Encoding", b"chunked")],
        [(b"Transfer-Encoding", b"chunked"), (b"Transfer-Encoding", b"identity")],
        [(b"Transfer-Encoding", b"gzip, chunked")],
        [(b"Transfer-Encoding", b"xchunked")],
        [(b"Transfer-Encoding", b" chunked\t")],
        [(b"Content-Length", b"-1")],
        [(b"Content-Length", b"+%d" % size)],
        [(b"Content-Length", b"0x10")],
        [(b"Content-Length", b"9" * 40)],
        [(b"Content-Length", b"%d, %d" % (size, size))],
        [(b"Content-Length", b"1e3")],
        [(b"Content-Length", "\u0661".encode())],
        [(b"Content-Length", b"%d" % size), (b"Content-Length", b"%d" % (size + 5))],
        [(b"Transfer-Encoding", b"chunked")],
    )
    draft.headers += draft.random.choice(conflicts)
    draft.whole = False


def _chunked(draft: Draft) -> None:
    draft.chunked = True


def _expect(draft: Draft) -> None:
    draft.headers.append(
        (b"Expect", draft.random.choice((b"100-continue", b"100-continue", b"200-ok", b"", b"x" * 100)))
    )


def _odd_body(draft: Draft) -> None:
    random = draft.random
    size = random.choice((0, 1, 65_536, 65_537, 200_000))
    draft.body = random.choice(
        (random.randbytes(size), b"\0" * size, draft.body * 3, draft.body[:-1], b" " * size + draft.body)
    )


def _version(draft: Draft) -> None:
    draft.version = draft.random.choice(
        (b"HTTP/1.0", b"HTTP/1.0", b"HTTP/1.2", b"HTTP/2.0", b"HTTP/9.9", b"http/1.1", b"HTTP/1", b"")
    )
    draft.whole = draft.whole and draft.version == b"HTTP/1.0"


MUTATIONS: tuple[Callable[[Draft], None], ...] = (
    *(_odd_path, _odd_path, _odd_query, _odd_query, _odd_header, _odd_header, _odd_header, _odd_credentials),
    *(_odd_credentials, _large_headers, _malformed_headers, _framing, _chunked, _expect, _odd_body, _version),
)


def _written(draft: Draft, straight: bool) -> bytes:
    path, names = draft.path, {name.lower() for name, _ in draft.headers}
    if straight and (prefix := draft.cast.paths.get(draft.route.function)) and prefix != "/":
        path = path.removeprefix(prefix.encode()) or b"/"
    if draft.query:
        safe = "" if draft.random.random() < 0.8 else '=&;%+?/"<>[]\\^`{|}'
        path += b"?" + b"&".join(
            _b(quote_from_bytes(name, safe)) + b"=" + _b(quote_from_bytes(value, safe)) for name, value in draft.query
        )
    headers, body = [(b"Host", b"fuzz.example"), *draft.headers], draft.body
    framed = b"content-length" in names or b"transfer-encoding" in names
    if not framed and draft.chunked:
        headers.append((b"Transfer-Encoding", b"chunked"))
        body = _in_chunks(draft.random, body)
    elif not framed and (body or draft.method in (b"POST", b"PUT", b"PATCH")):
        headers.append((b"Content-Length", b"%d" % len(body)))
    head = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
    return draft.method + b" " + path + b" " + draft.version + b"\r\n" + head + b"\r\n" + body


def _in_chunks(random: Random, body: bytes) -> bytes:
    size = random.choice((7, 100, 5000)) if len(body) < 20_000 else 5000
    extension = random.choice((b"", b"", b";a=b", b';a="b"'))
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    end = b"0\r\n" + random.choice((b"", b"", b"X-Trailer: y\r\n")) + b"\r\n"
    return b"".join(b"%x" % len(piece) + extension + b"\r\n" + piece + b"\r\n" for piece in pieces) + end


def _sparing(data: bytes, cast: Cast) -> bytes:
    """Nobody deletes what must stay: such a request is about one of those that may go."""
    if b"DELETE" not in data:
        return data
    for actor in cast.actors:
        for id_ in actor.jobs:
            if actor.spare:
                data = data.replace(id_.encode(), actor.spare[0].encode())
    return data


def _b(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
