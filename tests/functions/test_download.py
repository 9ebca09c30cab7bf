"""Download: an MP3 goes to its owner, or to whoever holds its link; whole, in part, or not again."""

from collections.abc import Callable
from urllib.parse import unquote
from uuid import UUID, uuid4

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from functions.model.jobs import Job
from functions.model.tokens import Links, Tokens
from functions.stores.gridfs import CHUNK, Bucket
from functions.stores.jobs import Jobs
from tests.functions.conftest import SECRETS
from tests.functions.stage import Person, problem

Function = Callable[..., FlaskClient]
Get = Callable[..., TestResponse]
Make = Callable[..., Job]
SIZE = CHUNK + 1000
CONTENT = (b"ID3" + bytes(range(251)) * (SIZE // 251 + 1))[:SIZE]


@pytest.fixture
def job(finish: Make) -> Job:
    return finish(CONTENT, filename="Größe.mp4")


@pytest.fixture
def get(function: Function, ada: Person, job: Job) -> Get:
    """Asks for the MP3 as its owner."""
    client = function("download")

    def ask(method: str = "GET", **headers: str) -> TestResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return client.open(f"/?fid={job.fid}", method=method, headers={**ada.headers, **named})

    return ask


def test_its_owner_gets_the_mp3(get: Get) -> None:
    """Whole, with all that a browser and a player ask for."""
    answer = get()
    assert (answer.status_code, answer.mimetype, answer.content_length) == (200, "audio/mpeg", SIZE)
    assert answer.data == CONTENT
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["Cache-Control"] == "private, no-cache"


def test_head_tells_all_but_the_mp3(get: Get) -> None:
    """The same headers."""
    answer, whole = get("HEAD"), get()
    assert (answer.status_code, answer.data) == (200, b"")
    assert dict(answer.headers) == dict(whole.headers)


RANGES = {
    "bytes=0-0": (0, 1),
    "bytes=0-": (0, SIZE),
    "bytes=5-9": (5, 10),
    f"bytes={CHUNK - 1}-{CHUNK}": (CHUNK - 1, CHUNK + 1),
    "bytes=-5": (SIZE - 5, SIZE),
    f"bytes=-{SIZE + 5}": (0, SIZE),
    f"bytes={SIZE - 1}-": (SIZE - 1, SIZE),
    f"bytes=5-{SIZE + 5}": (5, SIZE),
}


@pytest.mark.parametrize(("wanted", "span"), RANGES.items(), ids=RANGES)
def test_a_part_is_sent_alone(wanted: str, span: tuple[int, int], get: Get) -> None:
    """A player jumps, a broken download goes on where it broke."""
    answer, (start, stop) = get(Range=wanted), span
    assert (answer.status_code, answer.headers["Content-Range"]) == (206, f"bytes {start}-{stop - 1}/{SIZE}")
    assert (answer.content_length, answer.data) == (stop - start, CONTENT[start:stop])
    assert get("HEAD", Range=wanted).headers["Content-Length"] == str(stop - start)


@pytest.mark.parametrize("wanted", [f"bytes={SIZE}-", f"bytes={SIZE + 5}-{SIZE + 9}"])
def test_a_part_that_is_not_there_is_refused(wanted: str, get: Get) -> None:
    """With the length, so that the client can ask better."""
    answer = get(Range=wanted)
    problem(answer, 416, "range-not-satisfiable")
    assert answer.headers["Content-Range"] == f"bytes */{SIZE}"


@pytest.mark.parametrize(
    "wanted", ["bytes=9-5", "bytes=a-b", "pages=1-2", "bytes=0-1,5-9", "bytes", "bytes=" + "9" * 500]
)
def test_a_range_that_cannot_be_read_is_the_whole(wanted: str, get: Get) -> None:
    """RFC 9110, 14.2: as if nothing had been asked for; so several parts at once, which nobody needs."""
    answer = get(Range=wanted)
    assert (answer.status_code, answer.data) == (200, CONTENT)


def test_what_the_client_has_is_not_sent_again(get: Get) -> None:
    """304, by the ETag; another ETag, or none of ours, gets the MP3."""
    etag = get("HEAD").headers["ETag"]
    answer = get(If_None_Match=f'"other", {etag}')
    assert (answer.status_code, answer.data) == (304, b"")
    assert answer.headers["ETag"] == etag
    assert get(If_None_Match='"other"').data == CONTENT


def test_a_part_goes_on_only_with_the_same_mp3(get: Get) -> None:
    """If-Range: a retried job has another file; its parts do not fit."""
    etag = get("HEAD").headers["ETag"]
    assert get(Range="bytes=5-9", If_Range=etag).status_code == 206
    for other in ('"other"', "Sun, 06 Nov 1994 08:49:37 GMT"):
        assert get(Range="bytes=5-9", If_Range=other).status_code == 200


NAMES = {
    "Größe.mp4": ("Gr__e.mp3", "Größe.mp3"),
    "日本語.mkv": ("___.mp3", "日本語.mp3"),
    'a"b\\c;d.mp4': ("c;d.mp3", "c;d.mp3"),
    "two.dots.mov": ("two.dots.mp3", "two.dots.mp3"),
    "a\r\nSet-Cookie: x=1.mp4": ("aSet-Cookie: x=1.mp3", "aSet-Cookie: x=1.mp3"),
    "100%.mp4": ("100%.mp3", "100%.mp3"),
    "'quoted'.mp4": ("'quoted'.mp3", "'quoted'.mp3"),
}


@pytest.mark.parametrize(("film", "names"), NAMES.items(), ids=NAMES)
def test_the_mp3_has_the_film_s_name(
    film: str, names: tuple[str, str], function: Function, ada: Person, finish: Make
) -> None:
    """In any script, with something readable for old clients, and nothing that ends the header."""
    answer = function("download").head(f"/?fid={finish(filename=film).fid}", headers=ada.headers)
    kind, plain, encoded = answer.headers["Content-Disposition"].rsplit("; filename", 2)
    assert (kind, plain) == ("attachment", f'="{names[0]}"')
    assert unquote(encoded.removeprefix("*=UTF-8''")) == names[1]
    assert "Set-Cookie" not in answer.headers


def test_it_is_the_owner_s_alone(function: Function, eve: Person, ada: Person, job: Job) -> None:
    """For another it is like an id that nobody has; so is the job's own id, or no id."""
    client = function("download")
    problem(client.get(f"/?fid={job.fid}", headers=eve.headers), 404, "not-found")
    for fid in (uuid4(), job.id, job.audio, "", "7"):
        problem(client.get(f"/?fid={fid}", headers=ada.headers), 404, "not-found")


def test_what_is_not_done_or_was_deleted_is_not_there(
    function: Function, ada: Person, add: Make, job: Job, jobs: Jobs
) -> None:
    """Hidden at once, for its owner and for its link."""
    client = function("download")
    problem(client.get(f"/?fid={add().fid}", headers=ada.headers), 404, "not-found")
    jobs.delete(job.id, ada.id)
    problem(client.get(f"/?fid={job.fid}", headers=ada.headers), 404, "not-found")
    problem(client.get(f"/?fid={job.fid}&token={link(job.fid)}"), 404, "not-found")


def link(fid: UUID, seconds: int = 60, key: str = SECRETS["LINK_SECRET"]) -> str:
    return Links(key, seconds).sign(fid)


def test_a_link_opens_without_a_login(function: Function, job: Job) -> None:
    """And in parts, as the owner gets it."""
    address = f"/?fid={job.fid}&token={link(job.fid)}"
    assert function("download").get(address).data == CONTENT
    assert function("download").get(address, headers={"Range": "bytes=0-4"}).data == CONTENT[:5]


NO_LINKS: dict[str, Callable[[Job], str]] = {
    "for another file": lambda job: link(job.id),
    "expired": lambda job: link(job.fid, -1),
    "of another key": lambda job: link(job.fid, key="x" * 32),
    "a token of that key": lambda job: Tokens(SECRETS["LINK_SECRET"], 60).issue(job.fid, "x"),
    "its owner's token": lambda job: Tokens(SECRETS["JWT_SECRET"], 60).issue(job.owner, "x"),
    "no token at all": lambda job: job.filename,
}


@pytest.mark.parametrize("token", NO_LINKS.values(), ids=NO_LINKS)
def test_a_link_that_is_none_opens_nothing(token: Callable[[Job], str], function: Function, job: Job) -> None:
    """401: its holder may log in instead."""
    answer = function("download").get("/", query_string={"fid": job.fid, "token": token(job)})
    problem(answer, 401, "unauthorized")


def test_a_lost_file_is_told_before_the_first_byte(get: Get, mp3s: Bucket, job: Job) -> None:
    """404, and no half answer."""
    assert job.audio
    mp3s.delete(job.audio)
    problem(get(), 404, "not-found")


def test_a_store_that_is_away_is_told(function: Function, ada: Person, job: Job) -> None:
    """503: nothing is lost."""
    client = function("download", MONGO_MP3_URI="mongodb://127.0.0.1:1/mp3s?serverSelectionTimeoutMS=300")
    problem(client.get(f"/?fid={job.fid}", headers=ada.headers), 503, "unavailable")
