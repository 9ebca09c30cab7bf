"""Sweep: run by a clock, it puts right what crashes and outages left behind, and removes what is no longer kept.

A run goes on until nothing is left to do, and then looks for a while whether something becomes due: so what is owed is
sent soon after the broker is back. Two runs at once are safe: each takes rows that the other has not taken.
"""

import time
from collections import Counter

from flask import Request, Response

from functions.runtime import responses, shutdown, web, wiring
from functions.sweep import kept, orphans, owed

services = wiring.Services("sweep")
BATCH = 100  # rows of a kind at once
MOST = 240.0  # seconds of work: the platforms give a run 300
LOOK = 2.0  # seconds from one look for what is due to the next


@web.serves("POST", ready=services.ready, counts=services.counts)
def sweep(_request: Request) -> Response:
    began = time.monotonic()
    did: Counter[str] = Counter()
    while _pay(did) | _expire(did) and _goes_on(began, MOST):
        pass
    services.expiry.add_up_counts()
    if services.expiry.begin_pass("orphans", services.settings.orphan_pass_seconds):
        did.update(_remove_orphans())
    while _goes_on(began, services.settings.sweep_seconds - LOOK):
        time.sleep(LOOK)
        while _pay(did) and _goes_on(began, MOST):
            pass
    web.note(**did)
    return responses.json(dict(did))


def _goes_on(began: float, seconds: float) -> bool:
    return time.monotonic() < began + seconds and not shutdown.begun()


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
