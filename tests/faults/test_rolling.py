"""A new version goes out while people work: each instance of each function is stopped and started, one by one."""

from threading import Event

from tests import videos
from tests.acceptance.person import Person
from tests.faults.harness import Harness
from tests.soak.clients import Client, Record, Sample


def test_a_rolling_restart_is_noticed_by_nobody(harness: Harness) -> None:
    """Break: SIGTERM to each instance under load, its successor ready before the next. Symptom: none, but for answers
    after which HTTP lets a client ask again. Recovery: what runs is finished or handed back.
    """
    record, over = Record(), Event()
    samples = [Sample(videos.bunny(), seconds=videos.play(videos.bunny()))]
    clients = [Client(Person(harness), samples, record, over, str(n)) for n in range(3)]
    for client in clients:
        client.start()
    for name, instances in harness.functions.items():
        for leaving in instances:
            harness.lead(name, *(each for each in instances if each is not leaving))  # as its platform does, too
            leaving.stop()
            leaving.start()
            leaving.wait()
            harness.lead(name, *instances)
    harness.bridge.stop()
    harness.bridge.start()
    harness.bridge.wait()
    over.set()
    for client in clients:
        client.join()
    assert not record.surprises
    assert not record.counts["unanswered"]
    harness.until_swept(lambda: not harness.sql("SELECT FROM jobs WHERE state IN ('queued', 'converting')"))
    assert {row["tries"] for row in harness.sql("SELECT * FROM jobs") if str(row["id"]) in record.accepted} <= {0, 1}
