"""The functions of the system as the platform sees them, read from template.yml (the OpenFaaS stack file)."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

STACK_FILE = Path(__file__).resolve().parent.parent / "template.yml"
OURS = "org.videotomp3/"


@dataclass(frozen=True)
class Function:
    """One entry of the catalogue: what every platform has to give this function."""

    name: str  # as deployed, with dashes
    target: str  # as Python knows it, with underscores: FUNCTION_TARGET
    path: str | None  # where the gateway serves it; None where the gateway does not know it
    auth_port: bool  # also served on the gateway's second port, where the original system had its auth service
    events: tuple[str, ...]  # the event types that trigger it
    dead_letter: bool  # whether it takes the events that other functions were given up on
    schedule: str | None  # cron line of a function that runs by the clock
    timeout: int  # seconds one request may take
    concurrency: int  # requests one instance serves at once
    memory: str  # as Kubernetes writes it
    image: str  # "light" or "convert"
    secrets: tuple[str, ...]  # file names below $SECRETS_DIR


def load(path: Path = STACK_FILE) -> tuple[Function, ...]:
    """Every function, in the order of the file.

    Raises OSError where the file cannot be read, and KeyError where an entry lacks something that every function has.
    """
    stack = yaml.safe_load(path.read_text(encoding="utf-8"))
    return tuple(_function(name, entry) for name, entry in stack["functions"].items())


def _function(name: str, entry: dict[str, Any]) -> Function:
    notes = entry["annotations"]
    return Function(
        name=name,
        target=entry["environment"]["FUNCTION_TARGET"],
        path=notes.get(f"{OURS}path"),
        auth_port=notes.get(f"{OURS}auth-port") == "true",
        events=tuple(filter(None, notes.get(f"{OURS}events", "").split(","))),
        dead_letter=notes.get(f"{OURS}dead-letter") == "true",
        schedule=notes.get(f"{OURS}schedule"),
        timeout=int(notes[f"{OURS}timeout"]),
        concurrency=int(notes[f"{OURS}concurrency"]),
        memory=entry["limits"]["memory"],
        image=entry["image"].rpartition("/")[2].partition(":")[0],
        secrets=tuple(entry.get("secrets", ())),
    )
