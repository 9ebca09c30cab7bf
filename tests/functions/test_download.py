"""Download: an MP3 goes to its owner or to whoever holds its link, whole, in part, or not again if it is unchanged."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote
from uuid import UUID, uuid4

import pytest
import requests
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from functions.model.audio import Part
from functions.model.jobs import Job
from functions.model.media import Reason
from functions.model.tokens import Links, Tokens
from functions.stores.expiry import Expiry
from functions.stores.gridfs import CHUNK, Bucket
from functions.stores.jobs import Jobs
from functions.stores.postgres import Database
from tests.functions.conditional import SIZE, TABLE, Known, Row
from tests.functions.conftest import SECRETS
from tests.functions.harness import Person, Served, problem

Function = Callable[..., FlaskClient]
Get = Callable[..., TestResponse]
Make = Callable[..., Job]
assert SIZE > CHUNK
CONTENT = (b"ID3" + bytes(range(251)) * (SIZE // 251 + 1))[:SIZE]


@pytest.fixture
def job(finish: Make) -> Job:
    return finish(CONTENT, filename="Größe.mp4")


@pytest.fixture
def get(function: Function, ada: Person, job: Job) -> Get:
    """Asks for the MP3 as its owner."""
    client = function("download")

    def ask(method: str = "GET", headers: dict[str, str] | None = None) -> TestResponse:
        return client.open(f"/?fid={job.fid}", method=method, headers={**ada.headers, **(headers or {})})

    return ask


@pytest.fixture
def expiry(postgres: Database) -> Expiry:
    return Expiry(postgres)


def test_its_owner_gets_the_mp3(get: Get) -> None:
    """With the headers that browsers and players look for."""
    answer = get()
    assert (answer.status_code, answer.mimetype, answer.content_length) == (200, "audio/mpeg", SIZE)
    assert answer.data == CONTENT
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["Cache-Control"] == "private, no-store"


def test_head_tells_all_but_the_mp3(get: Get) -> None:
    answer, whole = get("HEAD"), get()
    assert (answer.status_code, answer.data) == (200, b"")
    assert answer.headers.pop("X-Request-Id") != whole.headers.pop("X-Request-Id")
    assert dict(answer.headers) == dict(whole.headers)


@pytest.fixture
def known(get: Get) -> Known:
    first = get("HEAD")
    assert first.last_modified
    return Known(first.headers["ETag"], first.last_modified)


@pytest.mark.parametrize("rows", TABLE.values(), ids=TABLE)
def test_it_is_sent_whole_in_part_or_not_at_all(rows: list[Row], get: Get, known: Known) -> None:
    """Players jump, a broken download goes on where it broke off if the file is the same, caches ask again."""
    for sent, expected in rows:
        headers, answered = known.fill(sent), expected if isinstance(expected, int) else 206
        start, stop = (0, SIZE) if isinstance(expected, int) else expected
        answer = get("GET", headers)
        assert answer.status_code == answered, sent
        match answered:
            case 200 | 206:
                assert (answer.data, answer.content_length) == (CONTENT[start:stop], stop - start), sent
            case 304:
                assert (answer.data, answer.headers["Cache-Control"]) == (b"", "private, no-store"), sent
            case 412:
                problem(answer, 412, "precondition-failed")
            case 416:
                problem(answer, 416, "range-not-satisfiable")
        content_range = {206: f"bytes {start}-{stop - 1}/{SIZE}", 416: f"bytes */{SIZE}"}
        assert answer.headers.get("Content-Range") == content_range.get(answered), sent
        assert answer.headers.get("ETag", known.etag) == known.etag, sent
        # To HEAD a Range means nothing (14.2).
        head = get("HEAD", headers)
        assert (head.status_code, head.data) == (answered if answered in (304, 412) else 200, b""), sent
        assert "Content-Range" not in head.headers, sent
        assert head.status_code != 200 or head.content_length == SIZE, sent


def test_it_was_made_when_its_job_was_done_and_never_later_than_now(
    get: Get, job: Job, sql: Callable[..., list[tuple[Any, ...]]]
) -> None:
    """Postgres' clock may be ahead of ours (RFC 9110, 8.8.2.1)."""
    assert job.finished_at
    assert get("HEAD").last_modified == job.finished_at.replace(microsecond=0)
    sql("UPDATE jobs SET finished_at = now() + interval '1 hour'")
    modified = get("HEAD").last_modified
    assert modified
    assert modified <= datetime.now(UTC)


NAMES = {
    "Größe.mp4": ("Gr__e.mp3", "Größe.mp3"),
    "日本語.mkv": ("___.mp3", "日本語.mp3"),
    'a"b\\c;d.mp4': ("c;d.mp3", "c;d.mp3"),
    "two.dots.mov": ("two.dots.mp3", "two.dots.mp3"),
    "a\r\nSet-Cookie: x=1.mp4": ("aSet-Cookie: x=1.mp3", "aSet-Cookie: x=1.mp3"),
    "100%.mp4": ("100%.mp3", "100%.mp3"),
    "'quoted'.mp4": ("'quoted'.mp3", "'quoted'.mp3"),
}


@pytest.mark.parametrize(("video", "names"), NAMES.items(), ids=NAMES)
def test_the_mp3_has_the_video_s_name(
    video: str, names: tuple[str, str], function: Function, ada: Person, finish: Make
) -> None:
    """In any script, readable for old clients too, and unable to end the header."""
    answer = function("download").head(f"/?fid={finish(filename=video).fid}", headers=ada.headers)
    kind, plain, encoded = answer.headers["Content-Disposition"].rsplit("; filename", 2)
    assert (kind, plain) == ("attachment", f'="{names[0]}"')
    assert unquote(encoded.removeprefix("*=UTF-8''")) == names[1]
    assert "Set-Cookie" not in answer.headers


def test_it_is_the_owner_s_alone(function: Function, eve: Person, ada: Person, job: Job) -> None:
    """Anybody else gets the same answer as for an id that nobody has."""
    client = function("download")
    problem(client.get(f"/?fid={job.fid}", headers=eve.headers), 404, "not-found")
    for fid in (uuid4(), job.id, job.audio, "", "7"):
        problem(client.get(f"/?fid={fid}", headers=ada.headers), 404, "not-found")


def to_queued(_job: Job, _jobs: Jobs) -> None:
    pass


def to_converting(job: Job, jobs: Jobs) -> None:
    assert jobs.claim(job.id)


def to_failed(job: Job, jobs: Jobs) -> None:
    claimed = jobs.claim(job.id)
    assert claimed
    assert jobs.fail(claimed, Reason.NO_AUDIO, "")


def to_cancelled(job: Job, jobs: Jobs) -> None:
    assert jobs.cancel(job.id, job.owner)


NOT_READY = {"queued": to_queued, "converting": to_converting, "failed": to_failed, "cancelled": to_cancelled}


@pytest.mark.parametrize("state", NOT_READY)
def test_an_mp3_that_is_not_there_yet_is_a_conflict_with_its_job_s_state(
    state: str, function: Function, ada: Person, eve: Person, add: Make, jobs: Jobs
) -> None:
    """Whatever conditions the request has. To anybody else there is no such MP3."""
    job, client = add(), function("download")
    NOT_READY[state](job, jobs)
    for address, headers in {f"/?fid={job.fid}": ada.headers, f"/?fid={job.fid}&token={link(job.fid)}": {}}.items():
        conditions = {"If-None-Match": "*", "If-Match": '"zzz"', "Range": "bytes=-0"}
        refused = problem(client.get(address, headers={**headers, **conditions}), 409, "conflict", reason=state)
        assert state in refused["detail"]
        assert str(job.id) in refused["detail"]
        assert client.head(address, headers=headers).status_code == 409
    problem(client.get(f"/?fid={job.fid}", headers=eve.headers), 404, "not-found")


def test_an_mp3_that_was_kept_for_its_time_is_gone(
    function: Function, ada: Person, eve: Person, job: Job, expiry: Expiry, sql: Callable[..., Any]
) -> None:
    """To anybody but its owner it never existed."""
    sql("UPDATE jobs SET finished_at = now() - interval '1 hour'")
    expiry.expire_jobs(60, 10)
    client = function("download")
    problem(client.get(f"/?fid={job.fid}", headers=ada.headers), 410, "gone", reason="expired")
    problem(client.get(f"/?fid={job.fid}&token={link(job.fid)}"), 410, "gone", reason="expired")
    problem(client.get(f"/?fid={job.fid}", headers=eve.headers), 404, "not-found")


def test_what_was_deleted_is_not_there(function: Function, ada: Person, job: Job, jobs: Jobs) -> None:
    """Not even a link that was signed before says that it once existed."""
    client = function("download")
    jobs.delete(job.id, ada.id)
    problem(client.get(f"/?fid={job.fid}", headers=ada.headers), 404, "not-found")
    problem(client.get(f"/?fid={job.fid}&token={link(job.fid)}"), 404, "not-found")


def link(fid: UUID, seconds: int = 60, key: str = SECRETS["LINK_SECRET"]) -> str:
    return Links(key, seconds).sign(fid)


def test_a_link_opens_without_a_login(function: Function, job: Job) -> None:
    """The whole MP3 or a part of it, as its owner gets it."""
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
    """401, for its holder may log in instead."""
    answer = function("download").get("/", query_string={"fid": job.fid, "token": token(job)})
    problem(answer, 401, "unauthorized")


def test_a_lost_file_is_told_before_the_first_byte(get: Get, mp3s: Bucket, job: Job) -> None:
    """The answer is a 404 and not the beginning of a 200."""
    assert job.audio
    mp3s.delete(job.audio)
    problem(get(), 404, "not-found")


def test_a_store_that_is_away_is_told(function: Function, ada: Person, job: Job) -> None:
    client = function("download", MONGO_MP3_URI="mongodb://127.0.0.1:1/mp3s?serverSelectionTimeoutMS=300")
    problem(client.get(f"/?fid={job.fid}", headers=ada.headers), 503, "unavailable")


@pytest.fixture
def split(finish: Make) -> Job:
    """A job whose audio has two parts."""
    parts = (Part("Ä", "01 Ä.mp3", 10, 20, 1.0), Part("B", "02 B.mp3", 40, 30, 2.0))
    return finish(CONTENT, filename="Größe.mp4", parts=parts)


def test_split_audio_is_a_zip(function: Function, ada: Person, split: Job) -> None:
    """Called after the video, as the audio would be."""
    answer = function("download").get(f"/?fid={split.fid}", headers=ada.headers)
    assert (answer.status_code, answer.mimetype, answer.data) == (200, "application/zip", CONTENT)
    assert "filename*=UTF-8''Gr%C3%B6%C3%9Fe.zip" in answer.headers["Content-Disposition"]


def test_a_part_is_downloaded_by_its_number(function: Function, ada: Person, split: Job) -> None:
    """With its own name, size and tag, whole or in part; a signed link opens it too."""
    client = function("download")
    first, second = (client.get(f"/?fid={split.fid}&part={part}", headers=ada.headers) for part in (1, 2))
    assert (first.status_code, first.mimetype, first.data) == (200, "audio/mpeg", CONTENT[10:30])
    assert "filename*=UTF-8''01%20%C3%84.mp3" in first.headers["Content-Disposition"]
    assert (second.data, second.content_length) == (CONTENT[40:70], 30)
    assert first.headers["ETag"] != second.headers["ETag"]
    jumped = client.get(f"/?fid={split.fid}&part=2", headers={**ada.headers, "Range": "bytes=28-99"})
    assert (jumped.status_code, jumped.data) == (206, CONTENT[68:70])
    assert jumped.headers["Content-Range"] == "bytes 28-29/30"
    assert client.get(f"/?fid={split.fid}&part=1&token={link(split.fid)}").data == CONTENT[10:30]


@pytest.mark.parametrize("part", ["0", "3", "-1", "x", "", "1.0", "99999"])
def test_a_part_that_is_not_there_is_not_found(part: str, function: Function, ada: Person, split: Job) -> None:
    answer = function("download").get(f"/?fid={split.fid}&part={part}", headers=ada.headers)
    assert "2 parts" in problem(answer, 404, "not-found")["detail"]


def test_audio_in_one_piece_has_no_parts(function: Function, ada: Person, job: Job) -> None:
    answer = function("download").get(f"/?fid={job.fid}&part=1", headers=ada.headers)
    assert "no parts" in problem(answer, 404, "not-found")["detail"]


def test_who_hangs_up_frees_the_connection_to_the_store(
    served: Callable[..., Served], environ: dict[str, str], finish: Make, ada: Person
) -> None:
    """It is held as long as the store sends. Here there is one, so the next download would be 503."""
    uri = f"{environ['MONGO_MP3_URI']}?maxPoolSize=1&waitQueueTimeoutMS=20000"
    url = f"{served('download', MONGO_MP3_URI=uri).url}/?fid={finish(bytes(30 * CHUNK)).fid}"
    for _ in range(2):
        with requests.get(url, headers=ada.headers, stream=True, timeout=60) as answer:
            assert (answer.status_code, len(answer.raw.read(CHUNK))) == (200, CHUNK)
