"""Jobs: their owner lists them, cancels, deletes and retries them; nobody else learns that they exist."""

from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from functions.jobs import cursor
from functions.model.jobs import Job, State
from functions.model.media import Reason
from functions.model.options import Options
from functions.stores.expiry import Expiry
from functions.stores.jobs import Jobs
from functions.stores.postgres import Database
from tests import jobs as jobs_of_tests
from tests.events import harness
from tests.functions.harness import Person, problem

Function = Callable[..., FlaskClient]
Make = Callable[..., Job]
UNKNOWN = UUID(int=7)  # an id that no job has; fixed, for workers that run side by side must agree on the tests' names


@pytest.fixture
def client(function: Function, ada: Person) -> FlaskClient:
    """Sends Ada's token with every request."""
    client = function("jobs")
    client.environ_base["HTTP_AUTHORIZATION"] = ada.headers["Authorization"]
    return client


@pytest.fixture
def expiry(postgres: Database) -> Expiry:
    return Expiry(postgres)


@pytest.fixture
def fail(jobs: Jobs, add: Make) -> Callable[[Reason], Job]:
    def make(reason: Reason) -> Job:
        claimed = jobs.claim(add().id)
        assert claimed
        job = jobs.fail(claimed, reason, "ffmpeg said so")
        assert job
        return job

    return make


def test_a_queued_job_is_shown(client: FlaskClient, add: Make) -> None:
    """Nothing that is only for operators is among its members."""
    job = add(filename="größe.mp4")
    shown = client.get(f"/{job.id}").json
    assert shown == {
        "id": str(job.id), "fid": str(job.fid), "filename": "größe.mp4", "size": job.video_size, "state": "queued",
        "options": job.options.as_json(), "source": None, "progress": 0.0, "created_at": job.created_at.isoformat(),
    }  # fmt: skip


def test_a_running_job_shows_its_progress(client: FlaskClient, add: Make, jobs: Jobs) -> None:
    """Rounded, as its worker last renewed it."""
    claimed = jobs.claim(add().id)
    assert claimed
    jobs.renew(claimed, 0.51234)
    shown = client.get(f"/{claimed.id}").json
    assert (shown["state"], shown["progress"]) == ("converting", 0.512)


def test_a_finished_job_shows_where_its_mp3_is(client: FlaskClient, finish: Make) -> None:
    """And how long it plays."""
    job = finish()
    shown = client.get(f"/{job.id}").json
    assert (shown["state"], shown["progress"], shown["duration"], shown["mp3_size"]) == ("done", 1, 1.5, job.audio_size)
    assert shown["download"] == f"/download?fid={job.fid}"
    assert shown["finished_at"]


def test_a_failed_job_shows_its_reason(client: FlaskClient, fail: Callable[[Reason], Job]) -> None:
    """As a stable word for programs and as a sentence; what ffmpeg said is for the log."""
    shown = client.get(f"/{fail(Reason.NO_AUDIO).id}")
    assert (shown.json["reason"], shown.json["detail"]) == ("no_audio", Reason.NO_AUDIO.sentence)
    assert "ffmpeg" not in shown.text


def follow(client: FlaskClient, address: str | None) -> list[list[str]]:
    """The ids on each page, from that address on, following each page's `next`."""
    pages = []
    while address is not None:
        page = client.get(address.replace("/jobs", "/", 1)).json
        pages.append([job["id"] for job in page["jobs"]])
        address = page["next"]
    return pages


def test_jobs_come_page_by_page_the_newest_first(client: FlaskClient, add: Make) -> None:
    """Fifty to a page unless the request asks for another number; the last page says that it is."""
    ids = [str(add().id) for _ in range(51)][::-1]
    assert follow(client, "/jobs") == [ids[:50], ids[50:]]
    assert follow(client, "/jobs?limit=17") == [ids[:17], ids[17:34], ids[34:]]
    assert follow(client, "/jobs?limit=100") == [ids]


def test_no_job_of_one_instant_is_lost_between_pages(
    client: FlaskClient, add: Make, sql: Callable[..., list[tuple[Any, ...]]]
) -> None:
    """By the time alone, those of them beyond the end of a page would be skipped."""
    ids = sorted((str(add().id) for _ in range(5)), reverse=True)
    sql("UPDATE jobs SET created_at = now()")
    assert follow(client, "/jobs?limit=2") == [ids[:2], ids[2:4], ids[4:]]


def test_who_has_no_jobs_gets_an_empty_page(client: FlaskClient) -> None:
    assert client.get("/").json == {"jobs": [], "next": None}


CURSORS = {
    "empty": "",
    "a word": "yesterday",
    "a time, which it once was": "2026-11-26T05:20:57Z",
    "NUL": "\0",
    "no ASCII": "²" * 32,
    "too short": urlsafe_b64encode(bytes(23)).decode(),
    "too long": urlsafe_b64encode(bytes(27)).decode(),
    "after the last year": urlsafe_b64encode(b"\x7f" + bytes([255] * 7) + uuid4().bytes).decode(),
    "before the first": urlsafe_b64encode(b"\x80" + bytes(7) + uuid4().bytes).decode(),
    "in base64's other letters": b64encode(bytes([251] * 24)).decode(),
}


@pytest.mark.parametrize("cursor", CURSORS.values(), ids=CURSORS)
def test_a_cursor_of_no_page_is_refused(cursor: str, client: FlaskClient) -> None:
    problem(client.get("/", query_string={"cursor": cursor}), 400, "bad-request", field="cursor")


@pytest.mark.parametrize("time", [datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)], ids=str)
def test_a_cursor_of_any_time_leads_to_a_page(time: datetime, client: FlaskClient, add: Make) -> None:
    """We hand out no such cursor, but one that somebody makes up must not break the query."""
    made_up = cursor.after(replace(add(), created_at=time))
    assert client.get("/", query_string={"cursor": made_up}).status_code == 200


@pytest.mark.parametrize("limit", ["", "0", "101", "-1", "+1", "1.0", "1e1", "01", " 1", "²", "٣", "9" * 5000])
def test_a_page_of_no_size_is_refused(limit: str, client: FlaskClient) -> None:
    problem(client.get("/", query_string={"limit": limit}), 400, "bad-request", field="limit")


@pytest.mark.parametrize("path", ["/", f"/{UNKNOWN}"])
def test_the_parameter_of_earlier_pages_is_refused(path: str, client: FlaskClient) -> None:
    """Ignored, it would lead back to the first page for ever."""
    problem(client.get(f"{path}?before=2026-11-26T05:20:57Z"), 400, "bad-request", field="before")


def test_cancelling_stops_a_job_and_can_be_repeated(client: FlaskClient, add: Make, jobs: Jobs) -> None:
    """Both answers are the job, which is still there; its worker has lost its lease."""
    claimed = jobs.claim(add().id)
    assert claimed
    first, second = (client.post(f"/{claimed.id}/cancel") for _ in range(2))
    assert (first.status_code, first.json["state"]) == (200, "cancelled")
    assert (second.status_code, second.json) == (200, first.json)
    assert not jobs.renew(claimed, 0.5)
    assert client.get(f"/{claimed.id}").json == first.json


def test_what_has_ended_cannot_be_cancelled(
    client: FlaskClient, finish: Make, fail: Callable[[Reason], Job], sql: Callable[..., Any]
) -> None:
    """The answer says how it ended, and nothing of it is touched."""
    done, failed = finish(), fail(Reason.NO_AUDIO)
    for job, state in ((done, "done"), (failed, "failed")):
        problem(client.post(f"/{job.id}/cancel"), 409, "conflict", reason=state)
        assert client.get(f"/{job.id}").json["state"] == state
    sql("UPDATE jobs SET state = 'expired', expired_at = now()")
    problem(client.post(f"/{done.id}/cancel"), 409, "conflict", reason="expired")


@pytest.mark.parametrize("state", State)
def test_deleting_hides_a_job_in_any_state_and_can_be_repeated(
    state: State, client: FlaskClient, add: Make, finish: Make, jobs: Jobs, eve: Person, sql: Callable[..., Any]
) -> None:
    """204 as long as the hidden row exists, 404 afterwards; always 404 for anybody else."""
    job = finish() if state in (State.DONE, State.EXPIRED) else add()
    if state is State.CONVERTING:
        jobs.claim(job.id)
    else:
        sql("UPDATE jobs SET state = %s, reason = 'no_audio'", state)
    problem(client.delete(f"/{job.id}", headers=eve.headers), 404, "not-found")
    for _ in range(2):
        assert client.delete(f"/{job.id}").status_code == 204
        problem(client.delete(f"/{job.id}", headers=eve.headers), 404, "not-found")
    problem(client.get(f"/{job.id}"), 404, "not-found")
    problem(client.post(f"/{job.id}/cancel"), 404, "not-found")
    problem(client.post(f"/{job.id}/retry"), 404, "not-found")
    assert client.get("/").json["jobs"] == []
    sql("DELETE FROM jobs")
    problem(client.delete(f"/{job.id}"), 404, "not-found")


def test_a_retried_job_is_queued_and_announced_as_new(
    client: FlaskClient, fail: Callable[[Reason], Job], sink: harness.Function
) -> None:
    """Under another event id, for the old one has been answered already."""
    job = fail(Reason.TIMED_OUT)
    answer = client.post(f"/{job.id}/retry")
    assert (answer.status_code, answer.json["state"], answer.headers["Location"]) == (202, "queued", f"/jobs/{job.id}")
    [announced] = [asked.event for asked in sink.asked]
    assert (announced.job, announced.data["generation"], announced.source) == (job.id, 1, "/functions/jobs")


def test_a_retry_stands_though_nobody_takes_its_event(
    client: FlaskClient, fail: Callable[[Reason], Job], sink: harness.Function
) -> None:
    """Sweep sends it later."""
    sink.behave = harness.answers(503)
    assert client.post(f"/{fail(Reason.TIMED_OUT).id}/retry").status_code == 202


def test_only_what_failed_or_was_cancelled_can_be_retried(
    client: FlaskClient, add: Make, fail: Callable[[Reason], Job], sql: Callable[..., Any]
) -> None:
    """And only while its video is kept."""
    assert "queued" in problem(client.post(f"/{add().id}/retry"), 409, "conflict")["detail"]
    job = fail(Reason.TIMED_OUT)
    sql("UPDATE jobs SET video = NULL")
    assert "upload it again" in problem(client.post(f"/{job.id}/retry"), 409, "conflict")["detail"]


@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("DELETE", ""), ("POST", "/cancel"), ("POST", "/retry")])
def test_a_job_of_another_is_no_job(method: str, path: str, function: Function, eve: Person, add: Make) -> None:
    """The same 404 as for an id that nobody has, and for a text that is no id."""
    client = function("jobs")
    for id_ in (add().id, uuid4(), "7", "..%00"):
        problem(client.open(f"/{id_}{path}", method=method, headers=eve.headers), 404, "not-found")


ADDRESSES = [
    ("DELETE", "/", "GET, HEAD, POST"),
    ("PUT", "/", "GET, HEAD, POST"),
    ("POST", f"/{UNKNOWN}", "GET, HEAD, DELETE"),
    ("GET", f"/{UNKNOWN}/retry", "POST"),
    ("DELETE", f"/{UNKNOWN}/cancel", "POST"),
]


@pytest.mark.parametrize(("method", "path", "allowed"), ADDRESSES)
def test_each_address_tells_its_methods(method: str, path: str, allowed: str, client: FlaskClient) -> None:
    answer = client.open(path, method=method)
    problem(answer, 405, "method-not-allowed")
    assert answer.headers["Allow"] == allowed


def test_other_addresses_lead_nowhere(client: FlaskClient) -> None:
    problem(client.get(f"/{uuid4()}/nothing"), 404, "not-found")


@pytest.fixture
def again(client: FlaskClient) -> Callable[..., TestResponse]:
    """Asks for another conversion of a job's video."""

    def ask(job: Job, key: str | None = None, **options: Any) -> TestResponse:
        headers = {"Idempotency-Key": key} if key else {}
        return client.post("/", json={"source": str(job.id), **options}, headers=headers)

    return ask


def test_a_video_is_converted_again_without_being_sent_again(
    again: Callable[..., TestResponse], finish: Make, jobs: Jobs, sink: harness.Function
) -> None:
    """A new job of the same video, with options of its own; the first one stays as it is."""
    first = finish(filename="größe.mp4", options=Options(vbr=7))
    answer = again(first, format="opus", start=1.5)
    job = jobs.find(UUID(answer.json["id"]))
    assert job
    assert (answer.status_code, answer.headers["Location"]) == (202, f"/jobs/{job.id}")
    assert (job.state, job.id, job.fid, job.video, job.filename) == (
        "queued",
        job.fid,
        job.id,
        first.video,
        "größe.mp4",
    )
    assert job.options == Options().asked({"format": "opus", "start": 1.5})
    assert jobs.find(first.id) == first
    (event,) = sink.asked
    assert event.headers["ce-subject"] == f"jobs/{job.id}"


def test_a_cover_that_was_uploaded_goes_along(again: Callable[..., TestResponse], add: Make, jobs: Jobs) -> None:
    """Unless another is asked for."""
    first = add(cover=b"\xff\xd8\xff", options=Options(cover="upload"))
    kept, stripped = again(first).json, again(first, cover="strip").json
    assert (kept["options"]["cover"], jobs.cover(UUID(kept["id"]))) == ("upload", b"\xff\xd8\xff")
    assert (stripped["options"]["cover"], jobs.cover(UUID(stripped["id"]))) == ("strip", None)


def test_a_repeat_of_converting_again_makes_no_second_job(again: Callable[..., TestResponse], finish: Make) -> None:
    """The key is for one source and one set of options."""
    first = finish()
    made, repeated = (again(first, "key", vbr=4) for _ in range(2))
    assert made.json["id"] == repeated.json["id"]
    assert repeated.headers["Idempotent-Replayed"] == "true"
    problem(again(first, "key", vbr=5), 422, "unprocessable", field="Idempotency-Key")
    problem(again(finish(video_sha256="1" * 64), "key", vbr=4), 422, "unprocessable", field="Idempotency-Key")


def test_a_video_that_is_no_longer_kept_is_not_converted_again(
    again: Callable[..., TestResponse], finish: Make, expiry: Expiry
) -> None:
    """The answer says what to do."""
    first = finish()
    expiry.take_old_videos(0, 100)
    assert "upload it again" in problem(again(first), 409, "conflict")["detail"]


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({}, 400, "source"),
        ({"source": 5}, 400, "source"),
        ({"source": "x"}, 404, None),
        ({"source": str(UNKNOWN)}, 404, "source"),
        ({"source": str(UNKNOWN), "bitrat": 128}, 400, "bitrat"),
    ],
    ids=str,
)
def test_what_cannot_be_converted_again_is_told(
    body: dict[str, Any], status: int, field: str | None, client: FlaskClient
) -> None:
    slug = {400: "bad-request", 404: "not-found"}[status]
    assert problem(client.post("/", json=body), status, slug).get("field") == field


def test_options_that_are_not_taken_are_refused_here_too(again: Callable[..., TestResponse], finish: Make) -> None:
    problem(again(finish(), bitrate=128, quality="max"), 422, "unprocessable", field="quality")
    problem(again(finish(), vbr=10), 422, "unprocessable", field="vbr")


def test_nobody_converts_another_s_video(function: Function, eve: Person, finish: Make) -> None:
    answer = function("jobs").post("/", json={"source": str(finish().id)}, headers=eve.headers)
    problem(answer, 404, "not-found")


def test_the_waveform_of_the_audio_is_shown(client: FlaskClient, add: Make, jobs: Jobs) -> None:
    """From 0 to 1, with the time that each peak lasts."""
    claimed = jobs.claim(add().id)
    assert claimed
    problem(client.get(f"/{claimed.id}/waveform"), 409, "conflict")
    jobs_of_tests.finish(jobs, claimed, peaks=bytes([0, 51, 255]), duration=1.5)
    assert client.get(f"/{claimed.id}/waveform").json == {"peaks": [0.0, 0.2, 1.0], "seconds_per_peak": 0.5}


def test_audio_of_earlier_releases_has_no_waveform(client: FlaskClient, finish: Make) -> None:
    problem(client.get(f"/{finish().id}/waveform"), 404, "not-found")
