"""Dead-letter and sweep: jobs that nobody finished, results that nobody announced, and what is no longer kept."""

import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Timer
from typing import Any
from uuid import uuid4

import pytest
from flask.testing import FlaskClient

from events.contract import AUDIO_CONVERTED, CONVERSION_FAILED, VIDEO_UPLOADED
from functions.model.jobs import Again, Job, State
from functions.model.options import Options
from functions.runtime import announcement
from functions.stores.expiry import Expiry
from functions.stores.gridfs import Bucket
from functions.stores.jobs import Jobs
from functions.stores.notifications import Notifications
from functions.stores.postgres import Database
from tests.events import harness
from tests.functions.harness import VIDEO, Person, deliver, files, nothing_follows, replied
from tests.waiting import until

Function = Callable[..., FlaskClient]
Make = Callable[..., Job]
Sql = Callable[..., list[tuple[Any, ...]]]


@pytest.fixture
def dead_letter(function: Function) -> FlaskClient:
    return function("dead_letter")


@pytest.fixture
def sweep(function: Function) -> Callable[..., dict[str, int]]:
    """Runs it once, and gives the counts in its answer that are not 0."""

    def run(path: str = "/", **changes: str) -> dict[str, int]:
        answer = function("sweep", **changes).post(path)
        assert answer.status_code == 200
        return {did: count for did, count in answer.json.items() if count}

    return run


@pytest.fixture
def late(postgres: Database) -> Jobs:
    """The same jobs, for a worker whose leases have lapsed as soon as they are granted."""
    return Jobs(postgres, -1, 3)


def in_seconds(seconds: int) -> str:
    """The second of the minute that it will be then."""
    return str(int(time.time() + seconds) % 60 or 60)


def given_up(dead_letter: FlaskClient, job: Job) -> Any:
    return deliver(dead_letter, announcement.uploaded(job, "/functions/upload"))


def test_a_given_up_event_fails_a_job_without_tries(dead_letter: FlaskClient, late: Jobs, add: Make, sql: Sql) -> None:
    """The reply is the failure, for notify; the same event again gets the same reply."""
    job = add()
    for _ in range(3):
        late.claim(job.id)
        sql("UPDATE jobs SET state = 'queued', lease_until = NULL")
    event = replied(given_up(dead_letter, job))
    assert (event.type, event.source) == (CONVERSION_FAILED, "/functions/dead-letter")
    assert event.data["reason"] == "retries_exhausted"
    assert replied(given_up(dead_letter, job)) == event
    assert sql("SELECT outcome, state FROM notifications") == [("failed", "owed")]


@pytest.mark.parametrize("live", [True, False])
def test_a_given_up_event_fails_no_job_that_has_tries_left(
    live: bool, dead_letter: FlaskClient, add: Make, jobs: Jobs, sql: Sql
) -> None:
    """Nor one that a worker still holds: sweep takes care of both."""
    job = add()
    if live:
        jobs.claim(job.id)
        sql("UPDATE jobs SET tries = 3")
    assert nothing_follows(given_up(dead_letter, job))
    assert sql("SELECT state FROM jobs") == [(State.CONVERTING if live else State.QUEUED,)]


def test_a_given_up_result_is_noted_on_what_is_owed(dead_letter: FlaskClient, finish: Make, sql: Sql) -> None:
    """The job stays done, and no event follows that could be given up in turn."""
    job = finish()
    assert nothing_follows(deliver(dead_letter, announcement.result(job, "/functions/convert")))
    assert sql("SELECT n.state, n.last_error, j.state FROM notifications n, jobs j") == [
        ("owed", "its event was given up", State.DONE)
    ]


def test_with_nothing_owed_sweep_does_nothing(sweep: Callable[..., dict[str, int]], sink: harness.Function) -> None:
    assert sweep() == {}
    assert sink.asked == []


def test_a_lost_worker_s_job_is_freed_and_announced_at_once(
    sweep: Callable[..., dict[str, int]], late: Jobs, add: Make, sink: harness.Function
) -> None:
    """By an event with a new id; a second run finds nothing left to do."""
    job = add()
    late.claim(job.id)
    assert sweep() == {"freed": 1, "jobs_announced": 1}
    [announced] = [asked.event for asked in sink.asked]
    assert (announced.type, announced.job, announced.data["generation"]) == (VIDEO_UPLOADED, job.id, 1)
    assert sweep() == {}


def test_a_job_out_of_tries_is_failed_and_its_owner_told_in_time(
    sweep: Callable[..., dict[str, int]], late: Jobs, add: Make, sink: harness.Function, sql: Sql
) -> None:
    """Although no event about it was ever given up."""
    late.claim(add().id)
    sql("UPDATE jobs SET tries = 3")
    assert sweep() == {"failed": 1}
    sql("UPDATE notifications SET next_hint_at = now()")
    assert sweep() == {"results_announced": 1}
    assert [asked.event.type for asked in sink.asked] == [CONVERSION_FAILED]


def test_what_nobody_was_told_of_is_told(
    sweep: Callable[..., dict[str, int]], add: Make, finish: Make, sink: harness.Function, sql: Sql
) -> None:
    """A queued job whose event was lost, and a finished one whose reply was."""
    done, queued = finish(), add()
    sql("UPDATE jobs SET next_hint_at = now() WHERE state = 'queued'")
    sql("UPDATE notifications SET next_hint_at = now()")
    assert sweep() == {"jobs_announced": 1, "results_announced": 1}
    announced = {(asked.event.type, asked.event.job, asked.event.source) for asked in sink.asked}
    source = "/functions/sweep"
    assert announced == {(VIDEO_UPLOADED, queued.id, source), (AUDIO_CONVERTED, done.id, source)}


def test_what_nobody_takes_is_due_again_in_a_second(
    sweep: Callable[..., dict[str, int]], add: Make, finish: Make, sink: harness.Function, sql: Sql
) -> None:
    """The sink is asked once for each kind, and only what was to be sent waits: the rest is left where it is."""
    sink.behave = harness.answers(503)
    for make in (finish, add):
        for _ in range(3):
            make()
    due = "UPDATE {} SET next_hint_at = now()"
    sql(due.format("jobs"))
    sql(due.format("notifications"))
    assert sweep() == {}
    assert len(sink.asked) == 2
    waits = (
        "SELECT hints, next_hint_at > now() - interval '1 minute', next_hint_at < now() + interval '2 seconds' FROM {}"
    )
    for table in ("jobs WHERE state = 'queued'", "notifications"):
        assert sql(waits.format(table)) == [(0, True, True)] * 3


def test_what_a_broker_has_lost_is_sent_again_at_once(
    sweep: Callable[..., dict[str, int]], add: Make, finish: Make, jobs: Jobs, sink: harness.Function, sql: Sql
) -> None:
    """What was sent since is not, nor what waits for something else."""
    done, before, since = finish(), add(), add()
    sql("UPDATE jobs SET next_hint_at = now() + interval '1 hour' WHERE id = %s", add().id)  # never sent
    for job in (before, since):
        jobs.note_hint(job)
    sql("UPDATE jobs SET next_hint_at = next_hint_at - interval '10 seconds' WHERE id = %s", before.id)
    sql("UPDATE notifications SET next_hint_at = next_hint_at - interval '10 seconds'")
    assert sweep("/?lost=5") == {"jobs_announced": 1, "results_announced": 1}
    assert [asked.event.job for asked in sink.asked] == [before.id, done.id]
    assert sweep("/?lost=5") == {}
    assert sweep("/?lost=0") == {"jobs_announced": 2, "results_announced": 1}


@pytest.mark.parametrize("lost", ["", "-1", "nan", "1e3", "soon", "1" * 10])
def test_a_time_that_is_none_is_refused(lost: str, function: Function) -> None:
    answer = function("sweep").post(f"/?lost={lost}")
    assert (answer.status_code, answer.json["field"]) == (400, "lost")


def test_an_event_that_the_sink_refuses_keeps_no_other_back(
    sweep: Callable[..., dict[str, int]], add: Make, sink: harness.Function, sql: Sql
) -> None:
    """Only that one waits; the others go out in the same run."""
    for _ in range(3):
        add()
    sql("UPDATE jobs SET next_hint_at = now()")
    sink.behave = harness.answers(400, 202)
    assert sweep() == {"jobs_announced": 2}
    refused = sink.asked[0].event.job
    assert sql("SELECT id FROM jobs WHERE hints = 0") == [(refused,)]


def test_a_result_that_nobody_waits_for_keeps_no_other_back(
    sweep: Callable[..., dict[str, int]], finish: Make, sink: harness.Function, sql: Sql
) -> None:
    """A job may be deleted just as its result becomes owed."""
    gone, done = finish(), finish()
    sql("UPDATE jobs SET deleted_at = now() WHERE id = %s", gone.id)
    sql("UPDATE notifications SET next_hint_at = now() - make_interval(secs => (job = %s)::integer)", gone.id)
    assert sweep() == {"results_announced": 1}
    assert [asked.event.job for asked in sink.asked] == [done.id]


def test_a_backlog_is_worked_off_in_one_run(
    sweep: Callable[..., dict[str, int]], add: Make, finish: Make, sink: harness.Function, sql: Sql
) -> None:
    """However many events a broker has lost, and however many jobs ended on the same day."""
    for _ in range(120):
        add()
        finish()
    sql("UPDATE jobs SET next_hint_at = now() WHERE state = 'queued'")
    sql("UPDATE jobs SET finished_at = now() - interval '8 days' WHERE state = 'done'")
    did = sweep()
    assert (did["jobs_announced"], did["expired"], did["videos_removed"]) == (120, 120, 120)
    assert len(sink.asked) == 120


def test_what_is_owed_is_sent_soon_after_the_sink_is_back(
    sweep: Callable[..., dict[str, int]], add: Make, sink: harness.Function, sql: Sql
) -> None:
    """While it is away one event asks for it, and the others wait."""
    for _ in range(3):
        add()
    sql("UPDATE jobs SET next_hint_at = now()")
    sink.behave = harness.answers(503, 503, 202)
    assert sweep(SWEEP_UNTIL=in_seconds(9)) == {"jobs_announced": 3}
    assert len(sink.asked) == 5
    assert sql("SELECT count(*) FROM jobs WHERE next_hint_at < now() + interval '1 minute'") == [(0,)]


def test_a_database_that_is_away_for_a_moment_ends_no_watch(
    sweep: Callable[..., dict[str, int]], add: Make, sink: harness.Function, sql: Sql
) -> None:
    """What becomes due in the rest of the minute is sent all the same."""
    first, second = add(), add()
    for job, due in ((first, 4), (second, 8)):
        sql("UPDATE jobs SET next_hint_at = now() + make_interval(secs => %s) WHERE id = %s", due, job.id)

    def lose_a_table(request: harness.Request) -> harness.Answer:
        if request.event.job == first.id:
            sql("ALTER TABLE notifications RENAME TO elsewhere")
            Timer(3, sql, ("ALTER TABLE elsewhere RENAME TO notifications",)).start()
        return harness.Answer()

    sink.behave = lose_a_table
    assert sweep(SWEEP_UNTIL=in_seconds(14))["jobs_announced"] == 1
    assert [asked.event.job for asked in sink.asked] == [first.id, second.id]


def test_two_sweeps_at_once_tell_each_job_once(function: Function, add: Make, sink: harness.Function, sql: Sql) -> None:
    """A slow run may still be going when the next begins."""
    made = sorted(add().id for _ in range(10))
    sql("UPDATE jobs SET next_hint_at = now()")
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda _: function("sweep").post("/"), range(3)))
    assert sorted(asked.event.job for asked in sink.asked) == made


def test_an_email_nobody_could_send_is_given_up(
    sweep: Callable[..., dict[str, int]], finish: Make, postgres: Database, sql: Sql
) -> None:
    """After days; the job stays done all the same."""
    finish()
    sql("UPDATE notifications SET created_at = now() - interval '4 days'")
    assert sweep() == {"notifications_given_up": 1}
    assert Notifications(postgres).take_owed(1) == []
    assert sql("SELECT state FROM jobs") == [(State.DONE,)]


def test_an_mp3_expires_and_goes_when_no_download_of_it_can_still_run(
    sweep: Callable[..., dict[str, int]], finish: Make, mp3s: Bucket, sql: Sql
) -> None:
    """The video goes a day after the job ended, the MP3 after a week and the longest download."""
    finish()
    sql("UPDATE jobs SET finished_at = now() - interval '25 hours'")
    assert sweep() == {"videos_removed": 1}
    sql("UPDATE jobs SET finished_at = now() - interval '8 days'")
    assert sweep() == {"expired": 1}
    assert sql("SELECT state FROM jobs") == [(State.EXPIRED,)]
    assert files(mp3s)[0] == 1
    sql("UPDATE jobs SET expired_at = now() - interval '61 minutes'")
    assert sweep() == {"audios_removed": 1}
    assert files(mp3s) == (0, 0)


def test_a_video_is_kept_as_long_as_its_job_can_need_it(
    sweep: Callable[..., dict[str, int]], add: Make, jobs: Jobs, videos: Bucket, sql: Sql
) -> None:
    """However old the job is."""
    add()
    jobs.claim(add().id)
    sql("UPDATE jobs SET created_at = now() - interval '1 year', queued_at = now() - interval '1 year'")
    assert sweep() == {}
    assert files(videos)[0] == 2


def test_a_deleted_job_s_files_go_after_the_longest_transfer(
    sweep: Callable[..., dict[str, int]], finish: Make, jobs: Jobs, ada: Person, videos: Bucket, mp3s: Bucket, sql: Sql
) -> None:
    """The job was hidden at once; its row goes together with the files."""
    job = finish()
    jobs.delete(job.id, ada.id)
    assert sweep() == {}
    sql("UPDATE jobs SET deleted_at = now() - interval '61 minutes'")
    assert sweep() == {"videos_removed": 1, "audios_removed": 1}
    assert (files(videos), files(mp3s), sql("SELECT * FROM jobs")) == ((0, 0), (0, 0), [])


@pytest.fixture
def again(jobs: Jobs) -> Callable[[Job], Job]:
    """Another job of that one's video."""

    def make(job: Job) -> Job:
        new = Again(uuid4(), job.owner, job.id, None, Options(), None, None)
        made = jobs.add_again(new, 100)
        assert made
        return made

    return make


def test_a_video_goes_with_the_last_of_its_jobs(
    sweep: Callable[..., dict[str, int]],
    finish: Make,
    again: Callable[[Job], Job],
    jobs: Jobs,
    ada: Person,
    videos: Bucket,
    sql: Sql,
) -> None:
    """One is too old, one is deleted, and one waits however long: only when that has ended, too, it goes."""
    first = finish()
    deleted, waiting = again(first), again(first)
    jobs.delete(deleted.id, ada.id)
    old = "UPDATE jobs SET finished_at = now() - interval '25 hours', deleted_at = deleted_at - interval '2 hours'"
    sql(f"{old} WHERE finished_at IS NOT NULL")
    assert sweep(ORPHAN_SECONDS="0", ORPHAN_PASS_SECONDS="0") == {}
    assert [row[0] for row in sql("SELECT id FROM jobs WHERE video IS NOT NULL")] == [waiting.id]
    assert b"".join(videos.read(waiting.video or uuid4())) == VIDEO
    jobs.cancel(waiting.id, ada.id)
    assert sweep() == {}
    sql(f"{old} WHERE id = %s", waiting.id)
    assert sweep() == {"videos_removed": 1}
    assert files(videos) == (0, 0)


def test_what_a_sweep_that_died_took_goes_by_age_once_nobody_names_it(
    sweep: Callable[..., dict[str, int]],
    finish: Make,
    again: Callable[[Job], Job],
    jobs: Jobs,
    postgres: Database,
    videos: Bucket,
    sql: Sql,
) -> None:
    """It had taken the names off the rows, and removed nothing yet."""
    second = again(finish())
    Expiry(postgres).take_old_videos(-1, 100)
    passes = {"ORPHAN_SECONDS": "0", "ORPHAN_PASS_SECONDS": "0"}
    assert sweep(**passes) == {}
    jobs.cancel(second.id, second.owner)
    Expiry(postgres).take_old_videos(-1, 100)
    assert sql("SELECT video FROM jobs") == [(None,), (None,)]
    assert files(videos)[0] == 1
    assert sweep(**passes) == {"orphan_videos": 1}
    assert files(videos) == (0, 0)


def test_old_keys_and_attempts_are_forgotten(sweep: Callable[..., dict[str, int]], add: Make, sql: Sql) -> None:
    """After a day nobody repeats an upload any more, and a blocked username may be tried again."""
    add(idempotency_key="old")
    sql("UPDATE jobs SET created_at = now() - interval '25 hours'")
    add(idempotency_key="new")
    sql("INSERT INTO login_attempts VALUES ('eve', 9, now() - interval '2 days'), ('ada', 9, now())")
    assert sweep() == {"keys_forgotten": 1}
    assert sql("SELECT idempotency_key FROM jobs WHERE idempotency_key IS NOT NULL") == [("new",)]
    assert sql("SELECT username FROM login_attempts") == [("ada",)]


def test_nobody_is_told_again_who_never_wanted_to_be(
    sweep: Callable[..., dict[str, int]], finish: Make, sink: harness.Function, sql: Sql
) -> None:
    """What is unwanted is neither announced nor given up, however long ago the job ended."""
    sql("UPDATE users SET email = NULL")
    finish()
    sql("UPDATE notifications SET next_hint_at = now(), created_at = now() - interval '4 days'")
    assert sweep() == {}
    assert sink.asked == []
    assert sql("SELECT state FROM notifications") == [("unwanted",)]


def test_files_that_no_row_names_go_by_age(
    sweep: Callable[..., dict[str, int]], finish: Make, videos: Bucket, mp3s: Bucket
) -> None:
    """Finished or not. What a row names stays, and so does what is young."""
    finish()
    videos.write(uuid4(), [VIDEO])
    mp3s.write(uuid4(), [b"ID3"])
    videos._database["fs.chunks"].insert_one({"files_id": uuid4(), "n": 0, "data": b"x"})
    assert sweep() == {}
    removed = Counter[str]()

    def all_are_removed() -> bool:  # of a chunk only the second is known in which it was made
        removed.update(sweep(ORPHAN_SECONDS="0", ORPHAN_PASS_SECONDS="0"))
        return removed == {"orphan_videos": 2, "orphan_audios": 1}

    until(all_are_removed)
    assert (files(videos), files(mp3s)) == ((1, 1), (1, 1))


def test_the_rows_can_be_watched(
    function: Function, add: Make, finish: Make, jobs: Jobs, person: Callable[..., Person]
) -> None:
    """Jobs and notifications by state, and the age of the oldest queued job, counted when Prometheus asks."""
    add()
    finish()
    add(owner=(john := person(email=None)).id)
    finish(owner=john.id)
    claimed = jobs.claim(add().id)
    assert claimed
    jobs.fail(claimed, "no_audio", "")
    page = function("sweep").get("/_/metrics").text
    for state, count in ((State.QUEUED, 2), (State.DONE, 2), (State.FAILED, 1)):
        assert f'videotomp3_jobs{{state="{state}"}} {count}.0' in page
    assert "videotomp3_oldest_queued_seconds 0." in page
    assert 'videotomp3_notifications{state="owed"} 2.0' in page
    assert 'videotomp3_notifications{state="unwanted"} 1.0' in page
