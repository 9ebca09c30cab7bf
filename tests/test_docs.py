"""What README.md and docs/ claim is held against the code: a table that drifts is a failing test."""

import re
import subprocess
from dataclasses import fields
from pathlib import Path

import pytest

from events import catalogue, contract
from functions.model.media import Reason
from functions.settings import SECRETS, Settings

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
FUNCTIONS = catalogue.load()


def table(heading: str) -> dict[str, list[str]]:
    """The cells of the first table below a heading, by their row's first cell without backticks."""
    lines = README.partition(f"\n## {heading}\n")[2].partition("\n## ")[0].splitlines()
    rows = [re.split(r"\s*\|\s*", line)[1:-1] for line in lines if line.startswith("|")]
    return {cells[0].strip(" `"): [cell.strip() for cell in cells[1:]] for cells in rows[2:]}


def test_every_function_of_the_catalogue_stands_in_the_readme_in_the_same_order():
    """The table of functions is the catalogue's."""
    assert list(table("The functions")) == [function.name for function in FUNCTIONS]


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.name)
def test_a_functions_row_says_what_the_catalogue_says(function):
    """Trigger, path, limits and memory of the README are those that every platform is given."""
    trigger, path, _, limit, at_once, memory = table("The functions")[function.name]
    assert re.findall(r"`([^`]+)`", trigger) == [*function.events, *([function.schedule] if function.schedule else [])]
    assert path == (f"`{function.path}`" if function.path else "–")
    assert (limit, at_once, memory) == (f"{function.timeout} s", str(function.concurrency), function.memory)


def test_every_setting_stands_in_the_readme_with_its_default():
    """A setting that nobody can look up does not exist."""
    said = {name: cells[0].replace("–", "") for name, cells in table("Settings").items()}
    real = {field.name.upper(): str(field.default).replace("False", "false") for field in fields(Settings)}
    assert said == real


def test_every_setting_of_the_bridge_stands_in_the_readme():
    """The bridge is set like everything else."""
    source = (ROOT / "events/bridge/settings.py").read_text(encoding="utf-8")
    names = set(re.findall(r'"((?:[A-Z]+_)*[A-Z]+)"', source))
    assert "BRIDGE_DELAYS" in names
    assert {name for name in names if f"`{name}`" not in README} == {"SECRETS_DIR"}  # which stands as `$SECRETS_DIR`


def test_every_secret_is_marked_as_one():
    """Which settings may come from a file is said where they are listed."""
    marked = {name.lower() for name, cells in table("Settings").items() if "*secret*" in cells[1]}
    assert marked == set(SECRETS)


def test_every_reason_of_failure_is_listed():
    """Clients match on these words."""
    listed = README.partition("one of these reasons:")[2].partition("\n\n")[0]
    assert set(re.findall(r"`([a-z_]+)`", listed)) == set(Reason)


def test_every_make_target_the_documents_name_exists():
    """`make help` and the README speak of the same targets."""
    listed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, encoding="utf-8", check=True).stdout
    for target in set(re.findall(r"`?make ([a-z][a-z-]*)", README + ARCHITECTURE)):
        assert re.search(rf"\bmake {target}\b", listed), f"make {target} is not in make help"


def test_every_path_the_documents_name_exists():
    """A reader who follows a path arrives."""
    for path in re.findall(r"\]\(([^)#:]+)\)", README + ARCHITECTURE):
        assert (ROOT / path).exists(), path
    for path in re.findall(r"`((?:functions|events|k8s|gateway|docs|tests)/[\w./-]+)`", README + ARCHITECTURE):
        assert (ROOT / path).exists(), path


def test_every_event_type_of_the_readme_is_one_of_the_contract():
    """The contract's types and no others."""
    assert set(re.findall(r"`(org\.videotomp3\.[a-z.]+\.v\d)`", README)) == set(contract.TYPES)
