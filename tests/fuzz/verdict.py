"""What is wrong with an answer."""

import json
import re
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.fuzz.cast import Cast
from tests.fuzz.connection import Answer
from tests.fuzz.grammar import Input

ROOT = Path(__file__).parents[2]
# Nothing of a machine stands in an input, so an answer has it from the machine.
_OURS = "|".join(re.escape(str(path)) for path in (ROOT, ROOT.resolve(), Path(tempfile.gettempdir())))
INSIDES = re.compile(
    rf'Traceback \(most recent|File "|/site-packages|/usr/lib|{_OURS}/|psycopg2|pymongo|0x[0-9a-f]{{10}}'.encode()
)
PROBLEM = "application/problem+json"
BINARY = ("audio/", "application/zip")
# Statuses that tell that a thing is there.
TELLING = (409, 410, 412, 416)
# The gateway makes 400 of what a function refuses for its long headers or address, and keeps the function's words.
TOO_LONG = (414, 431)


def wrong(given: Input, answers: Iterable[Answer], cast: Cast) -> list[str]:
    """Everything that is wrong with the answers to that input."""
    return [what for answer in answers for what in _wrong(given, answer, cast)]


def _wrong(given: Input, answer: Answer, cast: Cast) -> Iterator[str]:
    yield from _of_status(given, answer)
    if answer.status >= 400:
        yield from _of_problem(given, answer)
    if not answer.kind.startswith(BINARY) and (found := INSIDES.search(answer.body)):
        yield f"{answer.status} tells of the machine: {found[0]!r} in {answer.body[:300]!r}"
    yield from _of_owner(given, answer, cast)


def _of_status(given: Input, answer: Answer) -> Iterator[str]:
    # That a transfer coding or a version is unknown is the client's doing, whatever the first digit says.
    is_refusal = answer.status in (501, 505) and not given.whole
    if answer.status >= 500 and not is_refusal:
        yield f"{answer.status}: {answer.body[:300]!r}"


def _of_problem(given: Input, answer: Answer) -> Iterator[str]:
    if answer.kind != PROBLEM:
        yield f"{answer.status} is no problem but {answer.kind!r}: {answer.body[:200]!r}"
    elif answer.body or given.method != b"HEAD":
        try:
            body = json.loads(answer.body)
        except ValueError:
            yield f"the problem is no JSON: {answer.body[:300]!r}"
            return
        if body.get("status") not in (answer.status, *(TOO_LONG if answer.status == 400 else ())):
            yield f"{answer.status} says of itself {body.get('status')}"


def _of_owner(given: Input, answer: Answer, cast: Cast) -> Iterator[str]:
    told = repr(answer.headers).encode() + answer.body
    for actor in cast.actors:
        if actor.mark.encode() in told and not actor.may_know(given.data):
            yield f"{answer.status} tells of {actor.name}'s: {told[:500]!r}"
    if given.foreign and given.plain and answer.status not in (401, 404):
        yield f"what belongs to another is {answer.status}"
    elif given.foreign and not _has_link(given, cast) and answer.status in TELLING:
        yield f"{answer.status} tells that what belongs to another is there"


def _has_link(given: Input, cast: Cast) -> bool:
    return any(actor.link.encode() in given.data for actor in cast.actors)
