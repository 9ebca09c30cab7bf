"""The named queries of functions/stores/*.sql, as they are read; tests/stores runs them."""

from pathlib import Path

import pytest

from functions.stores.postgres import load_queries


@pytest.mark.parametrize("kind", ["name", "part"])
@pytest.mark.parametrize("files", [("a.sql", "a.sql"), ("a.sql", "b.sql")], ids=["one file", "two files"])
def test_two_of_one_name_are_refused(files: tuple[str, ...], kind: str, tmp_path: Path) -> None:
    """The later would replace the earlier without a word."""
    for file in files:
        with (tmp_path / file).open("a", encoding="utf-8") as written:
            written.write(f"-- {kind}: ping\n-- Answers.\nSELECT 1;\n\n")
    with pytest.raises(ValueError, match="ping"):
        load_queries(tmp_path)


def test_what_queries_share_stands_in_each_of_them(tmp_path: Path) -> None:
    """Without the comment that says what it is for: it may come to stand in the middle of a line."""
    shared = "-- part: soon\n-- When it is due.\nnow() + interval '1 second'\n\n"
    (tmp_path / "a.sql").write_text(f"{shared}-- name: a\n-- Asks.\nSELECT {{soon}} AS due;\n", encoding="utf-8")
    (tmp_path / "b.sql").write_text("-- name: b\n-- Asks.\nSELECT ({soon});\n", encoding="utf-8")
    assert load_queries(tmp_path) == {
        "a": "-- Asks.\nSELECT now() + interval '1 second' AS due;",
        "b": "-- Asks.\nSELECT (now() + interval '1 second');",
    }


def test_a_part_that_is_missing_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.sql").write_text("-- name: a\n-- Asks.\nSELECT {soon};\n", encoding="utf-8")
    with pytest.raises(ValueError, match="soon"):
        load_queries(tmp_path)


@pytest.mark.parametrize("name", load_queries())
def test_a_query_says_what_it_does(name: str) -> None:
    """In a comment before its first word of SQL."""
    assert load_queries()[name].startswith("-- ")
