"""Rules for what a cluster would accept and we do not.

A rule reads one build and yields what is wrong with it. The rules stand in the modules *_rules.py by what they are
about; each adds its own to RULES when it is imported.
"""

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from events import catalogue
from functions.secrets import passwords
from tests.k8s.manifests import Manifests, Pod

CATALOGUE = {function.name: function for function in catalogue.load()}
PARALLELISM = "rabbitmq.eventing.knative.dev/parallelism"
MAX_SCALE = "autoscaling.knative.dev/max-scale"

Rule = Callable[[Manifests], Iterator[str]]
RULES: list[Rule] = []


def rule(check: Rule) -> Rule:
    """Add a rule to RULES; its name is what a failed test is called by."""
    RULES.append(check)
    return check


def functions_of(built: Manifests) -> dict[str, Pod]:
    """The pods that run our functions, by the functions' names."""
    return {pod.function: pod for pod in built.pods() if pod.function}


@cache
def secrets_made() -> set[str]:
    """The names of the files that `make secrets` makes."""
    with TemporaryDirectory() as folder:
        return set(passwords.make(Path(folder, "secrets")))


def walk(value: Any) -> Iterator[dict[str, Any]]:
    """Every mapping inside, at any depth."""
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from walk(inner)
