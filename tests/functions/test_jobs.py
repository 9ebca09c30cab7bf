"""Jobs: their owner lists them, cancels, deletes and retries them; nobody else learns that they exist."""

import hashlib
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID, uuid4

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from functions.jobs import cursor
from functions.jobs.again import MOST
from functions.model.audio import Loudness, Note, Part
from functions.model.containers import Container
from functions.model.encoding import ENCODINGS
from functions.model.jobs import Job, State
from functions.model.media import Reason
from functions.model.options import Options
from functions.model.source import Chapter, Source, Track
from functions.stores.expiry import Expiry
from functions.stores.jobs import Jobs
from functions.stores.postgres import Database
from tests import jobs as jobs_of_tests
from tests.events import harness
from tests.functions.harness import VIDEO, Person, problem

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
    """Every member has its place from the start; nothing that is only for operators is among them."""
    job = add(filename="größe.mp4", video_sha256="ab" * 32)
    shown = client.get(f"/{job.id}").json
    assert shown == {
        "id": str(job.id), "fid": str(job.fid), "state": "queued", "created_at": written(job.created_at),
        "queued_at": written(job.queued_at), "started_at": None, "finished_at": None,
        "source": {
            "filename": "größe.mp4", "size_bytes": job.video_size, "digest": "sha256:" + "ab" * 32, "container": "mp4",
            "duration_seconds": None, "tracks": None, "chapters": None,
        },
        "options": job.options.as_json(), "progress": {"phase": "waiting", "percent": 0.0}, "audio": None,
        "error": None,
        "links": {"self": f"/jobs/{job.id}", "cancel": f"/jobs/{job.id}/cancel", "again": "/jobs"},
    }  # fmt: skip


def written(time: datetime) -> str:
    """As RFC 3339 has it, in UTC, to the millisecond."""
    return f"{time.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.{time.microsecond // 1000:03}Z"


def test_who_polls_is_told_only_what_is_new(client: FlaskClient, add: Make, jobs: Jobs) -> None:
    """RFC 9110, 13.1.2: a job, or a list, that is as the client knows it has no content."""
    job = add()
    for path in ("/", f"/{job.id}"):
        first = client.get(path)
        assert first.headers["Cache-Control"] == "private, no-cache"
        again = client.get(path, headers={"If-None-Match": first.headers["ETag"]})
        assert (again.status_code, again.data, again.headers["ETag"]) == (304, b"", first.headers["ETag"])
        other = client.get(path, headers={"If-None-Match": '"other"'})
        assert (other.status_code, other.data) == (200, first.data)
    claimed = jobs.claim(job.id)
    assert claimed
    changed = client.get(f"/{job.id}", headers={"If-None-Match": first.headers["ETag"]})
    assert changed.status_code == 200
    assert changed.json
    assert changed.json["state"] == "converting"
    assert jobs.renew(claimed, 0.25)
    assert client.get(f"/{job.id}", headers={"If-None-Match": changed.headers["ETag"]}).status_code == 200


def test_times_are_in_utc_to_the_millisecond(add: Make) -> None:
    """Whatever the clock and the time zone of the connection are."""
    odd = datetime(2026, 11, 26, 1, 2, 3, 999_999, timezone(timedelta(hours=5, minutes=30)))
    shown = replace(add(), created_at=odd, started_at=odd.replace(microsecond=0)).public()
    assert (shown["created_at"], shown["started_at"]) == ("2026-11-25T19:32:03.999Z", "2026-11-25T19:32:03.000Z")


@pytest.mark.parametrize("container", Container)
def test_a_container_is_called_as_people_call_it(container: Container, add: Make) -> None:
    """Not as ffmpeg calls what reads it: "mov", "wv", "rm"."""
    word = replace(add(), container=container.value).public()["source"]["container"]
    assert word == container.name.lower().replace("_", "-")


SOURCE = Source(
    12.34567,
    (
        Track(1, "deu", "Kommentar", "aac", 2, "stereo", 48_000, True),
        Track(2, None, None, None, None, None, None, False),
    ),
    (Chapter(0, 5.0004, "Anfang"), Chapter(5.0004, 12.34567, None)),
)


def test_what_was_found_in_the_video_is_shown_whatever_comes_of_it(client: FlaskClient, add: Make, jobs: Jobs) -> None:
    """So that somebody whose track is not there sees those that are."""
    claimed = jobs.claim(add().id)
    assert claimed
    jobs.note_source(claimed, SOURCE)
    jobs.fail(claimed, "no_such_track", "", "Choose 1 or 2.")
    shown = client.get(f"/{claimed.id}").json
    assert shown["error"] == {"reason": "no_such_track", "detail": "Choose 1 or 2."}
    assert shown["source"]["duration_seconds"] == 12.346
    assert shown["source"]["tracks"] == [
        {"index": 1, "language": "deu", "title": "Kommentar", "codec": "aac", "channels": 2, "channel_layout": "stereo",
         "sample_rate_hz": 48_000, "default": True},
        {"index": 2, "language": None, "title": None, "codec": None, "channels": None, "channel_layout": None,
         "sample_rate_hz": None, "default": False},
    ]  # fmt: skip
    assert shown["source"]["chapters"] == [
        {"start_seconds": 0, "end_seconds": 5.0, "title": "Anfang"},
        {"start_seconds": 5.0, "end_seconds": 12.346, "title": None},
    ]


def test_a_running_job_shows_its_progress(client: FlaskClient, add: Make, jobs: Jobs) -> None:
    """As its worker last renewed it. It is not 100 before the audio can be fetched, and does not fall when it fails."""
    claimed = jobs.claim(add().id)
    assert claimed
    seen = []
    for progress in (0.0, 0.51234, 0.3, 0.9999, 1.0):
        jobs.renew(claimed, progress)
        shown = client.get(f"/{claimed.id}").json
        assert (shown["state"], shown["progress"]["phase"], shown["audio"]) == ("converting", "converting", None)
        assert shown["started_at"] >= shown["queued_at"]
        seen.append(shown["progress"]["percent"])
    assert seen == [0, 51.2, 51.2, 99.9, 99.9]
    jobs.fail(claimed, "damaged", "")
    assert client.get(f"/{claimed.id}").json["progress"] == {"phase": None, "percent": 99.9}


@pytest.mark.parametrize("leave", ["hand back", "retry"])
def test_a_job_that_waits_for_another_attempt_begins_anew(
    leave: str, client: FlaskClient, add: Make, jobs: Jobs
) -> None:
    """What the last attempt had reached is lost with it."""
    claimed = jobs.claim(add().id)
    assert claimed
    jobs.renew(claimed, 0.5)
    if leave == "retry":
        jobs.fail(claimed, "timed_out", "")
        assert client.get(f"/{claimed.id}").json["progress"]["percent"] == 50
        jobs.retry(claimed.id, claimed.owner)
    else:
        jobs.hand_back(claimed, "the disk is full", refund=True)
    assert client.get(f"/{claimed.id}").json["progress"] == {"phase": "waiting", "percent": 0}


def test_a_finished_job_shows_its_audio(client: FlaskClient, finish: Make) -> None:
    """Where it is, what it is called, and what is known of it."""
    job = finish(filename="größe.mov")
    shown = client.get(f"/{job.id}").json
    assert (shown["state"], shown["progress"]) == ("done", {"phase": None, "percent": 100})
    assert shown["audio"] == {
        "url": f"/download?fid={job.fid}", "filename": "größe.mp3", "mime_type": "audio/mpeg",
        "size_bytes": job.audio_size, "duration_seconds": 1.5, "bitrate_kbps": 190, "channels": 2,
        "sample_rate_hz": 44_100, "track": 1, "copied": False, "loudness_lufs": None, "true_peak_dbtp": None,
        "measured_loudness_lufs": None, "measured_true_peak_dbtp": None, "parts": [], "notes": [],
    }  # fmt: skip
    assert job.finished_at
    assert (shown["finished_at"], shown["error"]) == (written(job.finished_at), None)


@pytest.mark.parametrize(("format_", "mime_type"), {each: ENCODINGS[each].mime_type for each in ENCODINGS}.items())
def test_name_and_type_of_the_audio_follow_its_format(format_: str, mime_type: str, finish: Make) -> None:
    audio = finish(options=Options().asked({"format": format_})).public()["audio"]
    assert (audio["filename"], audio["mime_type"]) == (f"video.{format_}", mime_type)


def test_loudness_parts_and_notes_of_the_audio_are_shown(client: FlaskClient, add: Make, jobs: Jobs) -> None:
    """Loudness as it was and as it is, each part with its own address, and each note as a word and a sentence."""
    claimed = jobs.claim(add().id)
    assert claimed
    jobs_of_tests.finish(
        jobs, claimed, loudness=Loudness(-23.4, -5.1, -16.02, -1.3), copied=True, notes=(Note.INCOMPLETE,),
        parts=(Part("Anfang", "01 Anfang.mp3", 40, 3, 1.00049), Part("Ende", "02 Ende.mp3", 80, 2, 0.5)),
    )  # fmt: skip
    shown = client.get(f"/{claimed.id}").json["audio"]
    url_1, url_2 = (f"/download?fid={claimed.fid}&part={number}" for number in (1, 2))
    reached, measured = ("loudness_lufs", "true_peak_dbtp"), ("measured_loudness_lufs", "measured_true_peak_dbtp")
    assert [shown[name] for name in (*reached, *measured)] == [-16.02, -1.3, -23.4, -5.1]
    assert (shown["filename"], shown["mime_type"], shown["copied"]) == ("video.zip", "application/zip", True)
    assert shown["notes"] == [{"note": "incomplete", "says": Note.INCOMPLETE.sentence}]
    assert shown["parts"] == [
        {"title": "Anfang", "filename": "01 Anfang.mp3", "size_bytes": 3, "duration_seconds": 1.0, "url": url_1},
        {"title": "Ende", "filename": "02 Ende.mp3", "size_bytes": 2, "duration_seconds": 0.5, "url": url_2},
    ]  # fmt: skip


def test_the_audio_of_an_earlier_release_is_shown_as_far_as_it_is_known(finish: Make) -> None:
    """Such a row has no facts, and its `fid` is an id of its own."""
    job = replace(finish(fid=UNKNOWN), facts=None)
    shown = job.public()
    audio = shown["audio"]
    assert (audio["url"], audio["duration_seconds"], audio["size_bytes"]) == (
        f"/download?fid={UNKNOWN}",
        1.5,
        job.audio_size,
    )
    assert (audio["bitrate_kbps"], audio["copied"], audio["parts"], audio["notes"]) == (None, False, [], [])
    assert "waveform" not in shown["links"]


LINKS = {
    State.QUEUED: ["self", "cancel", "again"],
    State.CONVERTING: ["self", "cancel", "again"],
    State.DONE: ["self", "audio", "waveform", "again"],
    State.FAILED: ["self", "retry", "again"],
    State.CANCELLED: ["self", "retry", "again"],
    State.EXPIRED: ["self", "again"],
}


@pytest.mark.parametrize("state", State)
def test_links_lead_only_where_the_job_can_go(
    state: State, client: FlaskClient, add: Make, jobs: Jobs, sql: Callable[..., Any]
) -> None:
    """Each is answered with a success; what depends on the video is not offered once that is gone."""
    claimed = jobs.claim(add().id)
    job = claimed and jobs_of_tests.finish(jobs, claimed, peaks=b"\x01")
    assert job
    lease = "lease_until = CASE %s WHEN 'converting' THEN now() END"
    sql(f"UPDATE jobs SET state = %s, {lease}, reason = CASE %s WHEN 'failed' THEN 'damaged' END", state, state, state)
    shown = client.get(f"/{job.id}").json
    assert list(shown["links"]) == LINKS[state]
    assert (shown["progress"]["percent"] == 100) == (shown["audio"] is not None) == (state is State.DONE)
    sql("UPDATE jobs SET video = NULL")
    kept = client.get(f"/{job.id}").json["links"]
    assert list(kept) == [name for name in LINKS[state] if name not in ("retry", "again")]
    sql("UPDATE jobs SET video = %s", str(job.video))
    assert client.get(shown["links"]["self"].removeprefix("/jobs")).json == shown
    if "waveform" in shown["links"]:
        assert client.get(shown["links"]["waveform"].removeprefix("/jobs")).status_code == 200
    assert client.post("/", json={"source": str(job.id)}).status_code == 202
    for name in {"cancel", "retry"} & shown["links"].keys():
        assert client.post(shown["links"][name].removeprefix("/jobs")).status_code in (200, 202)


def test_a_failed_job_shows_its_reason(client: FlaskClient, fail: Callable[[Reason], Job]) -> None:
    """As a stable word for programs and as a sentence; what ffmpeg said is for the log."""
    shown = client.get(f"/{fail(Reason.NO_AUDIO).id}")
    assert shown.json["error"] == {"reason": "no_audio", "detail": Reason.NO_AUDIO.sentence}
    assert shown.json["audio"] is None
    assert "ffmpeg" not in shown.text


def test_one_document_for_one_thing(client: FlaskClient, add: Make, fail: Callable[[Reason], Job]) -> None:
    """The list, the job itself, and whatever moves it show the same."""
    job = fail(Reason.TIMED_OUT)
    add()
    assert client.get("/").json["jobs"][1] == client.get(f"/{job.id}").json
    assert client.post(f"/{job.id}/retry").json == client.get(f"/{job.id}").json
    assert client.post(f"/{job.id}/cancel").json == client.get(f"/{job.id}").json
    made = client.post("/", json={"source": str(job.id), "format": "wav"}).json
    assert made == client.get(f"/{made['id']}").json
    assert made["id"] == made["fid"] != str(job.id)


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
    first = finish(filename="größe.mp4", options=Options(vbr=7, title="Once"))
    answer = again(first, format="opus", start=1.5)
    job = jobs.find(UUID(answer.json["id"]))
    assert job
    assert (answer.status_code, answer.headers["Location"]) == (202, f"/jobs/{job.id}")
    assert "Idempotent-Replayed" not in answer.headers
    assert (job.state, job.fid, job.video, job.filename) == ("queued", job.id, first.video, "größe.mp4")
    assert job.options == Options().asked({"format": "opus", "start": 1.5})
    assert jobs.find(first.id) == first
    [announced] = [asked.event for asked in sink.asked]
    assert (announced.job, announced.source, announced.correlationid) == (job.id, "/functions/jobs", job.correlationid)


def test_what_is_not_asked_for_is_as_the_service_has_it(function: Function, finish: Make, ada: Person) -> None:
    """As for an upload, and not as it was in the other job."""
    client = function("jobs", MP3_QUALITY="6")
    body = {"source": str(finish(options=Options(vbr=0, artist="Ada")).id)}
    shown = client.post("/", json=body, headers=ada.headers).json["options"]
    assert shown == Options(vbr=6).as_json()


def test_converting_again_stands_though_nobody_takes_its_event(
    again: Callable[..., TestResponse], finish: Make, sink: harness.Function, sql: Callable[..., Any]
) -> None:
    """Sweep sends it later."""
    sink.behave = harness.answers(503)
    assert again(finish()).status_code == 202
    assert sql("SELECT hints FROM jobs WHERE state = 'queued'") == [(0,)]


def test_the_cover_that_was_uploaded_can_be_asked_for(
    again: Callable[..., TestResponse], add: Make, jobs: Jobs
) -> None:
    """It cannot be sent in JSON, and need not be."""
    first = add(cover=b"\xff\xd8\xff", options=Options(cover="upload"))
    with_it, without = again(first, cover="upload", vbr=4).json, again(first).json
    assert (with_it["options"]["cover"], jobs.cover(UUID(with_it["id"]))) == ("upload", b"\xff\xd8\xff")
    assert (without["options"]["cover"], jobs.cover(UUID(without["id"]))) == ("keep", None)
    problem(again(add(), cover="upload"), 422, "unprocessable", field="cover")


def test_a_repeat_of_converting_again_makes_no_second_job(again: Callable[..., TestResponse], finish: Make) -> None:
    """The key, of 255 characters at most, is for one source and one set of options."""
    first, key = finish(), "k" * 255
    made, repeated = (again(first, key, vbr=4) for _ in range(2))
    assert made.json["id"] == repeated.json["id"]
    assert (made.headers.get("Idempotent-Replayed"), repeated.headers["Idempotent-Replayed"]) == (None, "true")
    problem(again(first, key, vbr=5), 422, "unprocessable", field="Idempotency-Key")
    problem(again(finish(), key, vbr=4), 422, "unprocessable", field="Idempotency-Key")
    problem(again(first, key + "k"), 400, "bad-request", field="Idempotency-Key")


@pytest.mark.parametrize("lost", ["video", "job"])
def test_a_repeat_is_answered_as_before_whatever_became_of_the_source(
    lost: str, again: Callable[..., TestResponse], finish: Make, jobs: Jobs, sql: Callable[..., Any]
) -> None:
    """An answer that got lost must not turn into a refusal."""
    first = finish()
    made = again(first, "key")
    if lost == "video":
        sql("UPDATE jobs SET video = NULL WHERE id = %s", str(first.id))
    else:
        jobs.delete(first.id, first.owner)
    assert again(first, "key").json == made.json


def test_the_key_of_an_upload_is_for_no_other_request(
    again: Callable[..., TestResponse], finish: Make, function: Function, ada: Person
) -> None:
    """Nor is the key of a conversion for an upload, even of the same bytes."""
    problem(again(finish(idempotency_key="upload"), "upload"), 422, "unprocessable", field="Idempotency-Key")
    again(finish(video_sha256=hashlib.sha256(VIDEO).hexdigest()), "again")
    headers = {**ada.headers, "Idempotency-Key": "again"}
    answer = function("upload").post("/", data=VIDEO, headers=headers)
    problem(answer, 422, "unprocessable", field="Idempotency-Key")


def test_a_video_that_is_no_longer_kept_is_not_converted_again(
    again: Callable[..., TestResponse], finish: Make, expiry: Expiry
) -> None:
    """The answer says what to do."""
    first = finish()
    expiry.take_old_videos(-1, 100)
    assert "upload it again" in problem(again(first), 409, "conflict", field="source")["detail"]


def test_a_job_that_was_deleted_is_not_converted_again(
    again: Callable[..., TestResponse], finish: Make, jobs: Jobs
) -> None:
    first = finish()
    jobs.delete(first.id, first.owner)
    problem(again(first), 404, "not-found", field="source")


def test_nobody_has_hundreds_of_conversions_waiting_that_cost_them_nothing(
    again: Callable[..., TestResponse], add: Make, sql: Callable[..., Any]
) -> None:
    """What somebody uploads takes them time; this takes a hundred bytes."""
    first = add()
    made = [again(first).status_code for _ in range(MOST + 1)]
    assert made == [202] * MOST + [429]
    refused = again(first)
    problem(refused, 429, "throttled")
    assert refused.headers["Retry-After"] == "60"
    sql("UPDATE jobs SET state = 'cancelled', finished_at = now() WHERE id <> %s", first.id)
    assert again(first).status_code == 202


MALFORMED = {
    "no source": ({}, 400, "source"),
    "null": ({"source": None}, 400, "source"),
    "a number": ({"source": 5}, 422, "source"),
    "a list": ({"source": [str(UNKNOWN)]}, 422, "source"),
    "no id": ({"source": "x"}, 422, "source"),
    "nobody's job": ({"source": str(UNKNOWN)}, 404, "source"),
    "a word that is none": ({"source": str(UNKNOWN), "bitrat": 128}, 400, "bitrat"),
    "another member of the job": ({"source": str(UNKNOWN), "filename": "a.mp4"}, 400, "filename"),
    "a value that is none": ({"source": str(UNKNOWN), "vbr": 10}, 422, "vbr"),
    "options that exclude each other": ({"source": str(UNKNOWN), "bitrate": 128, "quality": "max"}, 422, "quality"),
}


@pytest.mark.parametrize(("body", "status", "field"), MALFORMED.values(), ids=MALFORMED)
def test_what_cannot_be_converted_again_is_told(
    body: dict[str, Any], status: int, field: str, client: FlaskClient
) -> None:
    """With the part that is wrong."""
    slug = {400: "bad-request", 404: "not-found", 422: "unprocessable"}[status]
    problem(client.post("/", json=body), status, slug, field=field)


def test_a_misspelt_option_is_told_the_nearest(again: Callable[..., TestResponse], finish: Make) -> None:
    assert "`bitrate`" in problem(again(finish(), bitrat=128), 400, "bad-request", field="bitrat")["detail"]


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'"x"', b"\xff", b'{"source": "a", "source": "b"}'])
def test_a_body_that_is_no_object_is_refused(body: bytes, client: FlaskClient) -> None:
    problem(client.post("/", data=body), 400, "bad-request")


def test_options_are_not_taken_from_the_query(client: FlaskClient, finish: Make) -> None:
    """Here they are in the body; ignored, they would be missed in the audio."""
    answer = client.post("/?format=opus", json={"source": str(finish().id)})
    problem(answer, 400, "bad-request", field="format")


@pytest.mark.parametrize("text", ["\0", "\ud800", "\u202e", "a\0b", "\U0010ffff"])
def test_no_text_breaks_a_row(text: str, again: Callable[..., TestResponse], finish: Make) -> None:
    """JSON can say what Postgres cannot store."""
    assert again(finish(), title=text, key="k").status_code in (202, 422)


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


def test_a_waveform_is_not_sent_twice(client: FlaskClient, add: Make, jobs: Jobs) -> None:
    """Its tag changes with the peaks; no other cache than one's own may keep it."""
    claimed = jobs.claim(add().id)
    assert claimed
    jobs_of_tests.finish(jobs, claimed, peaks=b"\x01")
    first = client.get(f"/{claimed.id}/waveform")
    assert first.headers["Cache-Control"] == "private, no-cache"
    again = client.get(f"/{claimed.id}/waveform", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    assert client.get(f"/{claimed.id}/waveform", headers={"If-None-Match": '"other"'}).status_code == 200


def test_nobody_sees_another_s_waveform(function: Function, eve: Person, finish: Make) -> None:
    problem(function("jobs").get(f"/{finish().id}/waveform", headers=eve.headers), 404, "not-found")


def test_audio_of_earlier_releases_has_no_waveform(client: FlaskClient, finish: Make) -> None:
    problem(client.get(f"/{finish().id}/waveform"), 404, "not-found")
