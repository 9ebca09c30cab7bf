"""What README.md and docs/ claim is held against the code: a table that drifts is a failing test."""

import re
import subprocess
from dataclasses import fields
from pathlib import Path

import pytest

from events import catalogue, contract
from functions.model.media import Reason
from functions.runtime.settings import SECRETS, Settings

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
ORIGINAL = (ROOT / "docs" / "from-the-original.md").read_text(encoding="utf-8")
DOCUMENTS = "\n".join([README, *(path.read_text(encoding="utf-8") for path in sorted(ROOT.glob("docs/*.md")))])
FUNCTIONS = catalogue.load()
BRIDGE = set(re.findall(r'"([A-Z][A-Z0-9_]+)"', (ROOT / "events/bridge/settings.py").read_text(encoding="utf-8")))


def table(heading: str, document: str = README) -> dict[str, list[str]]:
    """The cells of the first table below a heading, by their row's first cell without backticks."""
    return {cells[0].strip(" `"): cells[1:] for cells in rows(heading, document)}


def rows(heading: str, document: str) -> list[list[str]]:
    lines = document.partition(f"\n## {heading}\n")[2].partition("\n## ")[0].splitlines()
    return [re.split(r"\s*\|\s*", line)[1:-1] for line in lines if line.startswith("|")][2:]


def quoted(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


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
    assert "BRIDGE_DELAYS" in BRIDGE
    assert {name for name in BRIDGE if f"`{name}`" not in README} == {"SECRETS_DIR"}  # which stands as `$SECRETS_DIR`


def test_every_secret_is_marked_as_one():
    """Which settings may come from a file is said where they are listed."""
    marked = {name.lower() for name, cells in table("Settings").items() if "*secret*" in cells[1]}
    assert marked == set(SECRETS)


def test_every_reason_of_failure_is_listed():
    """Clients match on these words."""
    listed = README.partition("one of these reasons:")[2].partition("\n\n")[0]
    assert set(re.findall(r"`([a-z_]+)`", listed)) == set(Reason)


def test_every_make_target_the_documents_name_exists():
    """`make help` and the documents speak of the same targets."""
    listed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, encoding="utf-8", check=True).stdout
    for target in set(re.findall(r"(?:`|\$ )make ([a-z][a-z-]*)", DOCUMENTS)):
        assert re.search(rf"\bmake {target}\b", listed), f"make {target} is not in make help"


def test_every_path_the_documents_name_exists():
    """A reader who follows a path arrives."""
    for document in (ROOT / "README.md", *ROOT.glob("docs/*.md")):
        for path in re.findall(r"\]\(([^)#:]+)\)", document.read_text(encoding="utf-8")):
            assert (document.parent / path).exists(), path
    rooms = "functions|events|serving|emulator|gateway|k8s|docs|requirements|tests"
    for path in re.findall(rf"`((?:{rooms})/[\w./-]+)`", DOCUMENTS):
        assert (ROOT / path).exists(), path


def test_every_door_the_documents_name_opens():
    """With that method, at that path, by the function that has it."""
    doors = set(re.findall(r"`(GET|HEAD|POST|PATCH|PUT|DELETE) (/[a-z]*)(?![^`]*_/)", DOCUMENTS))
    assert doors >= {("POST", "/register"), ("PATCH", "/account"), ("POST", "/jobs"), ("GET", "/")}
    for method, path in doors:
        [function] = [function for function in FUNCTIONS if function.path == path]
        main = (ROOT / "functions" / function.target / "main.py").read_text(encoding="utf-8")
        served = re.search(r"@web\.serves\((.*?)\bready=", main, re.DOTALL)
        assert served, function
        assert f'"{method}"' in served[1], f"{method} {path}"


def test_every_event_type_of_the_readme_is_one_of_the_contract():
    """The contract's types and no others."""
    assert set(re.findall(r"`(org\.videotomp3\.[a-z.]+\.v\d)`", README)) == set(contract.TYPES)


ORIGINAL_DOORS = ["POST /register", "POST /login", "POST /validate", "POST /upload", "GET /download?fid="]


def test_every_door_of_the_original_has_its_row_and_the_function_that_answers_it():
    """What stood there stands here, and the file is that function's."""
    doors = table("Doors", ORIGINAL)
    assert [door for door in doors if door] == ORIGINAL_DOORS
    for cells in rows("Doors", ORIGINAL):
        paths = {re.split(r"[ ?]", door)[1] for door in quoted(cells[1])}
        assert len(paths) == 1, cells
        [function] = [function for function in FUNCTIONS if function.path in paths]
        assert quoted(cells[2]) == [f"functions/{function.target}/main.py"]


def test_every_setting_of_the_original_has_its_row_and_what_is_set_in_its_place():
    """The seven of its README keep their names; what the others became is a setting of ours."""
    said = table("Settings", ORIGINAL)
    kept = ("JWT_SECRET", "DATABASE_URL", "MONGO_URI", "MONGO_MP3_URI", "AUTH_SVC_ADDR", "VIDEO_QUEUE", "MP3_QUEUE")
    assert {name: said[name][0] for name in kept} == {name: f"`{name}`" for name in kept}
    ours = {field.name.upper() for field in fields(Settings)} | BRIDGE
    below = ORIGINAL.partition("Not in the original, and needed here:")[2].partition("\n\n")[0]
    named = {name for cells in said.values() for name in quoted(cells[0])}
    assert named | set(re.findall(r"`([A-Z_]+)`", below)) <= ours


def test_every_file_of_the_original_has_its_row_and_where_it_went():
    """Each part, and nothing that is not there."""
    files = rows("Files", ORIGINAL)
    assert {path.split("/")[1] for cells in files for path in quoted(cells[0]) if path.startswith("src/")} == {
        *("auth", "gateway", "converter", "notification", "rabbit", "*")
    }
    for cells in files:
        assert quoted(cells[1]), cells
        for path in quoted(cells[1]):
            assert (ROOT / path).exists(), path
