"""The event contract: three types of CloudEvents 1.0, each with a JSON Schema for its data.

An event only says "look at this job now"; what is true of the job stands in its row in Postgres.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

VIDEO_UPLOADED = "org.videotomp3.video.uploaded.v1"
AUDIO_CONVERTED = "org.videotomp3.audio.converted.v1"
CONVERSION_FAILED = "org.videotomp3.conversion.failed.v1"
TYPES = (VIDEO_UPLOADED, AUDIO_CONVERTED, CONVERSION_FAILED)
RESULTS = (AUDIO_CONVERTED, CONVERSION_FAILED)

SCHEMAS = Path(__file__).parent / "schemas"
SUBJECT = "jobs/"


class InvalidEvent(Exception):
    """The event breaks the contract; the message says where. Do not send it again: correct what made it."""


@dataclass(frozen=True)
class Event:
    """A CloudEvent of ours, whatever it is encoded as (CloudEvents 1.0.2, section 2); `envelope` encodes it."""

    id: str
    type: str
    source: str
    subject: str
    time: datetime
    data: dict[str, Any]
    traceparent: str | None = None  # W3C Trace Context, CloudEvents' distributed tracing extension
    correlationid: str | None = None

    @property
    def job(self) -> UUID:
        """The job that the event is about.

        A function must take nothing else from an event: on some platforms anybody can post one.
        """
        return UUID(self.subject.removeprefix(SUBJECT))

    @property
    def dataschema(self) -> str:
        """The name (`$id`) of the JSON Schema of its data."""
        return f"urn:videotomp3:schema:{self.type}"


def event(
    type_: str, job: UUID, generation: int, *, source: str, time: datetime, data: dict[str, Any],
    traceparent: str | None = None, correlationid: str | None = None,
) -> Event:  # fmt: skip
    """Makes the event of that type for this generation of the job. `data` needs no job_id and no generation.

    Its id depends on job, type and generation alone, so an event that is made again is the same event to whoever gets
    both. Raises InvalidEvent when `data` breaks the type's schema.
    """
    made = Event(
        id=str(uuid5(job, f"{type_}/{generation}")),
        type=type_,
        source=source,
        subject=f"{SUBJECT}{job}",
        time=time,
        data={"job_id": str(job), "generation": generation, **data},
        traceparent=traceparent,
        correlationid=correlationid,
    )
    check(made)
    return made


def check(event: Event) -> None:
    """Raises InvalidEvent when the type is not one of ours, or the subject or the data is not what that type needs."""
    if event.type not in TYPES:
        raise InvalidEvent(f"type {event.type[:100]!r} is none of {', '.join(TYPES)}")
    try:
        subject = str(event.job)
    except ValueError as error:
        raise InvalidEvent("subject must be jobs/<uuid>") from error
    _validator(event.type)(event.data)
    if event.data["job_id"] != subject:
        raise InvalidEvent("data.job_id and subject name different jobs")


@cache
def _validator(type_: str) -> Callable[[Any], None]:
    # Imported and compiled when the first event needs it: a cold start must not pay for it.
    import fastjsonschema

    validate = fastjsonschema.compile(json.loads((SCHEMAS / f"{type_}.json").read_text(encoding="utf-8")))

    def check_data(data: Any) -> None:
        try:
            validate(data)
        except fastjsonschema.JsonSchemaException as error:
            raise InvalidEvent(str(error)) from error

    return check_data
