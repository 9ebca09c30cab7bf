"""Sweep: run by a clock, it puts right what crashes and outages left behind, and removes what is no longer kept.

A run goes on until nothing is left to do, and then looks for a while whether something becomes due: so what is owed is
sent soon after the broker is back. Who notices that the broker has lost its events asks for a run with `?lost=seconds`.
Several runs at once are safe: each takes rows that the others have not taken.
"""

import re
import time
from collections import Counter

from flask import Request, Response

from functions.model.errors import BadRequest, Unavailable
from functions.runtime import responses, shutdown, web, wiring
from functions.sweep import kept, orphans, owed

services = wiring.Services("sweep")
BATCH = 100  # rows of a kind at once
MOST = 240.0  # seconds of work: the platforms give a run 300
LOOK = 2.0  # seconds from one look for what is due to the next
LOST = re.compile(r"\d{1,9}(\.\d{1,9})?")


@web.serves("POST", ready=services.ready, counts=services.counts)
def sweep(request: Request) -> Response:
    ends = time.monotonic() + MOST
    did: Counter[str] = Counter()
    lost = _lost(web.query(request, "lost"))
    if lost is not None:
        owed.recall(services, lost, BATCH)
    while _pay(did) | _expire(did) and _goes_on(ends):
        pass
    services.expiry.add_up_counts()
    if services.expiry.begin_pass("orphans", services.settings.orphan_pass_seconds):
        did.update(_remove_orphans())
    if lost is None:
        _watch(did, ends)
    web.note(**did)
    return responses.json(dict(did))


def _lost(query: dict[str, str]) -> float | None:
    """How many seconds ago the broker lost its events. Raises BadRequest."""
    if "lost" in query and not LOST.fullmatch(query["lost"]):
        raise BadRequest("lost must be a number of seconds, such as 1.5", field="lost")
    return float(query["lost"]) if "lost" in query else None


def _goes_on(ends: float) -> bool:
    return time.monotonic() < ends and not shutdown.begun()


def _watch(did: Counter[str], ends: float) -> None:
    """Looks again and again for what is due, until that second of the clock's minute; the next run begins soon after.

    A store that is away meanwhile may be back before that, so it ends nothing.
    """
    second = services.settings.sweep_until
    until = time.monotonic() + (second - time.time()) % 60 - LOOK if second else 0.0
    while _goes_on(until):
        time.sleep(LOOK)
        try:
            while _pay(did) and _goes_on(ends):
                pass
        except Unavailable as error:
            web.note(away=str(error))


def _pay(did: Counter[str]) -> bool:
    """Whether there may be more of what is owed."""
    paid = {**owed.heal(services, BATCH), **owed.announce(services, BATCH)}
    did.update(paid)
    return max(paid.values()) >= BATCH


def _expire(did: Counter[str]) -> bool:
    """Whether there may be more of what is no longer kept."""
    done, is_more = kept.expire(services, BATCH)
    did.update(done)
    return is_more


def _remove_orphans() -> dict[str, int]:
    age = services.settings.orphan_seconds
    return {
        "orphan_videos": orphans.remove(services.videos, services.expiry, age),
        "orphan_audios": orphans.remove(services.audios, services.expiry, age),
    }
