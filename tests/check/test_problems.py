"""Problems are rendered in one place, and one type means the same whoever says it."""

import ast
import json
import re

import pytest

from functions.model import options
from functions.model.media import printable
from functions.runtime.outcome import LOGGED_FIELDS
from serving import problems
from serving.problems import Kind
from tests.check.given import ROOT
from tests.check.test_errors import kinds

TABLE = {each.slug: each for each in vars(problems).values() if isinstance(each, Kind)}
OF_FUNCTIONS = {each.slug: Kind(each.status, each.slug, each.title) for each in kinds()}
GATEWAY = (ROOT / "gateway" / "nginx.conf.template").read_text(encoding="utf-8")


def test_functions_servers_and_bridge_mean_the_same_by_a_type() -> None:
    """Clients match on it, and people read the title."""
    both = TABLE.keys() & OF_FUNCTIONS.keys()
    assert both >= {"bad-request", "not-found", "method-not-allowed", "too-large", "unavailable"}
    assert {slug: TABLE[slug] for slug in both} == {slug: OF_FUNCTIONS[slug] for slug in both}
    statuses = [each.status for each in TABLE.values() if each != problems.INVALID_EVENT]
    assert len(statuses) == len(set(statuses))


def test_the_gateway_means_the_same_by_a_type() -> None:
    """nginx has them as text; what it passes on as it is needs no line there."""
    [body] = re.findall(r"^map \$status \$problem \{\n(.*?)^\}", GATEWAY, re.MULTILINE | re.DOTALL)
    said = re.findall(r"^ +(default|[0-9]{3}) '(.+)';$", body, re.MULTILINE)
    assert len(said) == len(body.splitlines()) - 1 == 8
    known = TABLE | OF_FUNCTIONS
    for status, members in said:
        problem = json.loads(f"{{{members}}}")
        kind = known[problem["type"].removeprefix(problems.TYPE)]
        assert problem["title"] == kind.title
        assert status in (str(kind.status), "default")
        if kind is problems.INTERNAL:
            assert problem["detail"] == problems.OUR_FAULT
    assert dict(said)["default"].startswith(f'"type":"{problems.TYPE}{problems.BAD_REQUEST.slug}"')


def test_nobody_else_renders_a_problem() -> None:
    """Its media type and the beginning of its types are written down once."""
    folders = ("functions", "events", "serving")
    sources = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    for text in (problems.MIMETYPE, problems.TYPE):
        found = [path for path in sources if text in path.read_text(encoding="utf-8")]
        assert found == [ROOT / "serving" / "problems.py"]


def test_a_problem_too_long_for_a_header_has_no_copy_in_one() -> None:
    """nginx takes no answer whose headers are larger than 4 KiB."""
    short, long = (problems.answer(problems.NOT_FOUND, "ü" * length) for length in (1, 1000))
    assert short.headers["Problem"].encode() == short.body
    assert "Problem" not in long.headers
    assert json.loads(long.body)["detail"] == "ü" * 1000


@pytest.mark.parametrize("detail", ["line\r\nSet-Cookie: x", "ü\N{SNOWMAN}", "\0"])
def test_whatever_a_detail_holds_its_copy_fits_a_header(detail: str) -> None:
    """JSON in ASCII has no line ends."""
    copy = problems.answer(problems.NOT_FOUND, detail).headers["Problem"]
    assert copy.isascii()
    assert printable(copy) == copy
    assert json.loads(copy)["detail"] == detail


def test_every_field_that_a_problem_of_ours_names_may_stand_in_the_log() -> None:
    """And no other: a client can make up the name of a field."""
    named = {
        keyword.value.value
        for path in (ROOT / "functions").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        for keyword in node.keywords
        if keyword.arg == "field" and isinstance(keyword.value, ast.Constant)
    }
    assert {"body", "cursor", "email"} <= named <= LOGGED_FIELDS
    assert {"Idempotency-Key", *options.NAMES} <= LOGGED_FIELDS
