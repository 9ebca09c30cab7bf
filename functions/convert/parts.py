"""Audio split by chapters: which spans of the video the parts are made of, and what they are called."""

from collections.abc import Iterator
from dataclasses import dataclass

from functions.convert.sound import Span
from functions.model import media
from functions.model.encoding import Encoding
from functions.model.source import Chapter

SHORTEST = 0.1  # seconds; what is shorter belongs to the chapter before it
MOST = 999  # parts


@dataclass(frozen=True)
class Plan:
    """One part that is to be made."""

    number: int  # from 1
    count: int  # of all parts
    title: str
    filename: str
    span: Span


def plan(chapters: tuple[Chapter, ...], span: Span, encoding: Encoding) -> list[Plan]:
    """The parts of that span, one for each chapter in it; none where the video has no chapters there.

    Nothing between them is lost: a part reaches to where the next one begins, the first one from where the span begins,
    and the last one to where it ends.
    """
    found = list(_merged(_within(chapters, span), span))[:MOST]
    ends = [chapter.start for chapter in found[1:]]
    starts = [span.start, *ends]
    parts = []
    for number, (chapter, start, end) in enumerate(zip(found, starts, [*ends, span.end], strict=False), 1):
        title = media.printable(chapter.title or "") or f"Chapter {number}"
        name = media.part_name(number, len(found), title, encoding)
        parts.append(Plan(number, len(found), title, name, Span(start, end)))
    return parts


def _within(chapters: tuple[Chapter, ...], span: Span) -> list[Chapter]:
    """The chapter that runs where the span begins, if one does, and those that begin within it, in order."""
    end = float("inf") if span.end is None else span.end
    inside = sorted((each for each in chapters if each.start < end), key=lambda chapter: chapter.start)
    running = [each for each in inside if each.start <= span.start < each.end]
    return [*running[-1:], *(each for each in inside if each.start > span.start)]


def _merged(chapters: list[Chapter], span: Span) -> Iterator[Chapter]:
    """The chapters without those that begin where another has only just begun, or where the span ends."""
    begun = float("-inf")
    last = float("inf") if span.end is None else span.end - SHORTEST
    for chapter in chapters:
        start = max(chapter.start, span.start)
        if start >= begun + SHORTEST and (start <= last or begun == float("-inf")):
            begun = start
            yield chapter
