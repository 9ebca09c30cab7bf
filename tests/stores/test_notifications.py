"""Every owner with an address is owed one email per job, outcome and generation, until it is sent or given up."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from functions.model.jobs import Job
from functions.model.notifications import NotificationCount
from functions.stores.jobs import Jobs
from functions.stores.notifications import Notifications
from tests.jobs import finish

Sql = Callable[..., list[tuple[Any, ...]]]


@pytest.fixture
def end(jobs: Jobs, add: Callable[..., Job]) -> Callable[..., Job]:
    """A job that is done, or failed for the reason."""

    def make(reason: str | None = None) -> Job:
        claimed = jobs.claim(add().id)
        assert claimed
        job = jobs.fail(claimed, reason, "", "say it again") if reason else finish(jobs, claimed)
        assert job
        return job

    return make


def test_ending_a_job_owes_its_owner_an_email(notifications: Notifications, end: Callable[..., Job]) -> None:
    """With all that the email needs."""
    done, failed = notifications.claim(end().id), notifications.claim(end("no_audio").id)
    assert done
    assert failed
    assert (done.outcome, done.filename, done.name, done.email) == ("done", "video.mp4", "Ada", "ada@example.org")
    assert (failed.outcome, failed.reason, failed.detail) == ("failed", "no_audio", "say it again")
    assert done.facts
    assert (done.facts.bitrate, failed.facts) == (190, None)


@pytest.mark.parametrize("reason", [None, "no_audio"])
def test_where_nobody_can_be_told_nothing_is_owed(
    reason: str | None, notifications: Notifications, end: Callable[..., Job], sql: Sql
) -> None:
    """`unwanted` is final: an address that is given later changes nothing."""
    sql("UPDATE users SET email = NULL")
    job = end(reason)
    assert sql("SELECT state, tries FROM notifications") == [("unwanted", 0)]
    sql("UPDATE users SET email = 'ada@example.org'")
    sql("UPDATE notifications SET next_hint_at = now(), created_at = now() - interval '1 year'")
    assert notifications.claim(job.id) is None
    assert (notifications.take_owed(10), notifications.give_up_old(3600)) == ([], 0)
    assert not notifications.note_dead_letter(job.id, "given up")
    assert notifications.counts() == [NotificationCount("unwanted", 1)]


def test_a_job_given_up_for_somebody_without_an_address_owes_nothing(
    notifications: Notifications, jobs: Jobs, add: Callable[..., Job], sql: Sql
) -> None:
    """The same holds where dead-letter or sweep ends the job."""
    sql("UPDATE users SET email = NULL")
    sql("UPDATE jobs SET tries = 3 WHERE id = %s", add().id)
    assert len(jobs.give_up(None, 10)) == 1
    assert [count.state for count in notifications.counts()] == ["unwanted"]


@pytest.mark.parametrize("before", ["owed", "claimed"])
def test_an_address_that_is_gone_by_now_is_found_out_when_it_would_be_used(
    before: str, notifications: Notifications, end: Callable[..., Job], sql: Sql
) -> None:
    """Also by the worker that takes over from one that died."""
    job = end()
    if before == "claimed":
        notifications.claim(job.id)
        sql("UPDATE notifications SET lease_until = now() - interval '1 second'")
    sql("UPDATE users SET email = NULL")
    assert notifications.claim(job.id) is None
    assert sql("SELECT state, lease_until FROM notifications") == [("unwanted", None)]


def test_of_many_claims_at_once_one_writes(notifications: Notifications, end: Callable[..., Job]) -> None:
    """An event that is delivered twice brings one email."""
    job = end()
    with ThreadPoolExecutor(8) as pool:
        claims = list(pool.map(notifications.claim, [job.id] * 8))
    assert sum(claim is not None for claim in claims) == 1


def test_what_was_sent_is_owed_no_more(notifications: Notifications, end: Callable[..., Job], sql: Sql) -> None:
    """It is not announced again either."""
    owed = notifications.claim(end().id)
    assert owed
    notifications.sent(owed)
    sql("UPDATE notifications SET next_hint_at = now()")
    assert notifications.claim(owed.job) is None
    assert notifications.take_owed(10) == []


def test_a_writer_that_died_is_followed_by_another(
    notifications: Notifications, end: Callable[..., Job], sql: Sql
) -> None:
    """Once its lease has lapsed; until then its email may still be on its way."""
    job = end()
    notifications.claim(job.id)
    sql("UPDATE notifications SET next_hint_at = now()")
    assert notifications.take_owed(10) == []
    sql("UPDATE notifications SET lease_until = now() - interval '1 second'")
    assert [taken.id for taken in notifications.take_owed(10)] == [job.id]
    second = notifications.claim(job.id)
    assert second
    assert second.tries == 2


def test_a_postponed_email_is_owed_again(notifications: Notifications, end: Callable[..., Job], sql: Sql) -> None:
    """Sweep announces its result when the time has come; an event that arrives earlier may have it sent."""
    owed = notifications.claim(end().id)
    assert owed
    notifications.postpone(owed, 600, "the mail server is away")
    assert notifications.take_owed(10) == []
    assert sql("SELECT state, last_error, next_hint_at > now() + interval '9 minutes' FROM notifications") == [
        ("owed", "the mail server is away", True)
    ]
    assert notifications.claim(owed.job)


def test_an_email_that_is_given_up_touches_no_job(
    notifications: Notifications, end: Callable[..., Job], sql: Sql
) -> None:
    """The audio is there, whether or not its owner can be reached."""
    owed = notifications.claim(end().id)
    assert owed
    notifications.give_up(owed, "no such mailbox")
    assert sql("SELECT j.state, n.state FROM jobs j, notifications n") == [("done", "given_up")]


def test_old_emails_are_given_up(notifications: Notifications, end: Callable[..., Job], sql: Sql) -> None:
    """But not one that a worker is sending right now."""
    notifications.claim(end().id)
    end()
    assert notifications.give_up_old(3600) == 0
    sql("UPDATE notifications SET created_at = now() - interval '2 hours'")
    assert notifications.give_up_old(3600) == 1
    assert sql("SELECT state FROM notifications ORDER BY state") == [("claimed",), ("given_up",)]


@pytest.mark.parametrize("change", ["deleted", "retried"])
def test_what_the_owner_has_seen_to_is_not_told(
    change: str, notifications: Notifications, jobs: Jobs, end: Callable[..., Job]
) -> None:
    """Nobody needs an email about a job they deleted, or about a failure they are trying again."""
    job = end("no_audio")
    (jobs.delete if change == "deleted" else jobs.retry)(job.id, job.owner)
    assert notifications.claim(job.id) is None


def test_a_second_failure_after_a_retry_is_told_anew(
    notifications: Notifications, jobs: Jobs, end: Callable[..., Job]
) -> None:
    """A retry raises the generation, and each generation has a notification of its own."""
    job = end("no_audio")
    first = notifications.claim(job.id)
    assert first
    notifications.sent(first)
    jobs.retry(job.id, job.owner)
    claimed = jobs.claim(job.id)
    assert claimed
    jobs.fail(claimed, "no_audio", "")
    second = notifications.claim(job.id)
    assert second
    assert (second.generation, second.mails_this_hour) == (1, 1)


def test_emails_to_one_address_are_counted_for_an_hour(
    notifications: Notifications, end: Callable[..., Job], sql: Sql
) -> None:
    """All that were sent there, whichever job they were about."""
    for expected in (0, 1, 2):
        owed = notifications.claim(end().id)
        assert owed
        assert owed.mails_this_hour == expected
        notifications.sent(owed)
    sql("UPDATE notifications SET sent_at = now() - interval '61 minutes'")
    owed = notifications.claim(end().id)
    assert owed
    assert owed.mails_this_hour == 0


def test_emails_are_counted_by_where_they_went(notifications: Notifications, end: Callable[..., Job], sql: Sql) -> None:
    """Not by the address that their owners have today."""
    first = notifications.claim(end().id)
    assert first
    notifications.sent(first)
    sql("UPDATE users SET email = 'eve@example.org'")
    second = notifications.claim(end().id)
    assert second
    assert second.mails_this_hour == 0
    sql("UPDATE users SET email = 'ADA@example.org'")
    third = notifications.claim(end().id)
    assert third
    assert third.mails_this_hour == 1


def test_a_dead_letter_is_noted_on_what_is_still_owed(
    notifications: Notifications, end: Callable[..., Job], sql: Sql
) -> None:
    """What was sent already keeps no note."""
    job = end()
    assert notifications.note_dead_letter(job.id, "given up")
    assert sql("SELECT last_error FROM notifications") == [("given up",)]
    owed = notifications.claim(job.id)
    assert owed
    notifications.sent(owed)
    assert not notifications.note_dead_letter(job.id, "given up")
