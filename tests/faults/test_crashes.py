"""Each row of the table in docs/architecture.md: the process dies (or stops) at that very point.

A docstring names the break, the symptom and the recovery.
"""

import shutil
import signal
from functools import partial
from pathlib import Path

from tests import videos
from tests.acceptance.person import Person
from tests.faults.conftest import Upload
from tests.faults.harness import Harness, asleep, is_asleep, wake
from tests.waiting import until


def test_a_video_that_no_job_names_is_removed(harness: Harness, person: Person, upload: Upload) -> None:
    """Break: upload dies once the video is stored. Symptom: 503, and a file that no job names.
    Recovery: the client sends the video again; sweep removes the file by its age.
    """
    crash_point = harness.crash_at("videos.write")
    job = upload(videos.bunny(), retried=True)
    assert not crash_point.exists()
    assert len(person.ask("GET", "/jobs").json()["jobs"]) == 1
    assert len(harness.orphans()) == 1
    assert person.ended(job)["state"] == "done"
    harness.until_swept(lambda: not harness.orphans())


def test_a_job_that_nobody_was_told_about_is_announced(harness: Harness, person: Person) -> None:
    """Break: upload dies once the row stands. Symptom: 503, and a job that waits. Recovery: sweep sends its event."""
    harness.crash_at("jobs.add")
    answer = person.ask("POST", "/upload", data=videos.bunny().read_bytes())
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    (job,) = person.ask("GET", "/jobs").json()["jobs"]
    assert job["state"] == "queued"
    harness.until_swept(lambda: harness.is_told_once(job))


def test_a_conversion_that_was_asked_for_again_is_made_once(harness: Harness, person: Person, upload: Upload) -> None:
    """Break: jobs dies once the row stands. Symptom: 503, and a job that nobody was told about.
    Recovery: the client asks once more with its key and gets that job; sweep sends its event if nobody asks.
    """
    first = upload(videos.bunny())
    until(lambda: harness.is_told_once(first))
    asked = {"json": {"source": first["id"], "vbr": 9}, "headers": {"Idempotency-Key": "again"}}
    harness.crash_at("jobs.add_again")
    answer = person.ask("POST", "/jobs", **asked)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    job, _ = person.ask("GET", "/jobs").json()["jobs"]
    harness.until_swept(lambda: harness.is_told_once(job))
    repeated = person.ask("POST", "/jobs", **asked)
    assert (repeated.status_code, repeated.json()["id"]) == (202, job["id"])
    assert harness.row(job)["video"] == harness.row(first)["video"]


def test_a_shared_video_outlives_a_sweep_that_died_and_goes_with_its_last_job(
    harness: Harness, person: Person, upload: Upload
) -> None:
    """Break: sweep dies once it has taken a deleted job's video off its row. Symptom: none, for another job names it;
    when that is deleted too, a file that no job names. Recovery: sweep removes it by its age.
    """
    first = upload(videos.bunny())
    until(lambda: harness.is_told_once(first))
    second = person.ask("POST", "/jobs", json={"source": first["id"]}).json()
    until(lambda: harness.is_told_once(second))
    video = harness.row(first)["video"]
    for job, left in ((first, set()), (second, {video})):
        assert person.ask("DELETE", f"/jobs/{job['id']}").status_code == 204
        harness.let_pass(2 * 3600)
        crash_point = harness.crash_at("expiry.remove_deleted")
        harness.sweep()
        assert not crash_point.exists()
        assert video in harness.files()
        assert harness.orphans() & {video} == left
    harness.until_swept(lambda: not harness.orphans())


def test_an_upload_does_not_wait_for_the_ingress(harness: Harness, upload: Upload) -> None:
    """Break: the ingress is silent. Symptom: the job waits, though its upload is answered 202 in all that silence.
    Recovery: sweep sends its event.
    """
    harness.wires["sink"].stall()
    job = upload(videos.bunny())
    (line,) = (line for line in harness.log("upload") if line.get("job") == job["id"])
    assert "no answer from the event sink" in line["unannounced"]
    harness.wires["sink"].restore()
    harness.until_swept(lambda: harness.is_told_once(job))


def test_an_event_that_was_sent_but_not_noted_is_sent_twice(harness: Harness, person: Person) -> None:
    """Break: upload dies once the event is sent. Symptom: sweep sends the same one again. Recovery: the claim finds
    nothing to do.
    """
    converts = harness.functions["convert"]
    with asleep(converts[0]), asleep(converts[1]):
        harness.crash_at("sink.send")
        assert person.ask("POST", "/upload", data=videos.bunny().read_bytes()).status_code == 503
        (job,) = person.ask("GET", "/jobs").json()["jobs"]
        harness.let_pass(60)
        assert harness.sweep()["jobs_announced"] == 1
    until(lambda: len(harness.deliveries(job)) == 2)
    assert len({each["event"] for each in harness.deliveries(job)}) == 1
    until(lambda: harness.is_told_once(job))
    assert harness.row(job)["fence"] == 1
    assert not harness.orphans()


def test_a_conversion_that_died_is_begun_anew(harness: Harness, upload: Upload, shelf: Path) -> None:
    """Break: convert dies in the middle. Symptom: its lease is live, so the redelivery gets 202; then it lapses.
    Recovery: sweep frees the job and sends a new event.
    """
    harness.crash_at("jobs.renew")
    job = upload(videos.long(shelf, 1))
    harness.until_swept(lambda: harness.is_told_once(job))
    assert (harness.row(job)["tries"], harness.row(job)["generation"]) == (2, 1)
    until(lambda: harness.deliveries(job)[-1]["outcome"] == "replied")
    *before, last = [each["outcome"] for each in harness.deliveries(job)]
    assert (set(before), last) == ({"retry", "done"}, "replied")  # where a hint of sweep comes is open
    assert not list(harness.directory.glob("convert-*/tmp/convert-*"))


def test_an_mp3_that_no_job_names_is_removed(harness: Harness, upload: Upload) -> None:
    """Break: convert dies once its MP3 is stored. Symptom: a file that no job names. Recovery: sweep frees the job, the
    next attempt writes a file of its own, and the first is removed by its age.
    """
    harness.crash_at("audios.write")
    job = upload(videos.bunny())
    until(harness.orphans)
    (orphan,) = harness.orphans()
    harness.until_swept(lambda: harness.is_told_once(job))
    assert harness.row(job)["audio"] != orphan
    harness.until_swept(lambda: not harness.orphans())


def test_a_finished_job_whose_reply_died_with_convert_is_told(harness: Harness, upload: Upload) -> None:
    """Break: convert dies once the job is finished. Symptom: its reply is lost. Recovery: the redelivery replies."""
    harness.crash_at("jobs.finish")
    job = upload(videos.bunny())
    until(lambda: harness.is_told_once(job))
    until(lambda: [each["outcome"] for each in harness.deliveries(job)] == ["retry", "replied"])


def test_a_finished_job_whose_reply_died_with_the_bridge_is_told(harness: Harness, upload: Upload) -> None:
    """Break: the bridge dies while convert holds its reply. Symptom: the reply reaches nobody.
    Recovery: the next bridge asks again, and gets the same reply.
    """
    crash_point = harness.crash_at("jobs.finish", signal.SIGSTOP)
    job = upload(videos.bunny())
    until(lambda: harness.is_done(job) and not crash_point.exists())
    harness.bridge.kill()
    for convert in harness.functions["convert"]:
        wake(convert)
    harness.bridge.start()
    until(lambda: harness.is_told_once(job))


def test_an_email_that_was_sent_but_not_noted_may_come_twice(harness: Harness, upload: Upload) -> None:
    """Break: notify dies once the mail is sent. Symptom: it is still owed.
    Recovery: it is sent once more with the same Message-ID, so that mail programs can show one.
    """
    harness.crash_at("mailer.send")
    job = upload(videos.bunny())
    until(lambda: [each["outcome"] for each in harness.deliveries(job, "notify")] == ["retry", "done"])
    harness.let_pass(180)
    assert harness.sweep()["results_announced"] == 1
    until(lambda: harness.mails(job) == 2)
    assert harness.sql("SELECT state FROM notifications WHERE job = %s", job["id"]) == [{"state": "sent"}]


def test_nothing_is_lost_with_the_broker(harness: Harness, upload: Upload, shelf: Path) -> None:
    """Break: the broker loses everything it has. Symptom: a job nobody was told about, one whose worker has died, one
    that is finished while its owner does not know. Recovery: sweep.
    """
    harness.lead("notify")
    untold = upload(videos.bunny())
    until(lambda: harness.is_done(untold))
    crash_point = harness.crash_at("jobs.renew")
    lapsed = upload(videos.long(shelf, 1))
    until(lambda: not crash_point.exists())
    harness.lead("convert")
    waiting = upload(videos.bunny())
    harness.bridge.kill()
    harness.rabbitmq.kill()
    shutil.rmtree(harness.rabbitmq.directory / "state")
    harness.heal()
    for job in (untold, lapsed, waiting):
        harness.until_swept(partial(harness.is_told_once, job))


def test_a_worker_that_was_thought_dead_removes_its_own_file_only(harness: Harness, upload: Upload) -> None:
    """Break: convert is stopped once its MP3 is stored, and wakes when another has finished the job. Symptom: two MP3s.
    Recovery: its fence is too old, so it removes its own.
    """
    harness.crash_at("audios.write", signal.SIGSTOP)
    job = upload(videos.bunny())
    until(lambda: any(map(is_asleep, harness.functions["convert"])))
    (sleeper,) = filter(is_asleep, harness.functions["convert"])
    harness.lead("convert", *(each for each in harness.functions["convert"] if each is not sleeper))
    (orphan,) = harness.orphans()
    harness.until_swept(lambda: harness.is_done(job))
    wake(sleeper)
    until(lambda: orphan not in harness.files())
    assert harness.row(job)["audio"] in harness.files()
    until(lambda: harness.is_told_once(job))
