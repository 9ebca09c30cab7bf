"""The rows as a table."""

from collections.abc import Sequence

from tests.fresh.trial import Row

_TIMED = ("packages", "from nothing", "set-up", "to the MP3", "warm")
_HEAD = ("system", "user", "Python", "pip", *_TIMED, "tests", "result")


def table(rows: Sequence[Row]) -> str:
    """Give it as Markdown, so that it can stand in a document as it is."""
    cells = [_HEAD, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(_HEAD))]
    head, *body = ("| " + " | ".join(map(str.ljust, line, widths)) + " |" for line in cells)
    return "\n".join([head, "| " + " | ".join("-" * width for width in widths) + " |", *body])


def _cells(row: Row) -> tuple[str, ...]:
    trial = row.trial
    timed = (f"{row.seconds[step]:.0f} s" if step in row.seconds else "–" for step in _TIMED)
    result = f"{row.failed} failed" if row.failed else "ok"
    return (trial.system.name, trial.user, row.python, row.pip or trial.pip, *timed, row.tests or "–", result)
