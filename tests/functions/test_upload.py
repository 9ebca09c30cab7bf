"""Upload: a video is stored whole or not at all, and its job is made once."""

import hashlib
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import Any
from uuid import UUID, uuid4

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from functions.model.jobs import State
from functions.model.options import NAMES as OPTIONS
from functions.model.options import Options
from functions.model.tokens import Tokens
from functions.stores.gridfs import Bucket
from functions.stores.jobs import Jobs
from serving.environment import SettingsError
from tests.events import harness
from tests.functions.conftest import SECRETS
from tests.functions.harness import VIDEO, Person, files, problem

Function = Callable[..., FlaskClient]
Sql = Callable[..., list[tuple[Any, ...]]]
LIMIT = 100_000
pytestmark = pytest.mark.usefixtures("videos")  # emptied afterwards
ALMOST = VIDEO.ljust(LIMIT, b"\0")


@pytest.fixture
def upload(function: Function, ada: Person) -> Callable[..., TestResponse]:
    """Posts what it is given; MAX_UPLOAD_BYTES is LIMIT."""

    def post(**request: Any) -> TestResponse:
        request["headers"] = {**ada.headers, **request.get("headers", {})}
        return function("upload", MAX_UPLOAD_BYTES=str(LIMIT)).post("/", **request)

    return post


def form(content: bytes, name: str = "video.mp4", **more: Any) -> dict[str, Any]:
    return {"data": {**more, "file": (BytesIO(content), name)}, "content_type": "multipart/form-data"}


BOUNDARY = "xYz"


def written(*parts: bytes, end: bytes = b"--xYz--\r\n") -> dict[str, Any]:
    """A form byte by byte: each part is its disposition's parameters, an empty line and what it holds."""
    body = b"".join(b"--xYz\r\nContent-Disposition: form-data; " + part + b"\r\n" for part in parts) + end
    return {"data": body, "content_type": f"multipart/form-data; boundary={BOUNDARY}"}


def part(parameters: bytes, content: bytes = VIDEO) -> bytes:
    return parameters + b"\r\n\r\n" + content


FILE = part(b'name="file"; filename="a.mp4"')
UNCHOSEN = part(b'name="file"; filename=""\r\nContent-Type: application/octet-stream', b"")
WAYS = {
    "raw": {"data": VIDEO},
    "form": form(VIDEO),
    "form with words around it": written(FILE, end=b"--xYz-- \r\nThat was all.\r\n")
    | {"content_type": 'Multipart/Form-Data; charset=utf-8; boundary="xYz"'},
    "form with inputs nobody used": written(UNCHOSEN, FILE, UNCHOSEN),
    "form whose part says more": written(
        part(b'filename="a.mp4"; name=file\r\nContent-Type: video/mp4\r\nContent-Length: 9\r\nX: ' + b"x" * 9000)
    ),
    "form without a name for its file": written(part(b'name="file"; filename=""')),
    "form whose file is called what another field is": written(part(b'name="file"; filename="x; name=y"')),
}


@pytest.mark.parametrize("request_", WAYS.values(), ids=WAYS)
def test_a_video_becomes_a_job_and_an_event(
    request_: dict[str, Any], upload: Callable[..., TestResponse], jobs: Jobs, ada: Person, videos: Bucket,
    sink: harness.Function,
) -> None:  # fmt: skip
    """It may be the raw body or the field `file` of a form, in whatever way a client writes one."""
    answer = upload(**request_)
    assert answer.status_code == 202
    job = jobs.find_own(UUID(answer.json["id"]), ada.id)
    assert job
    assert job.video
    assert answer.json == job.public()
    assert answer.headers["Location"] == f"/jobs/{job.id}"
    assert b"".join(videos.read(job.video)) == VIDEO
    assert (job.state, job.container, job.video_size) == (State.QUEUED, "mov", len(VIDEO))
    assert job.video_sha256 == hashlib.sha256(VIDEO).hexdigest()
    [event] = [asked.event for asked in sink.asked]
    assert (event.job, event.source, event.data["size"]) == (job.id, "/functions/upload", len(VIDEO))


NAMES = {
    "of the form": (form(VIDEO, "Mein Fïlm 日本.mp4"), "Mein Fïlm 日本.mp4"),
    "with folders": (form(VIDEO, "/videos/../video.mp4"), "video.mp4"),
    "in the address": ({"data": VIDEO, "query_string": {"filename": "größe.mp4"}}, "größe.mp4"),
    "in the header": (
        {"data": VIDEO, "headers": {"Content-Disposition": "attachment; filename*=UTF-8''gr%C3%B6%C3%9Fe.mp4"}},
        "größe.mp4",
    ),
    "with a line in it": ({"data": VIDEO, "query_string": {"filename": "a\r\nBcc: b\0.mp4"}}, "aBcc: b.mp4"),
    "without one": ({"data": VIDEO}, "video"),
    "empty": (form(VIDEO, ""), "video"),
    "of dots": ({"data": VIDEO, "query_string": {"filename": "a/..."}}, "..."),
    "with folders of Windows": (written(part(rb'name="file"; filename="C:\x\y.mp4"')), "y.mp4"),
    "that ends in a backslash": (written(part(rb'name="file"; filename="C:\x\"')), "video"),
    "with backslashes before quotes": (written(part(rb'name="file"; filename="a \"b\" c.mp4"')), 'a "b" c.mp4'),
    "with quotes as browsers write them": (written(part(b'name="file"; filename="a %22b%22%0D%0A.mp4"')), 'a "b".mp4'),
    "with quotes as nobody should": (written(part(b'name="file"; filename="a "b" c.mp4"')), 'a "b" c.mp4'),
    "with semicolons": (written(part(b'name="file"; filename="a; filename=b; c.mp4"')), "a; filename=b; c.mp4"),
    "without quotes": (written(part("filename=Mein Größter.mp4; name=file".encode())), "Mein Größter.mp4"),
    "without an end": (written(part(b'name="file"; filename="a.mp4')), "a.mp4"),
    "in Latin-1": (written(part('name="file"; filename="Größe.mp4"'.encode("latin-1"))), "Größe.mp4"),
    "in Windows' letters": (written(part('name="file"; filename="„5 €“.mp4"'.encode("cp1252"))), "„5 €“.mp4"),
    "in no letters at all": (written(part(b'name="file"; filename="a\x81.mp4"')), "a\ufffd.mp4"),
    "with half a surrogate pair": (written(part(b'name="file"; filename="a\xed\xa0\x80.mp4"')), "aí\xa0€.mp4"),
    "with NUL and other controls": (written(part(b'name="file"; filename="a\0\x07\x1b\x7f.mp4"')), "a.mp4"),
    "that reads backwards": (form(VIDEO, "gpj\u202e4pm.mp4"), "gpj4pm.mp4"),
    "of 300 letters": (form(VIDEO, "ß" * 300 + ".mp4"), "ß" * 98 + ".mp4"),
    "extended": (written(part(b"name=file; filename*=UTF-8''gr%C3%B6%C3%9Fe.mp4")), "größe.mp4"),
    "extended, before a plain one": (
        written(part(b"name=file; filename*=UTF-8''gr%C3%B6%C3%9Fe.mp4; filename=\"gr__e.mp4\"")), "größe.mp4",
    ),
    "extended in Latin-1": (written(part(b"name=file; filename*=ISO-8859-1'de'gr%F6%DFe.mp4")), "größe.mp4"),
    "extended, of broken letters": (written(part(b"name=file; filename*=UTF-8''gr%F6%DFe%ZZ.mp4")), "größe%ZZ.mp4"),
    "extended, of nothing": (written(part(b"name=file; filename=\"a.mp4\"; filename*=UTF-8''")), "a.mp4"),
    "extended, of nothing in quotes": (written(part(b'name=file; filename*=""; filename="a.mp4"')), "a.mp4"),
    "extended, of letters of its own": (
        written(part(b"name=file; filename=\"a.mp4\"; filename*=Shift_JIS''%95%5C%8E%A6.mp4")), "a.mp4",
    ),
    "extended, of letters of its own alone": (written(part(b"name=file; filename*=UTF-16''%FE%FF%00a.mp4")), "þÿa.mp4"),
    "extended without saying its letters": (written(part(b"name=file; filename*=gr%C3%B6%C3%9Fe.mp4")), "größe.mp4"),
    "in numbered pieces": (written(part(b"name=file; filename*0=gro; filename*1=ss.mp4")), "gross.mp4"),
    "in the header, in UTF-8": (
        {"data": VIDEO, "headers": {"Content-Disposition": 'inline; filename="größe.mp4"'.encode().decode("latin-1")}},
        "größe.mp4",
    ),
    "in the header, in Latin-1": (
        {"data": VIDEO, "headers": {"Content-Disposition": 'inline; filename="C:\\x\\größe.mp4"'}}, "größe.mp4",
    ),
    "in the header of a form": (
        form(VIDEO, "b.mp4") | {"headers": {"Content-Disposition": 'attachment; filename="a.mp4"'}}, "b.mp4",
    ),
    "in the address, in Latin-1": ({"data": VIDEO, "query_string": "filename=gr%F6%DFe.mp4"}, "größe.mp4"),
    "in the address, broken off": ({"data": VIDEO, "query_string": "filename=100%25%ZZ%"}, "100%%ZZ%"),
    "in the address, for a form": (form(VIDEO, "b.mp4") | {"query_string": {"filename": "a.mp4"}}, "a.mp4"),
    "in the address, empty": (
        {"data": VIDEO, "query_string": "filename=", "headers": {"Content-Disposition": "attachment; filename=a.mp4"}},
        "a.mp4",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("request_", "name"), NAMES.values(), ids=NAMES)
def test_a_video_keeps_its_name(request_: dict[str, Any], name: str, upload: Callable[..., TestResponse]) -> None:
    """What could do harm is taken out of it; no name makes an upload fail."""
    answer = upload(**request_)
    assert (answer.status_code, answer.json["source"]["filename"]) == (202, name)


REFUSED: dict[str, tuple[dict[str, Any], int, str]] = {
    "no media": ({"data": b"#!/bin/sh\n" * 100}, 415, "unsupported-media"),
    "no media in a form": (form(b"<html>" * 1000), 415, "unsupported-media"),
    "empty": ({"data": b""}, 422, "unprocessable"),
    "empty in a form": (form(b""), 422, "unprocessable"),
    "declared too large": ({"data": VIDEO.ljust(LIMIT + 100_000)}, 413, "too-large"),
    "too large by one byte": ({"data": ALMOST + b"\0"}, 413, "too-large"),
    "too large by one byte in a form": (form(ALMOST + b"\0"), 413, "too-large"),
    "a form without the field": ({"data": {"video": (BytesIO(VIDEO), "a.mp4")}}, 400, "bad-request"),
    "a form whose field is no file": (
        {"data": {"file": "text"}, "content_type": "multipart/form-data"}, 400, "bad-request",
    ),
    "a form without a boundary": ({"data": VIDEO, "content_type": "multipart/form-data"}, 400, "bad-request"),
    "a form of another boundary": (
        {"data": VIDEO * 600, "content_type": "multipart/form-data; boundary=x"}, 413, "too-large",
    ),
    "a form that is none": ({"data": VIDEO, "content_type": "multipart/form-data; boundary=x"}, 400, "bad-request"),
    "a form that ends before its file": (
        {"data": b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n' + VIDEO,
         "content_type": "multipart/form-data; boundary=x"}, 400, "bad-request",
    ),
    "a form that hides its file behind megabytes": (form(VIDEO, note="x" * 70_000), 400, "bad-request"),
    "a form that says nothing of a part": (
        {"data": b"--x\r\nContent-Type: video/mp4\r\n\r\n" + VIDEO + b"\r\n--x--\r\n",
         "content_type": "multipart/form-data; boundary=x"}, 400, "bad-request",
    ),
    "a form whose last boundary is missing": (written(FILE, end=b""), 400, "bad-request"),
    "a form that breaks off in its last boundary": (written(FILE, end=b"--xYz"), 400, "bad-request"),
    "a form that announces a part more": (written(FILE, end=b"--xYz\r\n"), 400, "bad-request"),
    "a form that breaks off in a second part": (written(FILE, part(b"name=x", b"y"), end=b""), 400, "bad-request"),
    "a form of which nobody chose a file": (written(UNCHOSEN, UNCHOSEN), 422, "unprocessable"),
    "a form of nothing": (written(), 400, "bad-request"),
    "a form with a head without an end": (written(part(b'name="file"; x="' + b"x" * LIMIT * 60)), 413, "too-large"),
    "a query that asks twice": ({"data": VIDEO, "query_string": "filename=a&filename=b"}, 400, "bad-request"),
    "an option beyond its bounds": ({"data": VIDEO, "query_string": "vbr=10"}, 422, "unprocessable"),
    "an option that is no number": ({"data": VIDEO, "query_string": "vbr=best"}, 422, "unprocessable"),
    "an option that is asked for twice": ({"data": VIDEO, "query_string": "vbr=1&vbr=1"}, 400, "bad-request"),
    "an empty idempotency key": ({"data": VIDEO, "headers": {"Idempotency-Key": ""}}, 400, "bad-request"),
    "a long idempotency key": ({"data": VIDEO, "headers": {"Idempotency-Key": "k" * 256}}, 400, "bad-request"),
}  # fmt: skip


@pytest.mark.parametrize(("request_", "status", "slug"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused_leaves_nothing(
    request_: dict[str, Any], status: int, slug: str, upload: Callable[..., TestResponse], videos: Bucket,
    sink: harness.Function, sql: Sql,
) -> None:  # fmt: skip
    """Neither a file, nor a chunk, nor a job, nor an event."""
    problem(upload(**request_), status, slug)
    assert (files(videos), sql("SELECT * FROM jobs"), sink.asked) == ((0, 0), [], [])


SECOND = part(b'name="file"; filename="b.mp4"')
ELSEWHERE = part(b'name="video"; filename="b.mp4"')
TITLE = part(b'name="title"', b"My video")
NOTE = part(b'name="note"', b"My video")
JPEG = b"\xff\xd8\xff" + bytes(range(200))
COVER = part(b'name="cover"; filename="c.jpg"', JPEG)
BITRATE = part(b'name="bitrate"', b"100")  # MP3 has none of that
# What the form holds, the answer's status and field, and what its words must name.
LEFT_OVER: dict[str, tuple[list[bytes], int, str, tuple[str, ...]]] = {
    "a second file": ([FILE, SECOND], 422, "file", ("`b.mp4`", "`file`")),
    "a second file without a byte": ([FILE, part(b'name="file"; filename="b.mp4"', b"")], 422, "file", ("`b.mp4`",)),
    "a second file without a name": ([FILE, part(b'name="file"; filename=""')], 422, "file", ("`file`",)),
    "a file in another field": ([FILE, ELSEWHERE], 422, "video", ("`b.mp4`", "`video`")),
    "a file in another field before it": ([ELSEWHERE, FILE], 422, "video", ("`b.mp4`", "`video`")),
    "a file in another field alone": ([ELSEWHERE], 400, "file", ("the form has no field `file`; it has `video`",)),
    "a large file in another field alone": (
        [part(b'name="files[]"; filename="b.mp4"', ALMOST)], 400, "file",
        ("the form has no field `file`; it has `files[]`, as far as it was read",),
    ),
    "several others": ([ELSEWHERE, NOTE], 400, "file", ("it has `video`, `note`",)),
    "text behind it": ([FILE, NOTE], 400, "note", ("no form field `note`", "`file`")),
    "text before it": ([NOTE, FILE], 400, "note", ("no form field `note`",)),
    "text of a name like ours": ([FILE, part(b"name=Fille", b"x")], 400, "Fille", ("did you mean `file`?",)),
    "text in its own field": ([FILE, part(b'name="file"', b"x")], 422, "file", ("`file` twice",)),
    "text instead of it": ([part(b'name="file"', b"x")], 400, "file", ("`file` is text",)),
    "a part without a name": ([FILE, part(b"x=y", b"x")], 400, "file", ("a part without a name",)),
    "a file without a field": ([part(b'filename="b.mp4"')], 400, "file", ("it has a part without a name",)),
    "17 files": ([FILE, *[part(b'name="file"; filename="b.mp4"', b"x")] * 16], 422, "file", ("`b.mp4`",)),
    "65 unused inputs": ([FILE, *[UNCHOSEN] * 64], 400, "file", ("more than 64 parts",)),
    "65 texts": ([*[NOTE] * 65, FILE], 400, "file", ("more than 64 parts",)),
    "an option twice": ([TITLE, FILE, TITLE], 400, "title", ("`title` twice",)),
    "a cover twice": ([COVER, FILE, COVER], 400, "cover", ("`cover` twice",)),
    "a cover that is none": ([FILE, part(b'name="cover"; filename="c"', b"<html>")], 422, "cover", ("JPEG or PNG",)),
    "a cover under another name": ([FILE, part(b'name="covr"; filename="c.jpg"', JPEG)], 422, "covr", ("as `cover`",)),
    "a cover of nothing": ([FILE, part(b'name="cover"; filename="c.jpg"', b"")], 422, "cover", ("JPEG or PNG",)),
    "an option that is a file": ([FILE, part(b'name="title"; filename="b.txt"', b"x")], 422, "title", ("`b.txt`",)),
    "a cover and a time": ([COVER, part(b'name="cover"', b"1:00"), FILE], 422, "cover", ("a picture and an option",)),
    "an option behind it that is none": ([FILE, part(b'name="vbr"', b"12")], 422, "vbr", ("from 0 to 9",)),
    "options that exclude each other": (
        [part(b'name="bitrate"', b"128"), FILE, part(b'name="quality"', b"max")], 422, "quality", ("`bitrate`",),
    ),
    "an option that the default excludes": ([BITRATE, FILE], 422, "bitrate", ("`format`", "96 and 112")),
    "an option that another behind the video excludes": (
        [BITRATE, FILE, part(b'name="format"', b"wav")], 422, "bitrate", ("`format`", "lossless"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("padding", [0, 60_000], ids=["small", "stored"])
@pytest.mark.parametrize(("parts", "status", "field", "words"), LEFT_OVER.values(), ids=LEFT_OVER)
def test_a_form_from_which_something_would_be_lost_is_refused(
    parts: list[bytes], status: int, field: str, words: tuple[str, ...], padding: int,
    upload: Callable[..., TestResponse], videos: Bucket, sink: harness.Function, sql: Sql,
) -> None:  # fmt: skip
    """The problem names it. No job is made, and the bytes that were stored by then are removed."""
    answer = upload(**written(*(each + bytes(padding if each is FILE else 0) for each in parts)))
    document = problem(answer, status, "unprocessable" if status == 422 else "bad-request", field=field)
    assert [word for word in words if word not in document["detail"]] == []
    assert (files(videos), sql("SELECT * FROM jobs"), sink.asked) == ((0, 0), [], [])


def test_a_query_is_not_half_heard(upload: Callable[..., TestResponse]) -> None:
    """A parameter that is not known is named, and the one that was probably meant."""
    for meant, written_ in (("filename", "filname"), ("vbr", "vrb")):
        document = problem(upload(data=VIDEO, query_string={written_: "4"}), 400, "bad-request", field=written_)
        assert document["detail"] == f"there is no query parameter `{written_}`; did you mean `{meant}`?"


@pytest.mark.parametrize("request_", [{"data": VIDEO}, form(VIDEO)], ids=["raw", "form"])
def test_what_is_asked_of_the_conversion_stands_on_the_job(
    request_: dict[str, Any], upload: Callable[..., TestResponse], jobs: Jobs, ada: Person
) -> None:
    """Resolved: every option with its value, whether it was asked for or not."""
    answer = upload(**request_, query_string={"vbr": "4"})
    job = jobs.find_own(UUID(answer.json["id"]), ada.id)
    assert job
    assert job.options == Options(quality=None, vbr=4)
    assert answer.json["options"] == Options(quality=None, vbr=4).as_json()


@pytest.mark.parametrize("order", ["before", "behind", "around"])
def test_a_form_may_have_options_before_and_behind_the_video(
    order: str, upload: Callable[..., TestResponse], jobs: Jobs
) -> None:
    """A browser sends its fields in the order of the page; an empty input for a cover is no cover."""
    unused = part(b'name="cover"; filename=""\r\nContent-Type: application/octet-stream', b"")
    fields = [part(b'name="quality"', b"voice"), TITLE, unused]
    at = {"before": 3, "behind": 0, "around": 1}[order]
    answer = upload(**written(*fields[:at], FILE, *fields[at:]), query_string={"start": "1:30"})
    assert answer.status_code == 202
    options = answer.json["options"]
    assert (options["quality"], options["bitrate"], options["title"], options["start"]) == ("voice", 64, "My video", 90)
    assert options["cover"] == "keep"
    job = jobs.find(UUID(answer.json["id"]))
    assert job
    assert job.options.as_json() == options


def test_an_option_may_be_good_only_with_one_behind_the_video(upload: Callable[..., TestResponse]) -> None:
    """No order of the fields is better than another, nor is the query."""
    opus = part(b'name="format"', b"opus")
    for parts in ([BITRATE, FILE, opus], [opus, FILE, BITRATE], [FILE, BITRATE, opus], [BITRATE, opus, FILE]):
        assert upload(**written(*parts)).json["options"]["bitrate"] == 100
    answer = upload(**written(FILE, opus), query_string={"bitrate": "100"})
    assert answer.json["options"]["bitrate"] == 100


def test_every_option_fits_a_form_and_comes_back_from_its_row(
    upload: Callable[..., TestResponse], jobs: Jobs, ada: Person
) -> None:
    """With the longest texts, in letters of four bytes; so a form made of the whole schema can be sent."""
    texts = dict.fromkeys(("title", "artist", "album", "genre"), "🎬" * 500) | {"comment": "🎬" * 5000}
    asked = texts | {
        "format": "m4a", "quality": "small", "channels": "stereo", "sample_rate": "44100", "track": "pt-BR",
        "start": "1", "end": "1:00:00", "split": "chapters", "loudness": "podcast", "year": "1999",
        "tags": "strip", "chapters": "strip", "cover": "12.5", "copy": "never",
    }  # fmt: skip
    assert {*asked, "bitrate", "vbr"} == {*OPTIONS}
    answer = upload(**written(*(part(f'name="{name}"'.encode(), text.encode()) for name, text in asked.items()), FILE))
    assert (answer.status_code, answer.json["options"]) == (202, Options().asked(asked).as_json())
    job = jobs.find_own(UUID(answer.json["id"]), ada.id)
    assert job
    assert job.options == Options().asked(asked)


@pytest.mark.parametrize("parts", [[COVER, FILE], [FILE, COVER]], ids=["before", "behind"])
def test_a_cover_may_come_with_the_video(parts: list[bytes], upload: Callable[..., TestResponse], jobs: Jobs) -> None:
    """It is stored with the job, so that neither is there without the other."""
    answer = upload(**written(*parts))
    assert answer.json["options"]["cover"] == "upload"
    assert jobs.cover(UUID(answer.json["id"])) == JPEG


def test_a_cover_that_is_too_large_is_refused(upload: Callable[..., TestResponse], videos: Bucket) -> None:
    """Five megabytes are kept in memory at most."""
    large = part(b'name="cover"; filename="c.jpg"', b"\xff\xd8\xff" + bytes(5_000_000))
    problem(upload(**written(FILE, large)), 413, "too-large", field="cover")
    assert files(videos) == (0, 0)


def test_texts_that_are_too_long_for_a_form_are_refused(upload: Callable[..., TestResponse], videos: Bucket) -> None:
    long = part(b'name="comment"', b"x" * 70_000)
    problem(upload(**written(FILE, long)), 413, "too-large", field="comment")
    problem(upload(**written(long, FILE)), 413, "too-large", field="comment")
    assert files(videos) == (0, 0)


def test_an_option_is_asked_for_in_one_place(upload: Callable[..., TestResponse]) -> None:
    """In the query or in the form: whichever were taken, the other would be dropped."""
    answer = upload(**written(TITLE, FILE), query_string={"title": "Another"})
    problem(answer, 400, "bad-request", field="title")


def test_a_repeat_says_that_it_is_one(upload: Callable[..., TestResponse], videos: Bucket) -> None:
    """In a header; another cover is another request."""
    first, second = (upload(**written(FILE, COVER), headers=KEY) for _ in range(2))
    assert "Idempotent-Replayed" not in first.headers
    assert second.headers["Idempotent-Replayed"] == "true"
    assert second.json["id"] == first.json["id"]
    other = part(b'name="cover"; filename="c.jpg"', JPEG[:-1])
    problem(upload(**written(FILE, other), headers=KEY), 422, "unprocessable", field="Idempotency-Key")
    assert files(videos)[0] == 1


def test_an_operator_chooses_what_is_not_asked_for(function: Function, ada: Person) -> None:
    """Once, when the video comes: a change of the setting changes no job that waits."""
    client = function("upload", MP3_QUALITY="6")
    assert client.post("/", data=VIDEO, headers=ada.headers).json["options"]["vbr"] == 6
    assert client.post("/?vbr=1", data=VIDEO, headers=ada.headers).json["options"]["vbr"] == 1


def test_an_operator_who_chooses_what_no_option_takes_is_told_at_the_start(loaded: Callable[..., Flask]) -> None:
    """And not by jobs that fail."""
    with pytest.raises(SettingsError, match="MP3_QUALITY must be a whole number from 0 to 9, not '12'"):
        loaded("upload", MP3_QUALITY="12")


def test_a_video_of_just_the_limit_is_taken(upload: Callable[..., TestResponse]) -> None:
    """The bytes of the form around it do not count."""
    assert upload(data=ALMOST).status_code == upload(**form(ALMOST)).status_code == 202


borders = st.sampled_from([b"\r\n", b"\n--", b"--xY", b"-", b"\r", b"\n" * 300, b"\r\n--xY"])
tricky = st.lists(borders).map(b"".join)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], database=None, deadline=None, max_examples=25)
@given(tricky, st.integers(0, 600_000))
@example(b"\r\n", 256 * 1024 - len(VIDEO))
@example(b"\n", 300_000)
def test_every_byte_of_a_form_s_file_arrives(function: Function, ada: Person, content: bytes, padding: int) -> None:
    """Also line ends and halves of boundaries, wherever one piece of the body ends and the next begins."""
    content = VIDEO + content + bytes(padding) + content
    body = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="a.mp4"\r\n\r\n'.encode()
    body += content + f"\r\n--{BOUNDARY}--\r\n".encode()
    headers = {**ada.headers, "Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    answer = function("upload").post("/", data=body, headers=headers)
    assert (answer.status_code, answer.json["source"]["size_bytes"]) == (202, len(content))


def test_the_token_is_checked_before_a_byte_is_read(function: Function) -> None:
    """Otherwise anybody could keep us busy with reading."""

    class Untouchable(BytesIO):
        def read(self, *_: Any) -> bytes:
            raise AssertionError("it was read")

        readinto = read  # type: ignore[assignment] # it raises, whatever it is given

    client = function("upload")
    with client.post("/", input_stream=Untouchable(), content_length=10**9, buffered=False) as answer:
        assert answer.status_code == 401
        answer.response = []  # the rest of the request is read after the answer has left


def test_a_token_that_outlived_its_user_uploads_nothing(function: Function, videos: Bucket) -> None:
    """The account may have been removed since the token was issued."""
    token = Tokens(SECRETS["JWT_SECRET"], 60).issue(uuid4(), "nobody")
    answer = function("upload").post("/", data=VIDEO, headers={"Authorization": f"Bearer {token}"})
    problem(answer, 401, "unauthorized")
    assert files(videos) == (0, 0)


KEY = {"Idempotency-Key": "k"}


def test_a_repeated_upload_is_the_same_job(upload: Callable[..., TestResponse], videos: Bucket, sql: Sql) -> None:
    """A client that got no answer sends all of it again. The second video is not kept."""
    first, second = upload(data=VIDEO, headers=KEY), upload(data=VIDEO, headers=KEY)
    assert first.status_code == second.status_code == 202
    assert first.json["id"] == second.json["id"]
    assert (files(videos)[0], len(sql("SELECT * FROM jobs"))) == (1, 1)


def test_two_at_once_are_one_job(upload: Callable[..., TestResponse], videos: Bucket) -> None:
    """Whichever of them is first."""
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: upload(data=VIDEO, headers=KEY), range(4)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json["id"] for answer in answers}) == 1
    assert files(videos)[0] == 1


def test_a_key_is_for_one_video_of_one_person(
    upload: Callable[..., TestResponse], function: Function, eve: Person, videos: Bucket
) -> None:
    """Another video under the same key is a mistake. The same key of another person is another key."""
    upload(data=VIDEO, headers=KEY)
    problem(upload(data=VIDEO + b"x", headers=KEY), 422, "unprocessable", field="Idempotency-Key")
    assert function("upload").post("/", data=VIDEO, headers=KEY | eve.headers).status_code == 202
    assert files(videos)[0] == 2


def test_a_key_is_for_one_set_of_options(upload: Callable[..., TestResponse], videos: Bucket) -> None:
    """Whoever asks for something else would take the first answer for what was asked; a default may be spelt out."""
    first = upload(data=VIDEO, headers=KEY)
    document = problem(
        upload(data=VIDEO, headers=KEY, query_string="vbr=9"), 422, "unprocessable", field="Idempotency-Key"
    )
    assert "other options" in document["detail"]
    assert upload(data=VIDEO, headers=KEY, query_string="vbr=2").json["id"] == first.json["id"]
    assert files(videos)[0] == 1


def test_a_key_of_an_earlier_release_is_still_known(upload: Callable[..., TestResponse], sql: Sql) -> None:
    """Its rows hold a vbr and nothing else, whether one was asked for or not."""
    first = upload(data=VIDEO, headers=KEY)
    sql("UPDATE jobs SET options = '{\"vbr\": 2}'")
    for query in ("", "vbr=2"):
        assert upload(data=VIDEO, headers=KEY, query_string=query).json["id"] == first.json["id"]
    for query in ("vbr=3", "format=m4a", "title=x"):
        answer = upload(data=VIDEO, headers=KEY, query_string=query)
        problem(answer, 422, "unprocessable", field="Idempotency-Key")


def test_a_key_is_free_again_when_its_job_is_deleted(
    upload: Callable[..., TestResponse], jobs: Jobs, ada: Person
) -> None:
    """There is nothing left to answer with."""
    first = UUID(upload(data=VIDEO, headers=KEY).json["id"])
    jobs.cancel(first, ada.id)
    jobs.delete(first, ada.id)
    assert upload(data=VIDEO, headers=KEY).json["id"] != str(first)


UNTOLD = "SELECT state, hints, next_hint_at < now() + interval '31 seconds' FROM jobs"


def test_an_upload_stands_though_its_event_is_refused(
    upload: Callable[..., TestResponse], sink: harness.Function, sql: Sql
) -> None:
    """The event is due again in half a minute, and sweep sends it."""
    sink.behave = harness.answers(503)
    assert upload(data=VIDEO).status_code == 202
    assert sql(UNTOLD) == [("queued", 0, True)]


def test_an_upload_does_not_wait_until_somebody_takes_its_event(
    upload: Callable[..., TestResponse], sink: harness.Function, sql: Sql
) -> None:
    """The answer comes while the sink has not answered yet."""
    gate = sink.behave = harness.Gate(harness.answers(202))
    assert upload(data=VIDEO).status_code == 202
    assert sink.busy == 1
    gate.open()
    assert sql(UNTOLD) == [("queued", 0, True)]


def test_a_delivered_event_is_noted(upload: Callable[..., TestResponse], sink: harness.Function, sql: Sql) -> None:
    """Sweep leaves the job alone for a while."""
    upload(data=VIDEO)
    assert len(sink.asked) == 1
    assert sql("SELECT hints, next_hint_at > now() + interval '1 minute' FROM jobs") == [(1, True)]


def test_an_upload_carries_its_trace_through(upload: Callable[..., TestResponse], sink: harness.Function) -> None:
    """W3C's traceparent and the gateway's request id reach the event; without them it has those of the request."""
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    upload(data=VIDEO, headers={"traceparent": trace, "X-Request-Id": "r1"})
    answer = upload(data=VIDEO, headers={"traceparent": "nonsense", "X-Request-Id": "no\x80header"})
    first, second = (asked.event for asked in sink.asked)
    assert (first.traceparent, first.correlationid) == (trace, "r1")
    trace_id = re.fullmatch("00-([0-9a-f]{32})-[0-9a-f]{16}-01", second.traceparent or "")
    assert trace_id
    assert second.correlationid == answer.headers["X-Request-Id"] == trace_id[1]


@pytest.mark.parametrize("store", ["MONGO_URI", "DATABASE_URL"])
def test_an_upload_is_refused_while_a_store_is_away(store: str, function: Function, ada: Person) -> None:
    """The answer says when to try again."""
    uri = {
        "MONGO_URI": "mongodb://127.0.0.1:1/videos?serverSelectionTimeoutMS=300",
        "DATABASE_URL": "postgresql://127.0.0.1:1/app",
    }[store]
    answer = function("upload", **{store: uri}).post("/", data=VIDEO, headers=ada.headers)
    problem(answer, 503, "unavailable")
    assert answer.headers["Retry-After"]
