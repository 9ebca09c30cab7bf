"""Where a page of jobs ends: an opaque text for clients, the position (created_at, id) for the store."""

import struct
from base64 import b64decode, urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from uuid import UUID

from functions.model.errors import BadRequest
from functions.model.jobs import Job

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LAYOUT = struct.Struct(">q16s")  # microseconds since 1970, which is all that Postgres keeps of a time, and the id


def after(job: Job) -> str:
    """The cursor of the page that begins below that job."""
    microseconds = (job.created_at - EPOCH) // timedelta(microseconds=1)
    return urlsafe_b64encode(LAYOUT.pack(microseconds, job.id.bytes)).decode()


def read(cursor: str) -> tuple[datetime, UUID]:
    """The position that `after` wrote down. Raises BadRequest."""
    try:
        microseconds, id_ = LAYOUT.unpack(b64decode(cursor, altchars=b"-_", validate=True))
        return EPOCH + timedelta(microseconds=microseconds), UUID(bytes=id_)
    except (ValueError, OverflowError, struct.error) as error:
        raise BadRequest("cursor must be taken from the `next` of an earlier page", field="cursor") from error
