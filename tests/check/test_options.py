"""Options: what each one takes, what is refused, and that a row brings back what was asked."""

import json
from dataclasses import Field, fields
from typing import Any

import pytest

from functions.model.errors import Unprocessable
from functions.model.options import NAMES, Options, WholeNumber
from functions.runtime.settings import Settings

# What somebody writes, and what is meant.
TAKEN: dict[str, dict[str, Any]] = {"vbr": {"0": 0, "9": 9, "04": 4, " 4 ": 4}}
REFUSED = {"vbr": ["10", "-1", "", "4.5", "four", "4 5", "٤", "9" * 5000]}
EACH = pytest.mark.parametrize("option", fields(Options), ids=lambda option: option.name)


def test_every_option_is_tried_here() -> None:
    """Else nothing would hold it."""
    assert set(TAKEN) == set(REFUSED) == set(NAMES)


@pytest.mark.parametrize(("name", "text", "value"), [(name, *each) for name in TAKEN for each in TAKEN[name].items()])
def test_a_value_that_an_option_takes_is_what_was_asked(name: str, text: str, value: Any) -> None:
    """And comes back from the row that keeps it, which is JSON."""
    asked = Options().changed({name: text})
    assert getattr(asked, name) == value
    assert Options.of(json.loads(json.dumps(asked.as_json()))) == asked


@pytest.mark.parametrize(("name", "text"), [(name, text) for name in REFUSED for text in REFUSED[name]])
def test_a_value_that_an_option_does_not_take_is_refused_with_what_it_takes(name: str, text: str) -> None:
    """The problem names the option, so that a page can show it beside the field; of a long text it shows a little."""
    with pytest.raises(Unprocessable) as refusal:
        Options().changed({name: text})
    problem = refusal.value
    assert problem.field == name
    [option] = (each for each in fields(Options) if each.name == name)
    assert problem.detail.startswith(f"`{name}` must be {option.metadata['kind']}, not `{text[:60]}")
    assert option.metadata["meaning"] in problem.detail
    assert len(problem.detail) < 300


@EACH
def test_an_option_takes_its_own_default(option: "Field[Any]") -> None:
    """It could not be asked for otherwise."""
    assert option.metadata["kind"].parse(str(option.default)) == option.default


def test_what_is_not_asked_for_stays_as_it_was() -> None:
    """Names of other parameters stand beside the options in a query."""
    assert Options(vbr=7).changed({"filename": "a.mp4"}) == Options(vbr=7)
    assert Options(vbr=7).changed({"vbr": "1"}) == Options(vbr=1)


def test_a_row_that_is_older_or_newer_than_an_option_is_read() -> None:
    """Before the option there was its default; after a step back to this release there is more than it knows."""
    assert Options.of({}) == Options()
    assert Options.of({"vbr": 3, "karaoke": True}) == Options(vbr=3)


def test_the_setting_and_the_option_have_one_default() -> None:
    """A job that is older than the option was converted as the setting said."""
    assert Settings().mp3_quality == Options().vbr


def test_a_whole_number_says_its_bounds() -> None:
    """In the sentence that refuses another one."""
    assert str(WholeNumber(32, 320)) == "a whole number from 32 to 320"
    assert WholeNumber(-30, -8).parse("-8") == -8
