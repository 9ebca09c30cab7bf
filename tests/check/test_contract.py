"""The event contract: what is an event of ours, and which."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from events import contract
from events.contract import AUDIO_CONVERTED, CONVERSION_FAILED, TYPES, VIDEO_UPLOADED, Event, InvalidEvent

JOB = UUID(int=7)
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
DATA: dict[str, dict[str, Any]] = {
    VIDEO_UPLOADED: {"size": 10, "container": "mov"},
    AUDIO_CONVERTED: {"fid": str(uuid4()), "size": 5, "duration": 1.5},
    CONVERSION_FAILED: {"reason": "no_audio"},
}


def event(type_: str = VIDEO_UPLOADED, job: UUID = JOB, generation: int = 0, **data: Any) -> Event:
    return contract.event(
        type_, job, generation, source="/functions/test", time=NOW, data={**DATA.get(type_, {}), **data}
    )


def test_a_repeat_is_the_same_event() -> None:
    """Whoever sends the event of this job and generation again sends the same id, and receivers see a repeat."""
    assert event() == event()


def test_another_type_job_or_generation_is_another_event() -> None:
    """An id that did not change would make receivers take a retry for a repeat."""
    told = [event(), event(CONVERSION_FAILED), event(job=uuid4()), event(generation=1)]
    assert len({each.id for each in told}) == len(told)


@pytest.mark.parametrize("type_", TYPES)
def test_each_type_has_a_schema_that_asks_for_all_its_data(type_: str) -> None:
    """And `job` is the id in the subject."""
    assert event(type_).job == JOB
    for name in DATA[type_]:
        with pytest.raises(InvalidEvent, match=name):
            event(type_, **{name: None})


@pytest.mark.parametrize(
    "data",
    [{"size": 0}, {"size": "10"}, {"container": "m" * 17}, {"token": "secret"}, {"email": "a@b.org"}, {"job_id": "7"}],
)
def test_data_that_breaks_the_schema_is_no_event(data: dict[str, Any]) -> None:
    """That includes any member that the schema does not know, such as a token or an address."""
    with pytest.raises(InvalidEvent):
        event(**data)


def test_a_type_that_is_not_ours_is_no_event() -> None:
    """The message names the types that are."""
    with pytest.raises(InvalidEvent, match=VIDEO_UPLOADED):
        event("com.example.thing")


@pytest.mark.parametrize(
    ("subject", "complaint"),
    [
        ("jobs/7", "subject must be"),
        ("", "subject must be"),
        ("jobs/5d4280bd-68e1-4c58-8c76-9108ce967bdc", "different jobs"),
    ],
)
def test_the_subject_names_the_job(subject: str, complaint: str) -> None:
    """And `data.job_id` has to name the same one."""
    mine = event()
    with pytest.raises(InvalidEvent, match=complaint):
        contract.check(Event(mine.id, mine.type, mine.source, subject, mine.time, mine.data))
