"""Servers that die, restart, stall and lose, and wires that are cut. Docstrings name break, symptom and recovery."""

import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pika
import psutil
import pytest
import requests

from events import contract, envelope
from events.emulator import account
from events.emulator.processes import Part, python
from tests import films
from tests.acceptance.person import Person
from tests.faults.conftest import Upload
from tests.faults.stage import Stage, asleep
from tests.waiting import PATIENCE, until

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("server", ["postgres", "mongo", "rabbitmq"])
def test_a_server_that_dies_in_the_middle_of_a_conversion_costs_time_only(
    server: str, stage: Stage, upload: Upload, shelf: Path
) -> None:
    """Break: kill -9 of a server while convert works, and a new start. Symptom: its connections break, what it was told
    in that moment is unknown. Recovery: the attempt goes on, or hands the job back, or its lease lapses.
    """
    job = upload(films.long(shelf, 1))
    until(stage.is_encoding)
    part: Part = getattr(stage, server)
    stage.restart(part)
    stage.until_swept(lambda: stage.is_told_once(job))
    stage.until_swept(lambda: not stage.strays())


@pytest.mark.parametrize("wire", ["postgres", "mongo", "rabbitmq", "sink", "mail"])
def test_a_connection_that_stalls_is_given_up_in_time(
    wire: str, stage: Stage, person: Person, upload: Upload, shelf: Path
) -> None:
    """Break: nothing passes to a server, though no connection is closed. Symptom: an upload is answered all the same
    while nothing does. Recovery: what was begun is finished or begun anew.
    """
    job = upload(films.long(shelf, 1))
    until(stage.is_encoding)
    stage.wires[wire].stall()
    answer = person.ask("POST", "/upload", data=films.bunny().read_bytes())
    assert answer.status_code in (202, 503)
    stage.wires[wire].restore()
    stage.until_swept(lambda: stage.is_told_once(job))
    stage.until_swept(lambda: not stage.sql("SELECT FROM jobs WHERE state IN ('queued', 'converting')"))
    stage.until_swept(lambda: not stage.strays())


def test_a_long_outage_of_postgres_fails_nobodys_job(stage: Stage, upload: Upload) -> None:
    """Break: Postgres is away for longer than every retry lasts. Symptom: the event is given up and parked.
    Recovery: the job has lost no try; `replay` sends its event again (sweep would, too).
    """
    converts = stage.functions["convert"]
    with asleep(converts[0]), asleep(converts[1]):
        job = upload(films.bunny())
        stage.wires["postgres"].cut()
    until(lambda: parked(stage) > 0)
    stage.wires["postgres"].restore()
    assert (stage.row(job)["state"], stage.row(job)["tries"]) == ("queued", 0)
    assert replay(stage) == "1 parked event sent again\n"
    until(lambda: stage.is_told_once(job))


def test_an_event_that_dead_letter_cannot_take_is_parked(stage: Stage, upload: Upload) -> None:
    """Break: convert is away, and dead-letter too. Symptom: the event is parked. Recovery: `replay`."""
    stage.lead("convert")
    stage.lead("dead-letter")
    job = upload(films.bunny())
    until(lambda: parked(stage) > 0)
    stage.heal()
    replay(stage)
    until(lambda: stage.is_told_once(job))


def parked(stage: Stage) -> float:
    """Events, as Prometheus is told."""
    text = requests.get(f"{stage.bridge.url}_/metrics", timeout=PATIENCE).text
    return sum(map(float, re.findall(r'^bridge_queue_messages{queue="events.parked"} (.*)$', text, re.MULTILINE)))


def replay(stage: Stage) -> str:
    run = subprocess.run(
        python("-m", "events.bridge", "replay"), env=stage.env, cwd=ROOT, capture_output=True, encoding="utf-8"
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


def test_a_worker_without_postgres_stops_when_its_lease_ends(stage: Stage, upload: Upload, shelf: Path) -> None:
    """Break: convert loses Postgres while it works. Symptom: it cannot renew its lease.
    Recovery: when that ends by its own clock it kills ffmpeg and stores nothing; sweep frees the job.
    """
    job = upload(films.long(shelf, 10))
    until(stage.is_encoding)
    unstored = stage.mine("audios.write")
    stage.wires["postgres"].cut()
    until(lambda: not stage.is_encoding())
    assert not stage.strays()
    stage.wires["postgres"].restore()
    until(lambda: [each["outcome"] for each in stage.deliveries(job)] == ["done"])
    assert unstored.exists()  # ffmpeg did not come to its end


def test_two_workers_on_one_event_make_one_mp3(stage: Stage, upload: Upload) -> None:
    """Break: two workers get one event at once. Symptom: none. Recovery: one gets the claim, the other answers 202."""
    stage.wires["sink"].cut()
    job = upload(films.bunny())
    with ThreadPoolExecutor() as pool:
        answers = pool.map(lambda worker: deliver(worker.url, job), stage.functions["convert"])
    assert sorted(answer.status_code for answer in answers) == [200, 202]
    assert stage.row(job)["fence"] == 1
    assert not stage.strays()
    stage.wires["sink"].restore()
    stage.until_swept(lambda: stage.is_told_once(job))


def deliver(url: str, job: dict[str, Any]) -> requests.Response:
    """The job's event, as a dispatcher posts it."""
    made = contract.event(
        contract.VIDEO_UPLOADED, UUID(job["id"]), 0, source="/functions/upload", time=datetime.now(UTC),
        data={"size": 1, "container": "mov"},
    )  # fmt: skip
    headers, body = envelope.to_http(made)
    return requests.post(url, body, headers=headers, timeout=PATIENCE)


def test_a_saturated_worker_says_when_to_come_again(stage: Stage, upload: Upload, shelf: Path) -> None:
    """Break: more films than places. Symptom: 429 with Retry-After. Recovery: the event comes again later."""
    (first, _) = stage.functions["convert"]
    stage.wires["sink"].cut()
    *taken, waiting = upload(films.long(shelf, 1)), upload(films.long(shelf, 1)), upload(films.bunny())
    with ThreadPoolExecutor() as pool:
        pool.map(lambda job: deliver(first.url, job), taken)
        until(lambda: all(stage.row(job)["state"] == "converting" for job in taken))
        answer = deliver(first.url, waiting)
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "5")
    stage.wires["sink"].restore()
    for job in (*taken, waiting):
        stage.until_swept(lambda job=job: stage.is_told_once(job))


def test_a_full_disk_costs_no_try(stage: Stage, upload: Upload) -> None:
    """Break: convert's disk takes no whole film. Symptom: the job is handed back, and its events are tried again.
    Recovery: by itself once there is room.
    """
    full = stage.workers()
    for process in full:
        limit_files(process, "900000")
    job = upload(films.bunny())
    until(lambda: len(stage.deliveries(job)) >= 2)
    assert {each["code"] for each in stage.deliveries(job)} == {503}
    row = stage.row(job)
    assert (row["state"], row["tries"]) == ("queued", 0)
    assert "File too large" in row["last_error"]
    for process in full:
        limit_files(process, "unlimited")
    stage.until_swept(lambda: stage.is_told_once(job))


def limit_files(process: psutil.Process, size: str) -> None:
    """No file it writes may become larger. As its own account: a container's root may not limit what others run."""
    limit = ["prlimit", f"--pid={process.pid}", f"--fsize={size}:unlimited"]
    subprocess.run(["setpriv", *account.options(), "--", *limit], check=True)


def test_a_reply_that_the_broker_refuses_is_said_again(stage: Stage, upload: Upload) -> None:
    """Break: the queue for results is bound to nothing. Symptom: the reply is returned, so the event is not acked.
    Recovery: the binding is made anew; the redelivery finds the job done and replies again.
    """
    with closing(pika.BlockingConnection(pika.URLParameters(stage.rabbitmq.url))) as connection:
        connection.channel().queue_unbind("mp3", "events", contract.AUDIO_CONVERTED)
    job = upload(films.bunny())
    until(lambda: stage.is_told_once(job))
    until(lambda: stage.deliveries(job)[-1]["outcome"] == "replied")
    *refused, said = [each["outcome"] for each in stage.deliveries(job)]
    assert (set(refused), said) == ({"retry"}, "replied")
    assert stage.row(job)["fence"] == 1


def test_a_mail_server_that_is_away_for_an_hour_touches_no_job(stage: Stage, person: Person, upload: Upload) -> None:
    """Break: no mail goes out for an hour. Symptom: the job is done, its letter is owed.
    Recovery: sweep announces the result until it was told.
    """
    stage.wires["mail"].cut()
    job = upload(films.bunny())
    until(lambda: stage.deliveries(job, "dead-letter"))
    before = person.ask("GET", f"/jobs/{job['id']}").json()
    assert before["state"] == "done"
    for _ in range(6):
        stage.let_pass(600)
        stage.sweep()
    until(lambda: len(stage.deliveries(job, "notify")) > 5)
    stage.wires["mail"].restore()
    stage.until_swept(lambda: stage.is_told_once(job))
    assert stage.row(job)["tries"] == 1


def test_a_job_whose_workers_all_die_fails_and_can_be_revived(
    stage: Stage, person: Person, upload: Upload, shelf: Path
) -> None:
    """Break: whoever takes the job dies, three times. Symptom: no try is left.
    Recovery: sweep fails the job; its owner is told, and may try again.
    """
    job = upload(films.long(shelf, 1))
    for _ in range(3):
        mine = stage.mine("jobs.renew")
        stage.until_swept(lambda mine=mine: not mine.exists())
    stage.until_swept(lambda: stage.mails(job) == 1)
    failed = person.ask("GET", f"/jobs/{job['id']}").json()
    assert (failed["state"], failed["reason"]) == ("failed", "retries_exhausted")
    assert person.ask("POST", f"/jobs/{job['id']}/retry").status_code == 202
    stage.until_swept(lambda: stage.is_told_once(job))
