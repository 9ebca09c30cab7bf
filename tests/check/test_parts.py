"""Audio is split by chapters without losing any of it, into files whose names are safe everywhere."""

import io
import re
import zipfile
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.convert.archive import Archive
from functions.convert.parts import MOST, plan
from functions.convert.sound import Span
from functions.model.encoding import MP3
from functions.model.media import part_name
from functions.model.source import Chapter

CHAPTERS = (Chapter(1, 2, "One"), Chapter(2, 4, "Two"), Chapter(5, 6, None))


def test_parts_follow_the_chapters_and_leave_nothing_out() -> None:
    """What lies between two chapters belongs to the first of them, and so on at both ends."""
    parts = plan(CHAPTERS, Span(), MP3)
    assert [(part.title, part.span) for part in parts] == [
        *(("One", Span(0, 2)), ("Two", Span(2, 5)), ("Chapter 3", Span(5, None))),
    ]
    assert [(part.number, part.count) for part in parts] == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize(
    ("span", "kept"),
    [
        (Span(1.5, 4.5), [Span(1.5, 2), Span(2, 4.5)]),
        (Span(2, 5), [Span(2, 5)]),
        (Span(10, 20), []),
        (Span(0, 0.5), []),
    ],
    ids=str,
)
def test_only_chapters_within_the_span_count(span: Span, kept: list[Span]) -> None:
    """A chapter that merely touches it has no sound there."""
    assert [part.span for part in plan(CHAPTERS, span, MP3)] == kept


def test_chapters_in_any_order_and_at_the_same_place_are_put_right() -> None:
    """Some writers nest them, sort them by name, or make empty ones."""
    chapters = (Chapter(3, 4, "b"), Chapter(0, 9, "a"), Chapter(3.05, 3.06, "none"), Chapter(5, 5, "c"))
    parts = plan(chapters, Span(), MP3)
    assert [(part.title, part.span) for part in parts] == [("a", Span(0, 3)), ("b", Span(3, 5)), ("c", Span(5, None))]


def test_a_video_without_chapters_has_no_parts() -> None:
    """Its audio is one file, as if nobody had asked for parts."""
    assert plan((), Span(), MP3) == []


def test_there_is_an_end_to_the_number_of_parts() -> None:
    """The last one then has all the rest."""
    parts = plan(tuple(Chapter(at, at + 1, None) for at in range(5000)), Span(), MP3)
    assert len(parts) == MOST
    assert parts[-1].span.end is None


times = st.floats(0, 100)


@given(st.lists(st.tuples(times, times)), times, st.none() | times)
def test_the_parts_of_any_span_make_up_the_whole_of_it(
    borders: list[tuple[float, float]], start: float, end: float | None
) -> None:
    parts = plan(tuple(Chapter(*border, None) for border in borders), Span(start, end), MP3)
    for before, after in pairwise(parts):
        assert before.span.end == after.span.start
        assert before.span.start < after.span.start
    if parts:
        assert (parts[0].span.start, parts[-1].span.end) == (start, end)
    assert len({part.filename for part in parts}) == len(parts)


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("Intro", "07 Intro.mp3"),
        ("../../etc/passwd", "07 .. .. etc passwd.mp3"),
        ('What? "A/B" <1:2>', "07 What A B 1 2.mp3"),
        ("CON", "07 CON.mp3"),
        ("ends. ", "07 ends.mp3"),
        ("tab\tand\nline", "07 tabandline.mp3"),
        ("???", "07.mp3"),
        ("Größe 映画", "07 Größe 映画.mp3"),
    ],
)
def test_a_part_has_a_name_that_every_file_system_takes(title: str, name: str) -> None:
    assert part_name(7, 12, title, MP3) == name


def test_names_sort_as_the_parts_follow() -> None:
    """Numbers have as many digits as the last of them."""
    names = [part_name(number, 120, "x", MP3) for number in range(1, 121)]
    assert names == sorted(names)


@given(st.integers(1, MOST), st.text())
def test_whatever_a_chapter_is_called_its_file_s_name_is_safe(number: int, title: str) -> None:
    name = part_name(number, MOST, title, MP3)
    assert len(name.encode()) <= 200
    assert re.fullmatch(rf'{number:03d}( [^<>:"/\\|?*\x00-\x1f]+)?\.mp3', name)
    assert not name.removesuffix(".mp3").endswith((".", " "))


def test_each_part_is_a_range_of_the_zip(tmp_path: Path) -> None:
    """So a part is downloaded as a piece of it, and nothing is stored twice."""
    parts = plan(CHAPTERS, Span(), MP3)
    contents = [bytes([number]) * 1000 * number for number in range(1, 4)]
    with Archive(tmp_path / "zip") as archive:
        for part, content in zip(parts, contents, strict=True):
            archive.add(part, iter([content[:500], content[500:]]), duration=1.5)
    whole = (tmp_path / "zip").read_bytes()
    assert [whole[part.offset : part.offset + part.size] for part in archive.parts] == contents
    with zipfile.ZipFile(io.BytesIO(whole)) as packed:
        assert packed.testzip() is None
        assert packed.namelist() == [part.filename for part in archive.parts] == [part.filename for part in parts]
        assert [packed.read(name) for name in packed.namelist()] == contents
