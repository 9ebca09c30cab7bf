"""What owners and sweep do at awkward moments: cancel, delete, try again, send twice, upload slowly."""

import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import requests

from functions.stores.gridfs import BATCH, CHUNK
from tests import films
from tests.acceptance.person import Person
from tests.faults.conftest import Upload
from tests.faults.stage import Stage, wake
from tests.waiting import PATIENCE, until


def test_a_cancel_stops_ffmpeg_before_its_end(stage: Stage, person: Person, upload: Upload, shelf: Path) -> None:
    """Break: the owner cancels while ffmpeg runs. Symptom: none.
    Recovery: it never comes to its end, nothing is stored, and a retry makes the MP3.
    """
    job = upload(films.long(shelf, 2))
    until(stage.is_encoding)
    unstored = stage.mine("audios.write")
    assert person.ask("DELETE", f"/jobs/{job['id']}").json()["state"] == "cancelled"
    until(lambda: [each["outcome"] for each in stage.deliveries(job)] == ["done"])
    assert not stage.is_encoding()
    assert not stage.strays()
    unstored.unlink()  # FileNotFoundError: somebody has stored something
    assert person.ask("POST", f"/jobs/{job['id']}/retry").status_code == 202
    stage.until_swept(lambda: stage.is_told_once(job))


def test_a_cancel_is_heard_while_the_film_is_fetched(stage: Stage, person: Person, upload: Upload) -> None:
    """Break: the owner cancels a job whose film comes slowly. Symptom: none. Recovery: no ffmpeg is ever started."""
    mine = stage.mine("jobs.claim", signal.SIGSTOP)
    job = upload(films.bunny())
    until(lambda: not mine.exists())
    stage.wires["mongo"].stall()
    for convert in stage.functions["convert"]:
        wake(convert)
    person.ask("DELETE", f"/jobs/{job['id']}")
    stage.wires["mongo"].restore()
    until(lambda: stage.deliveries(job))
    (line,) = (line for line in stage.journal("convert") if line.get("job") == job["id"])
    assert line["status"] == 202
    assert stage.row(job)["state"] == "cancelled"
    assert not stage.strays()


def test_rows_without_columns_are_rows(stage: Stage) -> None:
    """What is waited for here is often only that there are none: an empty answer must mean that."""
    assert len(stage.sql("SELECT FROM generate_series(1, 3)")) == 3


def test_moves_that_are_none_are_conflicts(stage: Stage, person: Person, upload: Upload) -> None:
    """409 for a retry of what waits or is done, and of what has no film any more."""
    stage.lead("convert")
    job = upload(films.bunny())
    assert person.ask("POST", f"/jobs/{job['id']}/retry").status_code == 409
    stage.heal()
    stage.until_swept(lambda: stage.is_told_once(job))
    assert person.ask("POST", f"/jobs/{job['id']}/retry").status_code == 409


def test_a_deleted_job_is_hidden_at_once_and_its_bytes_go_later(stage: Stage, person: Person, upload: Upload) -> None:
    """Nothing is removed under a download that may still run; after the longest one, film and MP3 are gone."""
    job = upload(films.bunny())
    until(lambda: stage.is_told_once(job))
    link = person.ask("GET", f"/jobs/{job['id']}").json()["download"]
    files = {stage.row(job)["video"], stage.row(job)["audio"]}
    assert person.ask("DELETE", f"/jobs/{job['id']}").status_code == 204
    for path in (f"/jobs/{job['id']}", link):
        assert person.ask("GET", path).status_code == 404
    stage.sweep()
    assert files <= stage.files()
    stage.let_pass(3700)
    stage.sweep()
    assert not files & stage.files()


def test_one_key_makes_one_job_also_when_two_come_at_once(stage: Stage, person: Person, upload: Upload) -> None:
    """The loser removes its own film; another film under that key is refused; another owner's key is another key."""
    key = uuid4().hex
    with ThreadPoolExecutor() as pool:
        jobs = list(pool.map(lambda _: upload(films.bunny(), **{"Idempotency-Key": key}), range(4)))
    assert len({job["id"] for job in jobs}) == 1
    assert not stage.strays()
    answer = person.ask("POST", "/upload", data=b"RIFF....WAVE" * 9, headers={"Idempotency-Key": key})
    assert answer.status_code == 422
    assert not stage.strays()
    film = films.bunny().read_bytes()
    theirs = Person(stage).ask("POST", "/upload", data=film, headers={"Idempotency-Key": key}).json()
    assert theirs["id"] != jobs[0]["id"]
    for job in (jobs[0], theirs):
        stage.until_swept(lambda job=job: stage.is_told_once(job))


def test_sweep_leaves_a_slow_upload_alone(stage: Stage, person: Person) -> None:
    """Break: an upload takes longer than the age of strays, and sweep comes by. Symptom: its first chunks are old, and
    no row names them. Recovery: none needed, for its newest chunk is young.
    """
    film = films.bunny().read_bytes() + bytes(24_000_000)
    stage.until_swept(lambda: not stage.strays())
    first, second = BATCH * CHUNK + CHUNK, 2 * BATCH * CHUNK + CHUNK

    def slowly() -> Iterator[bytes]:
        yield film[:first]
        until(lambda: len(stage.unfinished_chunks()) == BATCH)
        stage.age_unfinished_chunks()
        yield film[first:second]
        until(lambda: len(stage.unfinished_chunks()) == 2 * BATCH)
        assert stage.sweep()["stray_films"] == 0
        yield film[second:]

    job = person.ask("POST", "/upload", data=slowly()).json()
    assert b"".join(stage.videos.read(stage.row(job)["video"])) == film


def test_two_sweeps_at_once_send_each_event_once(stage: Stage, upload: Upload) -> None:
    """They take rows the other has not, so a deep backlog is not doubled."""
    stage.lead("convert")
    stage.wires["sink"].cut()
    jobs = [upload(films.bunny()) for _ in range(5)]
    stage.wires["sink"].restore()
    stage.let_pass(60)
    with ThreadPoolExecutor() as pool:
        swept = list(pool.map(lambda _: stage.sweep(), range(2)))
    assert sum(each["jobs_announced"] for each in swept) == len(jobs)
    stage.heal()
    for job in jobs:
        stage.until_swept(lambda job=job: stage.is_told_once(job))


def test_what_is_to_be_watched_can_be_watched(stage: Stage, upload: Upload, shelf: Path) -> None:
    """Jobs by state, the age of the oldest, tries, failures by reason, speed, bytes, and what lies parked."""
    failed, done = upload(films.silent(shelf)), upload(films.bunny())
    until(lambda: stage.is_told_once(done) and stage.row(failed)["state"] == "failed")
    everywhere = {f"{each.url}_/metrics" for instances in stage.functions.values() for each in instances}
    told = "".join(requests.get(url, timeout=PATIENCE).text for url in everywhere | {f"{stage.bridge.url}_/metrics"})
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
