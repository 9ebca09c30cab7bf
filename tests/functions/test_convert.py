"""Convert: an event makes it look at a job's row, and the row decides what it does and answers."""

import logging
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from prometheus_client import REGISTRY

from events import envelope
from events.contract import AUDIO_CONVERTED, CONVERSION_FAILED
from functions.model.encoding import MP3
from functions.model.jobs import Job, State
from functions.model.options import Options
from functions.runtime import announcement
from functions.stores.gridfs import Bucket
from functions.stores.jobs import Jobs
from tests import videos as makers
from tests.events import harness
from tests.functions.harness import FUNCTIONS, INHERITED, Person, deliver, files, nothing_follows, problem, replied
from tests.waiting import PATIENCE, until

Function = Callable[..., FlaskClient]
Make = Callable[..., Job]
Sql = Callable[..., list[tuple[Any, ...]]]


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("videos")


@pytest.fixture(scope="module")
def video(shelf: Path) -> bytes:
    return makers.plain(shelf).read_bytes()


@pytest.fixture
def client(function: Function) -> FlaskClient:
    return function("convert")


def tell(client: FlaskClient, job: Job) -> Any:
    return deliver(client, announcement.uploaded(job, "/functions/upload"))


def state(sql: Sql) -> str:
    [(only,)] = sql("SELECT state FROM jobs")
    return str(only)


def current(jobs: Jobs, job: Job) -> Job:
    found = jobs.find(job.id)
    assert found
    return found


def test_a_video_becomes_an_mp3_and_the_reply_says_so(
    client: FlaskClient, video: bytes, add: Make, jobs: Jobs, mp3s: Bucket, tmp_path: Path
) -> None:
    """The MP3 is stored whole, the row names it, and nothing else is left."""
    job = add(video, traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", correlationid="r1")
    event = replied(tell(client, job))
    done = current(jobs, job)
    assert done.audio
    assert (done.state, done.progress, done.tries) == (State.DONE, 1, 1)
    assert (event.type, event.job, event.source) == (AUDIO_CONVERTED, job.id, "/functions/convert")
    assert (event.data["fid"], event.data["size"]) == (str(job.fid), done.audio_size)
    assert (event.traceparent, event.correlationid) == (job.traceparent, "r1")
    target = tmp_path / "audio.mp3"
    target.write_bytes(b"".join(mp3s.read(done.audio)))
    with target.open("rb") as mp3:
        assert MP3.measure(mp3) == pytest.approx(makers.SECONDS, abs=0.1)
    assert event.data["duration"] == pytest.approx(makers.SECONDS, abs=0.1)
    assert files(mp3s)[0] == 1
    assert list(Path(tempfile.gettempdir()).glob(f"convert-{os.getpid()}-*")) == []


def test_a_doubled_event_gets_the_same_reply(client: FlaskClient, finish: Make, mp3s: Bucket) -> None:
    """The same event, with the same id: whoever gets it twice can tell."""
    job = finish()
    first, second = replied(tell(client, job)), replied(tell(client, job))
    assert first == second
    assert files(mp3s)[0] == 1


REFUSED = {"no_audio": makers.silent, "truncated": lambda shelf: makers.cut(makers.streamable(shelf))}


@pytest.mark.parametrize(("reason", "make"), REFUSED.items(), ids=REFUSED)
def test_a_video_that_can_never_be_converted_fails_its_job(
    reason: str, make: Callable[[Path], Path], client: FlaskClient, shelf: Path, add: Make, jobs: Jobs, mp3s: Bucket
) -> None:
    """At its first try, for a second one would not help. To the platform that is no error."""
    job = add(make(shelf).read_bytes())
    event = replied(tell(client, job))
    assert (event.type, event.data["reason"]) == (CONVERSION_FAILED, reason)
    failed = current(jobs, job)
    assert (failed.state, failed.reason) == (State.FAILED, reason)
    assert replied(tell(client, job)) == event
    assert files(mp3s) == (0, 0)


def test_a_job_is_converted_as_its_row_says(function: Function, video: bytes, add: Make, jobs: Jobs, sql: Sql) -> None:
    """Whatever convert's own settings are by then; a job from before the options has their defaults."""
    client = function("convert", MP3_QUALITY="0")
    sizes = []
    for options in (Options(vbr=0), Options(vbr=9), Options(), None):
        job = add(video, options=options or Options())
        if options is None:
            sql("UPDATE jobs SET options = '{}' WHERE id = %s", job.id)
        replied(tell(client, job))
        done = current(jobs, job)
        assert done.options == (options or Options())
        sizes.append(done.audio_size or 0)
    best, smallest, usual, before_options = sizes
    assert best > usual > smallest
    assert before_options == usual


@pytest.fixture
def convert_again(function: Function, client: FlaskClient, ada: Person, jobs: Jobs, sink: harness.Function) -> Any:
    """Asks for another conversion of a job's video, carries its event to convert, and gives the job as it ended."""

    def run(job: Job, **options: Any) -> Job:
        sink.asked.clear()
        asked = function("jobs").post("/", json={"source": str(job.id), **options}, headers=ada.headers)
        assert asked.status_code == 202, asked.text
        [announced] = [each.event for each in sink.asked]
        replied(deliver(client, announced))
        ended = jobs.find(announced.job)
        assert ended
        assert str(ended.id) == asked.json["id"]
        return ended

    return run


def test_a_video_is_converted_again_and_what_was_made_of_it_before_stays(
    client: FlaskClient, convert_again: Callable[..., Job], video: bytes, add: Make, jobs: Jobs, mp3s: Bucket
) -> None:
    """In another format, in part, and from a conversion that was itself another's: each has audio of its own."""
    first = add(video, options=Options(vbr=9))
    replied(tell(client, first))
    before = current(jobs, first)
    assert before.audio
    content = b"".join(mp3s.read(before.audio))
    part = convert_again(first, start=1, end="0:03")
    opus = convert_again(part, format="opus")
    assert current(jobs, first) == before
    assert b"".join(mp3s.read(before.audio)) == content
    assert part.audio
    assert opus.audio
    assert len({before.audio, part.audio, opus.audio}) == files(mp3s)[0] == 3
    assert b"".join(mp3s.read(part.audio))[:2] == b"\xff\xfb"  # a frame of MPEG 1, layer III
    assert b"".join(mp3s.read(opus.audio))[:4] == b"OggS"
    assert part.duration == pytest.approx(2, abs=0.1)
    assert opus.duration == pytest.approx(makers.SECONDS, abs=0.1)


def test_what_failed_for_what_was_asked_succeeds_when_something_else_is(
    client: FlaskClient, convert_again: Callable[..., Job], video: bytes, add: Make, jobs: Jobs
) -> None:
    """To be tried again as it was would not have helped; the first job stays failed."""
    first = add(video, options=Options(track="7"))
    replied(tell(client, first))
    assert (failed := current(jobs, first)).reason == "no_such_track"
    assert convert_again(first).state == State.DONE
    assert convert_again(first, track="fr").reason == "no_such_track"
    assert current(jobs, first) == failed


def test_a_video_that_is_too_long_is_refused(function: Function, video: bytes, add: Make) -> None:
    """By its own index, before any sound is converted."""
    event = replied(tell(function("convert", MAX_DURATION_SECONDS="2"), add(video)))
    assert event.data["reason"] == "too_long"


def test_nothing_follows_while_another_holds_the_job(client: FlaskClient, add: Make, jobs: Jobs, sql: Sql) -> None:
    """The other's lease is live, so the answer is 202."""
    job = add()
    jobs.claim(job.id)
    assert nothing_follows(tell(client, job))
    assert state(sql) == State.CONVERTING


def test_an_event_brings_on_the_job_whose_turn_it_is(
    client: FlaskClient, video: bytes, add: Make, jobs: Jobs, eve: Person
) -> None:
    """Eve's one video is not behind all of Ada's; her own event then brings on what is left."""
    first, *backlog = [add(video) for _ in range(3)]
    assert replied(tell(client, first)).job == first.id
    hers = add(video, owner=eve.id)
    assert [replied(tell(client, job)).job for job in (*backlog, hers)] == [hers.id, backlog[0].id, backlog[1].id]
    assert replied(tell(client, hers)).job == hers.id  # nothing waits, so this is a doubled event
    assert {current(jobs, job).tries for job in (first, *backlog, hers)} == {1}


@pytest.mark.parametrize("end", ["cancelled", "deleted"])
def test_nothing_follows_for_what_its_owner_gave_up(
    end: str, client: FlaskClient, add: Make, finish: Make, jobs: Jobs, ada: Person
) -> None:
    """Before any worker had claimed it, or after it was done."""
    job = add() if end == "cancelled" else finish()
    (jobs.cancel if end == "cancelled" else jobs.delete)(job.id, ada.id)
    assert nothing_follows(tell(client, job))


def test_a_worker_that_was_overtaken_stores_nothing(
    function: Function, video: bytes, add: Make, jobs: Jobs, sql: Sql, mp3s: Bucket
) -> None:
    """Its lease lapsed and another worker finished the job: it stops, and removes only its own file."""
    job = add(video)
    slow = function("convert", LEASE_SECONDS="0")
    assert nothing_follows(tell(slow, job))
    assert files(mp3s) == (0, 0)
    jobs.free_lapsed(1)
    assert replied(tell(function("convert"), job)).type == AUDIO_CONVERTED
    assert sql("SELECT fence, state FROM jobs") == [(2, State.DONE)]


AWAY = {
    "MONGO_URI": "mongodb://127.0.0.1:1/videos?serverSelectionTimeoutMS=300",
    "MONGO_MP3_URI": "mongodb://127.0.0.1:1/mp3s?serverSelectionTimeoutMS=300",
}


@pytest.mark.parametrize("store", AWAY)
def test_a_job_is_handed_back_while_a_store_is_away(
    store: str, function: Function, video: bytes, add: Make, jobs: Jobs
) -> None:
    """With 503, and without spending a try: an outage fails nobody's job."""
    job = add(video)
    problem(tell(function("convert", **{store: AWAY[store]}), job), 503, "unavailable")
    back = current(jobs, job)
    assert (back.state, back.tries, back.fence) == (State.QUEUED, 0, 1)
    assert back.last_error


def test_while_postgres_is_away_nothing_is_claimed(function: Function, add: Make) -> None:
    """With 503, so that the delivery is tried again."""
    problem(tell(function("convert", DATABASE_URL="postgresql://127.0.0.1:1/app"), add()), 503, "unavailable")


def test_a_lost_video_spends_tries_until_the_job_is_given_up(
    client: FlaskClient, add: Make, videos: Bucket, jobs: Jobs
) -> None:
    """A replica may lag, so it is tried again. Where that does not help the owner is told."""
    job = add()
    assert job.video
    videos.delete(job.video)
    for tries in (1, 2, 3):
        problem(tell(client, job), 503, "unavailable")
        back = current(jobs, job)
        assert (back.state, back.tries) == (State.QUEUED, tries)
    assert nothing_follows(tell(client, job))
    [failed] = jobs.give_up(job.id)
    assert failed.reason == "retries_exhausted"


def test_what_nobody_thought_of_is_our_fault_and_spends_a_try(client: FlaskClient, add: Make, jobs: Jobs) -> None:
    """The answer is 500 and tells nothing of the inside, and the job is queued again."""
    job = add(container="nonsense")
    answer = tell(client, job)
    problem(answer, 500, "internal")
    assert "nonsense" not in answer.text
    back = current(jobs, job)
    assert (back.state, back.tries) == (State.QUEUED, 1)


def test_a_cancel_is_heard_while_a_video_is_converted(
    client: FlaskClient, shelf: Path, add: Make, jobs: Jobs, ada: Person, mp3s: Bucket, sql: Sql
) -> None:
    """The conversion stops before its end. Until then its owner sees how far it is."""
    job = add(makers.long(shelf).read_bytes())
    before = whole_conversions()
    with ThreadPoolExecutor() as pool:
        told = pool.submit(tell, client, job)
        until(lambda: sql("SELECT progress > 0 FROM jobs") == [(True,)])
        jobs.cancel(job.id, ada.id)
        assert nothing_follows(told.result())
    assert state(sql) == State.CANCELLED
    assert files(mp3s) == (0, 0)
    assert whole_conversions() == before


def whole_conversions() -> float | None:
    """How many conversions came to their end, by the metric that counts them."""
    return REGISTRY.get_sample_value("videotomp3_conversion_seconds_per_media_minute_count")


def test_a_worker_with_all_the_videos_it_can_convert_takes_no_more(
    function: Function, shelf: Path, add: Make, jobs: Jobs, ada: Person
) -> None:
    """With 429, so that the dispatcher brings the event again. The job is not claimed."""
    worker = function("convert", CONCURRENCY="1")
    first, second = add(makers.long(shelf).read_bytes()), add()
    with ThreadPoolExecutor() as pool:
        converting = pool.submit(tell, worker, first)
        until(lambda: current(jobs, first).state == State.CONVERTING)
        answer = tell(worker, second)
        jobs.cancel(first.id, ada.id)
        assert nothing_follows(converting.result())
    problem(answer, 429, "throttled")
    assert answer.headers["Retry-After"]
    assert current(jobs, second).state == State.QUEUED


def waited(client: FlaskClient) -> float:
    """How often this process has put a conversion off because the disk had no room."""
    found = re.search(r"^videotomp3_no_room_total ([\d.]+)$", client.get("/_/metrics").text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def test_a_video_that_no_disk_here_can_hold_fails_before_it_is_fetched(
    function: Function, add: Make, videos: Bucket, sql: Sql
) -> None:
    """Such a job was tried for ever once, and its owner was not told."""
    job = add(video_size=200_000_000)
    assert job.video
    videos.delete(job.video)  # whoever fetched it would find nothing, and give it back
    client = function("convert", CONVERT_DISK_BYTES="150000000")
    assert replied(tell(client, job)).data["reason"] == "disk_too_small"
    assert sql("SELECT state, reason FROM jobs") == [(State.FAILED, "disk_too_small")]


def test_an_mp3_that_no_disk_here_can_hold_beside_its_video_fails_too(
    function: Function, video: bytes, add: Make, mp3s: Bucket
) -> None:
    """Its size is known only when it is made."""
    client = function("convert", CONVERT_DISK_BYTES=str(len(video) + 10_000))
    assert replied(tell(client, add(video))).data["reason"] == "disk_too_small"
    assert files(mp3s) == (0, 0)


# What the second needs that waits: by its size before it is fetched, by its length after that.
WAIT = {
    "a large video": (makers.plain, 100_000_000, 125_000_000),
    "a long one": (lambda shelf: makers.long(shelf, 1), 1, 144_000_001),
}


@pytest.mark.parametrize(("make", "size", "needed"), WAIT.values(), ids=WAIT)
def test_two_conversions_are_not_promised_the_same_room(
    make: Callable[[Path], Path], size: int, needed: int, function: Function, shelf: Path, add: Make, jobs: Jobs,
    ada: Person, sql: Sql, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    """The second waits even while the first has written next to nothing. The log tells how much is missing."""
    client = function("convert", CONVERT_DISK_BYTES="200000000")
    first = add(makers.long(shelf).read_bytes(), video_size=150_000_000)
    second = add(make(shelf).read_bytes(), video_size=size)
    before = waited(client)
    with ThreadPoolExecutor() as pool:
        told = pool.submit(tell, client, first)
        until(lambda: sql("SELECT progress > 0 FROM jobs WHERE id = %s", first.id) == [(True,)])
        with caplog.at_level(logging.INFO, "functions"):
            answer = tell(client, second)
        jobs.cancel(first.id, ada.id)
        assert nothing_follows(told.result(timeout=PATIENCE))
    problem(answer, 503, "unavailable")
    back = jobs.find(second.id)
    assert back
    missing = f"{needed} bytes of disk are needed and 50000000 are free"
    assert (back.state, back.tries, back.last_error) == (State.QUEUED, 0, missing)
    logged = [vars(line)["fields"] for line in caplog.records]
    assert [missing in fields["why"] for fields in logged if fields.get("status") == 503] == [True]
    assert waited(client) == before + 1
    assert replied(tell(client, second)).type == AUDIO_CONVERTED


@pytest.fixture
def run_jobsink(environ: dict[str, str], tmp_path: Path) -> Callable[..., int]:
    """`python -m functions.convert.jobsink` on an event in a file, that command before it; gives its exit status."""

    def run(event: bytes, *before: str, **changes: str) -> int:
        (tmp_path / "event").write_bytes(event)
        command = [*before, sys.executable, "-m", "functions.convert.jobsink"]
        own = {"PYTHONPATH": str(FUNCTIONS.parent), "K_EVENT_PATH": str(tmp_path)}
        return subprocess.run(command, env={**INHERITED, **environ, **own, **changes}, check=False).returncode

    return run


def test_a_job_of_its_own_converts_one_video_and_posts_the_result(
    run_jobsink: Callable[..., int], video: bytes, add: Make, sink: harness.Function, sql: Sql
) -> None:
    """JobSink hands it the event as a file and reads no reply. A job that is done is announced again."""
    event = envelope.to_message(announcement.uploaded(add(video), "/functions/upload"))
    assert run_jobsink(event) == 0
    assert state(sql) == State.DONE
    assert run_jobsink(event) == 0
    first, second = (asked.event for asked in sink.asked)
    assert first == second
    assert first.type == AUDIO_CONVERTED


def test_a_job_of_its_own_tells_what_may_pass_from_what_will_not(
    run_jobsink: Callable[..., int], video: bytes, add: Make, sink: harness.Function, sql: Sql
) -> None:
    """By its exit status: Kubernetes tries again after 1, and not after 2."""
    event = envelope.to_message(announcement.uploaded(add(video), "/functions/upload"))
    assert run_jobsink(event, MONGO_URI=AWAY["MONGO_URI"]) == 1
    assert state(sql) == State.QUEUED
    sink.behave = harness.answers(503)
    assert run_jobsink(event) == 1
    assert state(sql) == State.DONE
    assert run_jobsink(b"{}") == 2
    assert run_jobsink(event, DATABASE_URL="") == 2


# A disk of its own for one command, which any user may have: a tmpfs in a namespace of that user's.
SMALL_DISK = (
    *("unshare", "--user", "--map-root-user", "--mount", "sh", "-ec"),
    'mount -t tmpfs -o size="$0" tmpfs "$TMPDIR"; head -c "$1" /dev/zero > "$TMPDIR/others"; shift; exec "$@"',
)
needs_namespaces = pytest.mark.skipif(
    subprocess.run(["unshare", "--user", "--map-root-user", "--mount", "true"], check=False).returncode != 0,
    reason="this machine lets nobody make namespaces",
)


@needs_namespaces
@pytest.mark.usefixtures("sink")
@pytest.mark.parametrize(
    ("spare", "taken", "status", "outcome"),
    [
        (-100_000, 0, 0, (State.FAILED, "disk_too_small")),
        (20_000, 0, 0, (State.FAILED, "disk_too_small")),
        (2_000_000, 1_950_000, 1, (State.QUEUED, None)),
        (2_000_000, 0, 0, (State.DONE, None)),
    ],
    ids=["smaller than the video", "no room for the MP3", "filled by others", "large enough"],
)
def test_a_disk_of_any_size_is_met(
    spare: int, taken: int, status: int, outcome: tuple[str, str | None], run_jobsink: Callable[..., int], video: bytes,
    add: Make, sql: Sql, tmp_path: Path,
) -> None:  # fmt: skip
    """Break: the disk is too small, or others have filled it. Symptom: the owner is told, or the job waits."""
    (tmp_path / "disk").mkdir()
    event = envelope.to_message(announcement.uploaded(add(video), "/functions/upload"))
    size = str(len(video) + spare)
    assert run_jobsink(event, *SMALL_DISK, size, str(taken), TMPDIR=str(tmp_path / "disk")) == status
    assert sql("SELECT state, reason FROM jobs") == [outcome]
