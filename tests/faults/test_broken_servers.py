"""Servers that die, restart, stall and lose, and wires that are cut. Docstrings name break, symptom and recovery."""

import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import pika
import psutil
import pytest
import requests

from emulator import privileges
from emulator.parts import Part
from emulator.processes import python
from events import contract, envelope
from tests import videos
from tests.acceptance.person import Person
from tests.faults.conftest import Upload
from tests.faults.harness import Harness, asleep
from tests.waiting import PATIENCE, until

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("server", ["postgres", "mongo", "rabbitmq"])
def test_a_server_that_dies_in_the_middle_of_a_conversion_costs_time_only(
    server: str, harness: Harness, upload: Upload, shelf: Path
) -> None:
    """Break: kill -9 of a server while convert works, and a new start. Symptom: its connections break, what it was told
    in that moment is unknown. Recovery: the attempt goes on, or hands the job back, or its lease lapses.
    """
    job = upload(videos.long(shelf, 1))
    until(harness.is_encoding)
    part: Part = getattr(harness, server)
    harness.restart(part)
    harness.until_swept(lambda: harness.is_told_once(job))
    harness.until_swept(lambda: not harness.orphans())


@pytest.mark.parametrize("wire", ["postgres", "mongo", "rabbitmq", "sink", "mail"])
def test_a_connection_that_stalls_is_given_up_in_time(
    wire: str, harness: Harness, person: Person, upload: Upload, shelf: Path
) -> None:
    """Break: nothing passes to a server, though no connection is closed. Symptom: an upload is answered all the same
    while nothing does. Recovery: what was begun is finished or begun anew.
    """
    job = upload(videos.long(shelf, 1))
    until(harness.is_encoding)
    harness.wires[wire].stall()
    answer = person.ask("POST", "/upload", data=videos.bunny().read_bytes())
    assert answer.status_code in (202, 503)
    harness.wires[wire].restore()
    harness.until_swept(lambda: harness.is_told_once(job))
    harness.until_swept(lambda: not harness.sql("SELECT FROM jobs WHERE state IN ('queued', 'converting')"))
    harness.until_swept(lambda: not harness.orphans())


def test_a_broker_that_has_lost_all_is_told_again(harness: Harness, upload: Upload) -> None:
    """Break: RabbitMQ comes back without anything that it had. Symptom: nobody knows of the queued jobs any more.
    Recovery: the bridge finds no queues and asks sweep, which nothing else calls here.
    """
    harness.lead("convert")
    jobs = [upload(videos.bunny()) for _ in range(3)]
    harness.rabbitmq.stop()
    shutil.rmtree(harness.rabbitmq.directory / "state")
    harness.heal()
    until(lambda: all(harness.is_told_once(job) for job in jobs))


def test_a_long_outage_of_postgres_fails_nobodys_job(harness: Harness, upload: Upload) -> None:
    """Break: Postgres is away for longer than every retry lasts. Symptom: the event is given up and parked.
    Recovery: the job has lost no try; `replay` sends its event again (sweep would, too).
    """
    converts = harness.functions["convert"]
    with asleep(converts[0]), asleep(converts[1]):
        job = upload(videos.bunny())
        harness.wires["postgres"].cut()
    until(lambda: parked(harness) > 0)
    harness.wires["postgres"].restore()
    assert (harness.row(job)["state"], harness.row(job)["tries"]) == ("queued", 0)
    assert replay(harness) == "1 parked event sent again\n"
    until(lambda: harness.is_told_once(job))


def test_an_event_that_dead_letter_cannot_take_is_parked(harness: Harness, upload: Upload) -> None:
    """Break: convert is away, and dead-letter too. Symptom: the event is parked. Recovery: `replay`."""
    harness.lead("convert")
    harness.lead("dead-letter")
    job = upload(videos.bunny())
    until(lambda: parked(harness) > 0)
    harness.heal()
    replay(harness)
    until(lambda: harness.is_told_once(job))


def parked(harness: Harness) -> float:
    """Events, as Prometheus is told."""
    text = requests.get(f"{harness.bridge.url}_/metrics", timeout=PATIENCE).text
    return sum(map(float, re.findall(r'^bridge_queue_messages{queue="events.parked"} (.*)$', text, re.MULTILINE)))


def replay(harness: Harness) -> str:
    run = subprocess.run(
        python("-m", "events.bridge", "replay"), env=harness.env, cwd=ROOT, capture_output=True, encoding="utf-8"
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


def test_a_worker_without_postgres_stops_when_its_lease_ends(harness: Harness, upload: Upload, shelf: Path) -> None:
    """Break: convert loses Postgres while it works. Symptom: it cannot renew its lease.
    Recovery: when that ends by its own clock it kills ffmpeg and stores nothing; sweep frees the job.
    """
    job = upload(videos.long(shelf, 10))
    until(harness.is_encoding)
    unstored = harness.crash_at("audios.write")
    harness.wires["postgres"].cut()
    until(lambda: not harness.is_encoding())
    assert not harness.orphans()
    harness.wires["postgres"].restore()
    until(lambda: [each["outcome"] for each in harness.deliveries(job)] == ["done"])
    assert unstored.exists()  # ffmpeg did not come to its end


def test_two_workers_on_one_event_make_one_mp3(harness: Harness, upload: Upload) -> None:
    """Break: two workers get one event at once. Symptom: none. Recovery: one gets the claim, the other answers 202."""
    harness.wires["sink"].cut()
    job = upload(videos.bunny())
    with ThreadPoolExecutor() as pool:
        answers = pool.map(lambda worker: deliver(worker.url, job), harness.functions["convert"])
    assert sorted(answer.status_code for answer in answers) == [200, 202]
    assert harness.row(job)["fence"] == 1
    assert not harness.orphans()
    harness.wires["sink"].restore()
    harness.until_swept(lambda: harness.is_told_once(job))


def deliver(url: str, job: dict[str, Any]) -> requests.Response:
    """The job's event, as a dispatcher posts it."""
    made = contract.event(
        contract.VIDEO_UPLOADED, UUID(job["id"]), 0, source="/functions/upload", time=datetime.now(UTC),
        data={"size": 1, "container": "mov"},
    )  # fmt: skip
    headers, body = envelope.to_http(made)
    return requests.post(url, body, headers=headers, timeout=PATIENCE)


def test_a_saturated_worker_says_when_to_come_again(harness: Harness, upload: Upload, shelf: Path) -> None:
    """Break: more videos than places. Symptom: 429 with Retry-After. Recovery: the event comes again later."""
    (first, _) = harness.functions["convert"]
    harness.wires["sink"].cut()
    *taken, waiting = upload(videos.long(shelf, 1)), upload(videos.long(shelf, 1)), upload(videos.bunny())
    with ThreadPoolExecutor() as pool:
        pool.map(lambda job: deliver(first.url, job), taken)
        until(lambda: all(harness.row(job)["state"] == "converting" for job in taken))
        answer = deliver(first.url, waiting)
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "5")
    harness.wires["sink"].restore()
    for job in (*taken, waiting):
        harness.until_swept(partial(harness.is_told_once, job))


def test_a_full_disk_costs_no_try(harness: Harness, upload: Upload) -> None:
    """Break: convert's disk takes no whole video. Symptom: the job is handed back, and its events are tried again.
    Recovery: by itself once there is room.
    """
    full = harness.workers()
    for process in full:
        limit_files(process, "900000")
    job = upload(videos.bunny())
    until(lambda: len(harness.deliveries(job)) >= 2)
    assert {each["code"] for each in harness.deliveries(job)} == {503}
    row = harness.row(job)
    assert (row["state"], row["tries"]) == ("queued", 0)
    assert "File too large" in row["last_error"]
    for process in full:
        limit_files(process, "unlimited")
    harness.until_swept(lambda: harness.is_told_once(job))


def limit_files(process: psutil.Process, size: str) -> None:
    """No file it writes may become larger. As its own account: a container's root may not limit what others run."""
    limit = ["prlimit", f"--pid={process.pid}", f"--fsize={size}:unlimited"]
    subprocess.run(["setpriv", *privileges.setpriv_options(), "--", *limit], check=True)


def test_a_reply_that_the_broker_refuses_is_said_again(harness: Harness, upload: Upload) -> None:
    """Break: the queue for results is bound to nothing. Symptom: the reply is returned, so the event is not acked.
    Recovery: the binding is made anew; the redelivery finds the job done and replies again.
    """
    with closing(pika.BlockingConnection(pika.URLParameters(harness.rabbitmq.url))) as connection:
        connection.channel().queue_unbind("mp3", "events", contract.AUDIO_CONVERTED)
    job = upload(videos.bunny())
    until(lambda: harness.is_told_once(job))
    until(lambda: harness.deliveries(job)[-1]["outcome"] == "replied")
    *refused, said = [each["outcome"] for each in harness.deliveries(job)]
    assert (set(refused), said) == ({"retry"}, "replied")
    assert harness.row(job)["fence"] == 1


def test_a_mail_server_that_is_away_for_an_hour_touches_no_job(
    harness: Harness, person: Person, upload: Upload
) -> None:
    """Break: no mail goes out for an hour. Symptom: the job is done, its email is owed.
    Recovery: sweep announces the result until it was told.
    """
    harness.wires["mail"].cut()
    job = upload(videos.bunny())
    until(lambda: harness.deliveries(job, "dead-letter"))
    before = person.ask("GET", f"/jobs/{job['id']}").json()
    assert before["state"] == "done"
    for _ in range(6):
        harness.let_pass(600)
        harness.sweep()
    until(lambda: len(harness.deliveries(job, "notify")) > 5)
    harness.wires["mail"].restore()
    harness.until_swept(lambda: harness.is_told_once(job))
    assert harness.row(job)["tries"] == 1


def test_a_job_whose_workers_all_die_fails_and_can_be_revived(
    harness: Harness, person: Person, upload: Upload, shelf: Path
) -> None:
    """Break: whoever takes the job dies, three times. Symptom: no try is left.
    Recovery: sweep fails the job; its owner is told, and may try again.
    """
    job = upload(videos.long(shelf, 1))
    for _ in range(3):
        harness.until_swept(partial(is_passed, harness.crash_at("jobs.renew")))
    harness.until_swept(lambda: harness.mails(job) == 1)
    failed = person.ask("GET", f"/jobs/{job['id']}").json()
    assert (failed["state"], failed["error"]["reason"]) == ("failed", "retries_exhausted")
    assert person.ask("POST", f"/jobs/{job['id']}/retry").status_code == 202
    harness.until_swept(lambda: harness.is_told_once(job))


def is_passed(crash_point: Path) -> bool:
    """Whether a process has died at that crash point."""
    return not crash_point.exists()
