"""The named queries of functions/stores/*.sql, as they are read; tests/stores runs them."""

from pathlib import Path

import pytest

from functions.stores.postgres import load_queries


@pytest.mark.parametrize("files", [("a.sql", "a.sql"), ("a.sql", "b.sql")], ids=["one file", "two files"])
def test_two_queries_of_one_name_are_refused(files: tuple[str, ...], tmp_path: Path) -> None:
    for file in files:
        with (tmp_path / file).open("a", encoding="utf-8") as written:
            written.write("-- name: ping\n-- Answers.\nSELECT 1;\n\n")
    with pytest.raises(ValueError, match="ping"):
        load_queries(tmp_path)
