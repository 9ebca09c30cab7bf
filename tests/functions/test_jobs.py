"""Jobs: their owner sees them, cancels, deletes and retries them; nobody else knows of them."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from flask.testing import FlaskClient

from functions.model.jobs import Job
from functions.model.media import Reason
from functions.stores.jobs import Jobs
from tests.events import harness
from tests.functions.harness import Person, problem

Function = Callable[..., FlaskClient]
Make = Callable[..., Job]


@pytest.fixture
def client(function: Function, ada: Person) -> FlaskClient:
    """Ada's."""
    client = function("jobs")
    client.environ_base["HTTP_AUTHORIZATION"] = ada.headers["Authorization"]
    return client


@pytest.fixture
def fail(jobs: Jobs, add: Make) -> Callable[[Reason], Job]:
    def make(reason: Reason) -> Job:
        attempt = jobs.claim(add().id)
        assert attempt
        job = jobs.fail(attempt, reason, "ffmpeg said so")
        assert job
        return job

    return make


def test_a_queued_job_is_shown(client: FlaskClient, add: Make) -> None:
    """With what its owner may know of it."""
    job = add(filename="größe.mp4")
    shown = client.get(f"/{job.id}").json
    assert shown == {
        "id": str(job.id), "fid": str(job.fid), "filename": "größe.mp4", "size": job.video_size, "state": "queued",
        "options": job.options.as_json(), "progress": 0.0, "created_at": job.created_at.isoformat(),
    }  # fmt: skip


def test_a_running_job_shows_its_progress(client: FlaskClient, add: Make, jobs: Jobs) -> None:
    """As its worker renews it."""
    attempt = jobs.claim(add().id)
    assert attempt
    jobs.renew(attempt, 0.51234)
    shown = client.get(f"/{attempt.id}").json
    assert (shown["state"], shown["progress"]) == ("converting", 0.512)


def test_a_finished_job_shows_where_its_mp3_is(client: FlaskClient, finish: Make) -> None:
    """And how long it plays."""
    job = finish()
    shown = client.get(f"/{job.id}").json
    assert (shown["state"], shown["progress"], shown["duration"], shown["mp3_size"]) == ("done", 1, 1.5, job.audio_size)
    assert shown["download"] == f"/download?fid={job.fid}"
    assert shown["finished_at"]


def test_a_failed_job_shows_its_reason(client: FlaskClient, fail: Callable[[Reason], Job]) -> None:
    """As a stable name and in plain words; what ffmpeg said is for the log."""
    shown = client.get(f"/{fail(Reason.NO_AUDIO).id}")
    assert (shown.json["reason"], shown.json["detail"]) == ("no_audio", Reason.NO_AUDIO.sentence)
    assert "ffmpeg" not in shown.text


def test_jobs_come_page_by_page_the_newest_first(client: FlaskClient, add: Make) -> None:
    """`next` is the `before` of the following page, as it stands."""
    ids = [str(add().id) for _ in range(51)][::-1]
    first = client.get("/").json
    assert [job["id"] for job in first["jobs"]] == ids[:50]
    second = client.get(f"/?before={first['next']}").json
    assert [job["id"] for job in second["jobs"]] == ids[50:]
    assert "next" not in second


@pytest.mark.parametrize("before", ["yesterday", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "\0", "²"])
def test_a_page_that_cannot_be_is_refused(before: str, client: FlaskClient) -> None:
    """Whatever stands there."""
    problem(client.get("/", query_string={"before": before}), 400, "bad-request", field="before")


def test_cancelling_stops_a_job_and_deleting_hides_it(client: FlaskClient, add: Make, jobs: Jobs) -> None:
    """DELETE does the one or the other; the worker learns of it when it renews."""
    attempt = jobs.claim(add().id)
    assert attempt
    cancelled = client.delete(f"/{attempt.id}")
    assert (cancelled.status_code, cancelled.json["state"]) == (200, "cancelled")
    assert not jobs.renew(attempt, 0.5)
    assert client.delete(f"/{attempt.id}").status_code == 204
    problem(client.get(f"/{attempt.id}"), 404, "not-found")
    problem(client.delete(f"/{attempt.id}"), 404, "not-found")
    assert client.get("/").json == {"jobs": []}


def test_a_retried_job_is_queued_and_announced_as_new(
    client: FlaskClient, fail: Callable[[Reason], Job], sink: harness.Function
) -> None:
    """Under another event id, for the old one was answered already."""
    job = fail(Reason.TIMED_OUT)
    answer = client.post(f"/{job.id}/retry")
    assert (answer.status_code, answer.json["state"], answer.headers["Location"]) == (202, "queued", f"/jobs/{job.id}")
    [told] = [asked.event for asked in sink.asked]
    assert (told.job, told.data["generation"], told.source) == (job.id, 1, "/functions/jobs")


def test_a_retry_stands_though_nobody_takes_its_event(
    client: FlaskClient, fail: Callable[[Reason], Job], sink: harness.Function
) -> None:
    """Sweep sends it again."""
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


@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("DELETE", ""), ("POST", "/retry")])
def test_a_job_of_another_is_no_job(method: str, path: str, function: Function, eve: Person, add: Make) -> None:
    """The same 404 as for an id that nobody has, or that is none."""
    client = function("jobs")
    for id_ in (add().id, uuid4(), "7", "..%00"):
        problem(client.open(f"/{id_}{path}", method=method, headers=eve.headers), 404, "not-found")


ADDRESSES = [
    ("DELETE", "/", "GET, HEAD"),
    ("PUT", "/", "GET, HEAD"),
    ("POST", f"/{uuid4()}", "GET, HEAD, DELETE"),
    ("GET", f"/{uuid4()}/retry", "POST"),
]


@pytest.mark.parametrize(("method", "path", "allowed"), ADDRESSES)
def test_each_address_tells_its_methods(method: str, path: str, allowed: str, client: FlaskClient) -> None:
    """A list cannot be deleted, a retry not be read."""
    answer = client.open(path, method=method)
    problem(answer, 405, "method-not-allowed")
    assert answer.headers["Allow"] == allowed


def test_other_addresses_lead_nowhere(client: FlaskClient) -> None:
    """404 and where to go instead."""
    problem(client.get(f"/{uuid4()}/nothing"), 404, "not-found")
