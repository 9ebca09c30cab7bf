"""The bench's table: a promise is kept or missed, and what promises nothing informs."""

import pytest

from tests.bench.table import HEAD, Row, in_turn, line


@pytest.mark.parametrize(
    ("row", "cells"),
    [
        (Row("time", [1.04, 9, 0.5], at_most=1.05), ("time", "1.04 x", "0.50 to 9.00", "≤ 1.05 x", "ok")),
        (Row("time", [1.06], at_most=1.05), ("time", "1.06 x", "", "≤ 1.05 x", "MISSED")),
        (Row("rate", [0.94], at_least=0.95), ("rate", "0.94 x", "", "≥ 0.95 x", "MISSED")),
        (Row("CPU", [9.96, 12.4, 300], "ms"), ("CPU", "12 ms", "10.0 to 300", "", "informs")),
    ],
)
def test_the_median_keeps_the_bound_or_misses_it(row: Row, cells: tuple[str, ...]) -> None:
    """One outlier does not decide, and no bound means no promise."""
    assert row.cells == cells
    assert row.kept == (cells[-1] != "MISSED")


def test_a_line_is_for_people_or_for_a_page() -> None:
    assert line(HEAD, markdown=True) == "| row | median | spread | must be | verdict |"
    assert line(HEAD).split("  ")[0] == "row"


def test_things_are_done_in_turn_after_a_round_that_is_not_counted() -> None:
    """So that caches are warm, and what else the machine does hits all alike."""
    done = list[str]()

    def deed(name: str) -> str:
        done.append(name)
        return name

    assert in_turn(2, lambda: deed("a"), lambda: deed("b")) == [("a", "b")] * 2
    assert done == ["a", "b"] * 3
