"""Which settings a function reads: found in its code, and in wiring.py, which builds services from them."""

import ast
from collections.abc import Iterator
from dataclasses import fields
from functools import cache
from pathlib import Path

from functions.runtime.settings import ASK_VALIDATE, NEEDS, Settings

ROOT = Path(__file__).resolve().parents[2]
NAMES = {field.name for field in fields(Settings)}
ONCE = "functions.convert.jobsink"  # an entry point besides the function: a Job on Knative


def read_by(function: str) -> set[str]:
    """Names of fields of Settings, without `concurrency`, which gunicorn reads for every function."""
    found = {name for name in NEEDS[function] if name in NAMES}
    used: set[str] = set()
    for module in _modules(f"functions.{function}.main"):
        found |= _settings(module)
        used |= {name for base, name in _attributes(_tree(module)) if base == "services"}
    for name in used - {"ready", "settings", "source"}:  # the first asks the stores of NEEDS
        found |= _behind(name)
    # A function that imports functions.runtime.announcement need not send events; and validate does not ask itself.
    return found - ({"k_sink"} - set(NEEDS[function])) - (set() if function in ASK_VALIDATE else {"auth_svc_addr"})


@cache
def _behind(service: str) -> frozenset[str]:
    """The settings that functions/runtime/wiring.py reads to build that service and those it is made of."""
    tree = _tree("functions.runtime.wiring")
    methods = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    node = methods[service]
    found = {name for base, name in _attributes(node) if base == "self.settings" and name in NAMES}
    for base, name in _attributes(node):
        if base == "self" and name in methods:
            found |= _behind(name)
    return frozenset(found)


def _settings(module: str) -> set[str]:
    return {
        name
        for base, name in _attributes(_tree(module))
        if base.rpartition(".")[2] in ("settings", "_settings") and name in NAMES
    }


def _modules(entry: str) -> set[str]:
    """That module and every module of functions/ that it imports, directly or not, except wiring and settings."""
    seen: set[str] = set()
    ahead = [entry]
    while ahead:
        module = ahead.pop()
        if module not in seen and module not in (ONCE, "functions.runtime.wiring", "functions.runtime.settings"):
            seen.add(module)
            ahead += _imported(_tree(module))
    return seen


def _imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("functions"):
            names = [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
            yield from (name for name in names if _path(name).is_file())


def _attributes(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Every attribute access: (`self.settings`, `k_sink`) for `self.settings.k_sink`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield ast.unparse(node.value), node.attr


@cache
def _tree(module: str) -> ast.Module:
    return ast.parse(_path(module).read_text(encoding="utf-8"))


def _path(module: str) -> Path:
    return ROOT.joinpath(*module.split(".")).with_suffix(".py")
