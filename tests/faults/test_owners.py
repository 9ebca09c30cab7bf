"""What owners and sweep do at awkward moments: cancel, delete, try again, send twice, upload slowly."""

import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from uuid import uuid4

import requests

from functions.stores.gridfs import BATCH, CHUNK
from tests import videos
from tests.acceptance.person import Person
from tests.faults.conftest import Upload
from tests.faults.harness import Harness, wake
from tests.waiting import PATIENCE, until


def test_a_cancel_stops_ffmpeg_before_its_end(harness: Harness, person: Person, upload: Upload, shelf: Path) -> None:
    """Break: the owner cancels while ffmpeg runs. Symptom: none.
    Recovery: it never comes to its end, nothing is stored, and a retry makes the MP3.
    """
    job = upload(videos.long(shelf, 2))
    until(harness.is_encoding)
    unstored = harness.crash_at("audios.write")
    assert person.ask("POST", f"/jobs/{job['id']}/cancel").json()["state"] == "cancelled"
    until(lambda: [each["outcome"] for each in harness.deliveries(job)] == ["done"])
    assert not harness.is_encoding()
    assert not harness.orphans()
    unstored.unlink()  # FileNotFoundError: somebody has stored something
    assert person.ask("POST", f"/jobs/{job['id']}/retry").status_code == 202
    harness.until_swept(lambda: harness.is_told_once(job))


def test_a_deletion_stops_ffmpeg_and_the_worker_stores_nothing(
    harness: Harness, person: Person, upload: Upload, shelf: Path
) -> None:
    """Break: the owner deletes a job while ffmpeg runs. Symptom: none; the job is hidden at once, and a repeat is 204.
    Recovery: the worker finds its lease gone, and nobody is mailed.
    """
    job = upload(videos.long(shelf, 2))
    until(harness.is_encoding)
    unstored = harness.crash_at("audios.write")
    for _ in range(2):
        assert person.ask("DELETE", f"/jobs/{job['id']}").status_code == 204
        assert person.ask("GET", f"/jobs/{job['id']}").status_code == 404
    until(lambda: [each["outcome"] for each in harness.deliveries(job)] == ["done"])
    assert not harness.is_encoding()
    assert not harness.orphans()
    unstored.unlink()  # FileNotFoundError: somebody has stored something
    assert harness.row(job)["state"] == "cancelled"
    assert not harness.sql("SELECT job FROM notifications WHERE job = %s", job["id"])


def test_a_cancel_is_heard_while_the_video_is_fetched(harness: Harness, person: Person, upload: Upload) -> None:
    """Break: the owner cancels a job whose video comes slowly. Symptom: none. Recovery: no ffmpeg is ever started."""
    crash_point = harness.crash_at("jobs.claim", signal.SIGSTOP)
    job = upload(videos.bunny())
    until(lambda: not crash_point.exists())
    harness.wires["mongo"].stall()
    for convert in harness.functions["convert"]:
        wake(convert)
    person.ask("POST", f"/jobs/{job['id']}/cancel")
    harness.wires["mongo"].restore()
    until(lambda: harness.deliveries(job))
    (line,) = (line for line in harness.log("convert") if line.get("job") == job["id"])
    assert line["status"] == 202
    assert harness.row(job)["state"] == "cancelled"
    assert not harness.orphans()


def test_rows_without_columns_are_rows(harness: Harness) -> None:
    """What is waited for here is often only that there are none: an empty answer must mean that."""
    assert len(harness.sql("SELECT FROM generate_series(1, 3)")) == 3


def test_moves_that_are_none_are_conflicts(harness: Harness, person: Person, upload: Upload) -> None:
    """409 for a retry of what waits or is done, and of what has no video any more."""
    harness.lead("convert")
    job = upload(videos.bunny())
    assert person.ask("POST", f"/jobs/{job['id']}/retry").status_code == 409
    harness.heal()
    harness.until_swept(lambda: harness.is_told_once(job))
    assert person.ask("POST", f"/jobs/{job['id']}/retry").status_code == 409


def test_a_deleted_job_is_hidden_at_once_and_its_bytes_go_later(
    harness: Harness, person: Person, upload: Upload
) -> None:
    """Nothing is removed under a download that may still run; after the longest one, video and MP3 are gone."""
    job = upload(videos.bunny())
    until(lambda: harness.is_told_once(job))
    link = person.ask("GET", f"/jobs/{job['id']}").json()["links"]["audio"]
    files = {harness.row(job)["video"], harness.row(job)["audio"]}
    assert person.ask("DELETE", f"/jobs/{job['id']}").status_code == 204
    for path in (f"/jobs/{job['id']}", link):
        assert person.ask("GET", path).status_code == 404
    harness.sweep()
    assert files <= harness.files()
    harness.let_pass(3700)
    harness.sweep()
    assert not files & harness.files()


def test_one_key_makes_one_job_also_when_two_come_at_once(harness: Harness, person: Person, upload: Upload) -> None:
    """The loser removes its own video; another video under that key is refused; another owner's key is another key."""
    key = uuid4().hex
    with ThreadPoolExecutor() as pool:
        jobs = list(pool.map(lambda _: upload(videos.bunny(), **{"Idempotency-Key": key}), range(4)))
    assert len({job["id"] for job in jobs}) == 1
    assert not harness.orphans()
    answer = person.ask("POST", "/upload", data=b"RIFF....WAVE" * 9, headers={"Idempotency-Key": key})
    assert answer.status_code == 422
    assert not harness.orphans()
    video = videos.bunny().read_bytes()
    theirs = Person(harness).ask("POST", "/upload", data=video, headers={"Idempotency-Key": key}).json()
    assert theirs["id"] != jobs[0]["id"]
    for job in (jobs[0], theirs):
        harness.until_swept(partial(harness.is_told_once, job))


def test_sweep_leaves_a_slow_upload_alone(harness: Harness, person: Person) -> None:
    """Break: an upload takes longer than the age of orphans, and sweep comes by. Symptom: its first chunks are old, and
    no row names them. Recovery: none needed, for its newest chunk is young.
    """
    video = videos.bunny().read_bytes() + bytes(24_000_000)
    harness.until_swept(lambda: not harness.orphans())
    first, second = BATCH * CHUNK + CHUNK, 2 * BATCH * CHUNK + CHUNK

    def slowly() -> Iterator[bytes]:
        yield video[:first]
        until(lambda: len(harness.unfinished_chunks()) == BATCH)
        harness.age_unfinished_chunks()
        yield video[first:second]
        until(lambda: len(harness.unfinished_chunks()) == 2 * BATCH)
        assert harness.sweep()["orphan_videos"] == 0
        yield video[second:]

    job = person.ask("POST", "/upload", data=slowly()).json()
    assert b"".join(harness.videos.read(harness.row(job)["video"])) == video


def test_two_sweeps_at_once_send_each_event_once(harness: Harness, upload: Upload) -> None:
    """They take rows the other has not, so a deep backlog is not doubled."""
    harness.lead("convert")
    harness.wires["sink"].cut()
    jobs = [upload(videos.bunny()) for _ in range(5)]
    harness.wires["sink"].restore()
    harness.let_pass(60)
    with ThreadPoolExecutor() as pool:
        swept = list(pool.map(lambda _: harness.sweep(), range(2)))
    assert sum(each["jobs_announced"] for each in swept) == len(jobs)
    harness.heal()
    for job in jobs:
        harness.until_swept(partial(harness.is_told_once, job))


def test_what_is_to_be_watched_can_be_watched(harness: Harness, upload: Upload, shelf: Path) -> None:
    """Jobs by state, the age of the oldest, tries, failures by reason, speed, bytes, and what lies parked."""
    failed, done = upload(videos.silent(shelf)), upload(videos.bunny())
    until(lambda: harness.is_told_once(done) and harness.row(failed)["state"] == "failed")
    everywhere = {f"{each.url}_/metrics" for instances in harness.functions.values() for each in instances}
    told = "".join(requests.get(url, timeout=PATIENCE).text for url in everywhere | {f"{harness.bridge.url}_/metrics"})
    for series in (
        'videotomp3_jobs{state="done"}',
        "videotomp3_oldest_queued_seconds",
        'videotomp3_tries{state="done"}',
        'videotomp3_failed_jobs_total{reason="no_audio"}',
        "videotomp3_conversion_seconds_per_media_minute_count",
        'videotomp3_transferred_bytes_total{direction="in"}',
        'bridge_queue_messages{queue="events.parked"}',
    ):
        assert f"\n{series} " in told, series
