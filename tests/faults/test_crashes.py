"""Each row of the table in docs/architecture.md: the process dies (or stops) at that very point.

A docstring names the break, the symptom and the recovery.
"""

import shutil
import signal
from pathlib import Path

from tests import films
from tests.acceptance.person import Person
from tests.faults.conftest import Upload
from tests.faults.stage import Stage, asleep, is_asleep, wake
from tests.waiting import until


def test_a_video_that_no_job_names_is_removed(stage: Stage, person: Person, upload: Upload) -> None:
    """Break: upload dies once the video is stored. Symptom: 503, and a file that no job names.
    Recovery: the client sends the film again; sweep removes the file by its age.
    """
    mine = stage.mine("videos.write")
    job = upload(films.bunny(), retried=True)
    assert not mine.exists()
    assert len(person.ask("GET", "/jobs").json()["jobs"]) == 1
    assert len(stage.strays()) == 1
    assert person.ended(job)["state"] == "done"
    stage.until_swept(lambda: not stage.strays())


def test_a_job_that_nobody_was_told_about_is_announced(stage: Stage, person: Person) -> None:
    """Break: upload dies once the row stands. Symptom: 503, and a job that waits. Recovery: sweep sends its event."""
    stage.mine("jobs.add")
    answer = person.ask("POST", "/upload", data=films.bunny().read_bytes())
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    (job,) = person.ask("GET", "/jobs").json()["jobs"]
    assert job["state"] == "queued"
    stage.until_swept(lambda: stage.is_told_once(job))


def test_an_upload_does_not_wait_for_the_ingress(stage: Stage, upload: Upload) -> None:
    """Break: the ingress is silent. Symptom: the job waits, though its upload is answered 202 in all that silence.
    Recovery: sweep sends its event.
    """
    stage.wires["sink"].stall()
    job = upload(films.bunny())
    (line,) = (line for line in stage.journal("upload") if line.get("job") == job["id"])
    assert "no answer from the event sink" in line["unannounced"]
    stage.wires["sink"].restore()
    stage.until_swept(lambda: stage.is_told_once(job))


def test_an_event_that_was_sent_but_not_noted_is_sent_twice(stage: Stage, person: Person) -> None:
    """Break: upload dies once the event is sent. Symptom: sweep sends the same one again. Recovery: the claim finds
    nothing to do.
    """
    converts = stage.functions["convert"]
    with asleep(converts[0]), asleep(converts[1]):
        stage.mine("sink.send")
        assert person.ask("POST", "/upload", data=films.bunny().read_bytes()).status_code == 503
        (job,) = person.ask("GET", "/jobs").json()["jobs"]
        stage.let_pass(60)
        assert stage.sweep()["jobs_announced"] == 1
    until(lambda: len(stage.deliveries(job)) == 2)
    assert len({each["event"] for each in stage.deliveries(job)}) == 1
    until(lambda: stage.is_told_once(job))
    assert stage.row(job)["fence"] == 1
    assert not stage.strays()


def test_a_conversion_that_died_is_begun_anew(stage: Stage, upload: Upload, shelf: Path) -> None:
    """Break: convert dies in the middle. Symptom: its lease is live, so the redelivery gets 202; then it lapses.
    Recovery: sweep frees the job and sends a new event.
    """
    stage.mine("jobs.renew")
    job = upload(films.long(shelf, 1))
    stage.until_swept(lambda: stage.is_told_once(job))
    assert (stage.row(job)["tries"], stage.row(job)["generation"]) == (2, 1)
    until(lambda: stage.deliveries(job)[-1]["outcome"] == "replied")
    *before, last = [each["outcome"] for each in stage.deliveries(job)]
    assert (set(before), last) == ({"retry", "done"}, "replied")  # where a hint of sweep comes is open
    assert not list(stage.directory.glob("convert-*/tmp/convert-*"))


def test_an_mp3_that_no_job_names_is_removed(stage: Stage, upload: Upload) -> None:
    """Break: convert dies once its MP3 is stored. Symptom: a file that no job names. Recovery: sweep frees the job, the
    next attempt writes a file of its own, and the first is removed by its age.
    """
    stage.mine("audios.write")
    job = upload(films.bunny())
    until(stage.strays)
    (stray,) = stage.strays()
    stage.until_swept(lambda: stage.is_told_once(job))
    assert stage.row(job)["audio"] != stray
    stage.until_swept(lambda: not stage.strays())


def test_a_finished_job_whose_reply_died_with_convert_is_told(stage: Stage, upload: Upload) -> None:
    """Break: convert dies once the job is finished. Symptom: its reply is lost. Recovery: the redelivery replies."""
    stage.mine("jobs.finish")
    job = upload(films.bunny())
    until(lambda: stage.is_told_once(job))
    until(lambda: [each["outcome"] for each in stage.deliveries(job)] == ["retry", "replied"])


def test_a_finished_job_whose_reply_died_with_the_bridge_is_told(stage: Stage, upload: Upload) -> None:
    """Break: the bridge dies while convert holds its reply. Symptom: the reply reaches nobody.
    Recovery: the next bridge asks again, and gets the same reply.
    """
    mine = stage.mine("jobs.finish", signal.SIGSTOP)
    job = upload(films.bunny())
    until(lambda: stage.is_done(job) and not mine.exists())
    stage.bridge.kill()
    for convert in stage.functions["convert"]:
        wake(convert)
    stage.bridge.start()
    until(lambda: stage.is_told_once(job))


def test_a_letter_that_was_sent_but_not_noted_may_come_twice(stage: Stage, upload: Upload) -> None:
    """Break: notify dies once the mail is sent. Symptom: it is still owed.
    Recovery: it is sent once more with the same Message-ID, so that mail programs can show one.
    """
    stage.mine("mailer.send")
    job = upload(films.bunny())
    until(lambda: [each["outcome"] for each in stage.deliveries(job, "notify")] == ["retry", "done"])
    stage.let_pass(180)
    assert stage.sweep()["results_announced"] == 1
    until(lambda: stage.mails(job) == 2)
    assert stage.sql("SELECT state FROM notifications WHERE job = %s", job["id"]) == [{"state": "sent"}]


def test_nothing_is_lost_with_the_broker(stage: Stage, upload: Upload, shelf: Path) -> None:
    """Break: the broker loses everything it has. Symptom: a job nobody was told about, one whose worker has died, one
    that is finished while its owner does not know. Recovery: sweep.
    """
    stage.lead("notify")
    untold = upload(films.bunny())
    until(lambda: stage.is_done(untold))
    mine = stage.mine("jobs.renew")
    lapsed = upload(films.long(shelf, 1))
    until(lambda: not mine.exists())
    stage.lead("convert")
    waiting = upload(films.bunny())
    stage.bridge.kill()
    stage.rabbitmq.kill()
    shutil.rmtree(stage.rabbitmq.directory / "state")
    stage.heal()
    for job in (untold, lapsed, waiting):
        stage.until_swept(lambda job=job: stage.is_told_once(job))


def test_a_worker_that_was_thought_dead_removes_its_own_file_only(stage: Stage, upload: Upload) -> None:
    """Break: convert is stopped once its MP3 is stored, and wakes when another has finished the job. Symptom: two MP3s.
    Recovery: its fence is too old, so it removes its own.
    """
    stage.mine("audios.write", signal.SIGSTOP)
    job = upload(films.bunny())
    until(lambda: any(map(is_asleep, stage.functions["convert"])))
    (sleeper,) = filter(is_asleep, stage.functions["convert"])
    stage.lead("convert", *(each for each in stage.functions["convert"] if each is not sleeper))
    (stray,) = stage.strays()
    stage.until_swept(lambda: stage.is_done(job))
    wake(sleeper)
    until(lambda: stray not in stage.files())
    assert stage.row(job)["audio"] in stage.files()
    until(lambda: stage.is_told_once(job))
