"""Text is written and read as UTF-8, whatever the machine's locale would have."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PARTS = ("emulator", "events", "functions", "serving", "tests")
MODULES = sorted(path for part in PARTS for path in (ROOT / part).rglob("*.py"))
PROCESSES = {"run", "Popen", "check_output"}
TEXT_MODES = set("rwax+t")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_text_depends_on_the_locale(path: Path) -> None:
    """By the names of what is called: ruff's PLW1514 knows a path only where it sees it made, and no process at all."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    lines = [call.lineno for call in ast.walk(tree) if isinstance(call, ast.Call) and reads_the_locale(call)]
    assert lines == [], "these lines say no encoding"


@pytest.mark.parametrize(
    "line",
    [
        *("path.read_text()", "path.write_text(text)", "path.open('a+')", "open(path)", "open(path, 'w')"),
        *("subprocess.run(command, text=True)", "Popen(command, universal_newlines=True)"),
    ],
)
def test_the_test_above_sees(line: str) -> None:
    """Each of these has failed somebody whose locale is Latin-1."""
    assert reads_the_locale(ast.parse(line, mode="eval").body)


def reads_the_locale(call: ast.expr) -> bool:
    assert isinstance(call, ast.Call)
    given = {keyword.arg for keyword in call.keywords}
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if "encoding" in given:
        return False
    if name in PROCESSES:
        return bool(given & {"text", "universal_newlines"})
    if name == "open":
        mode = call.args[isinstance(call.func, ast.Name) :][:1]
        if not mode:
            return isinstance(call.func, ast.Name)
        return isinstance(mode[0], ast.Constant) and set(str(mode[0].value)) <= TEXT_MODES
    return name in ("read_text", "write_text")
