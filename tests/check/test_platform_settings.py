"""Every platform gives each function what it starts with, and hands on what an operator has set."""

import re
import subprocess
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from emulator.system import System
from events import catalogue
from events.bridge.settings import Settings as BridgeSettings
from functions.runtime import settings
from functions.runtime.settings import Settings
from functions.secrets import passwords
from tests.check.given import ROOT, by_compose, by_kubernetes, by_openfaas, compose
from tests.check.reading import NAMES, read_by
from tests.check.test_docs import settings_of_functions
from tests.k8s.manifests import K8S, Manifests, build, combine

FUNCTIONS = catalogue.load()
TARGETS = {function.name: function.target for function in FUNCTIONS}
EVERY_FUNCTION = pytest.mark.parametrize("name", TARGETS)
OVERLAYS = sorted(path.parent for path in K8S.glob("overlays/*/kustomization.yaml"))
CHOSEN: dict[str, Any] = {  # something else than the default for everything that has one
    **{field.name: vars(Settings)[field.name] + 1 for field in fields(Settings) if field.type is int},
    **{field.name: f"{field.name}-that-was-set-and-is-long-enough" for field in fields(Settings) if field.type is str},
    "mongo_uri": "mongodb://set/videos",
    "mongo_mp3_uri": "mongodb://set/mp3s",
    "mail_transport": "ses",
    "require_jail": "full",
    "smtp_starttls": True,
    "smtp_ca_file": __file__,  # which is there
}
SET = {name.upper(): str(value) for name, value in CHOSEN.items()}
# Settings that a container cannot choose: docker-compose.yml sets them itself.
OF_THE_CONTAINER = {"PORT", "HOST", "SECRETS_DIR"}


@EVERY_FUNCTION
def test_a_function_starts_with_what_the_stack_file_gives_it(name: str, tmp_path: Path) -> None:
    """On OpenFaaS, with nothing set where faas-cli runs: what it finds is in k8s/overlays/openfaas."""
    given = by_openfaas(name, {})
    loaded = settings.load(TARGETS[name], given.within(tmp_path))
    assert loaded.k_sink in ("", "http://bridge.video-to-mp3")
    assert not loaded.mail_from or (loaded.smtp_host, loaded.smtp_port) == ("mail.video-to-mp3", 1025)
    assert all(isinstance(value, str) for value in given.environ.values()), "faas-cli takes text only"


@EVERY_FUNCTION
def test_a_function_on_openfaas_takes_what_the_catalogue_says_and_stops_in_time(name: str, tmp_path: Path) -> None:
    """Kubernetes kills after 30 s; what is handed back before then is taken up at once."""
    given = by_openfaas(name, {})
    concurrency = next(function.concurrency for function in FUNCTIONS if function.name == name)
    assert settings.load(TARGETS[name], given.within(tmp_path)).concurrency == concurrency
    assert 0 < int(given.environ["GRACE_SECONDS"]) < 30


@EVERY_FUNCTION
def test_a_variable_of_the_stack_file_is_the_setting_of_that_name(name: str) -> None:
    """What is exported where faas-cli runs is what the function gets."""
    before, after = by_openfaas(name, {}).environ, by_openfaas(name, SET).environ
    assert {key: after[key] for key in after if before[key] != after[key]} == {
        key: SET[key] for key in set(after) & {"K_SINK", "PUBLIC_URL", "MAIL_FROM"} | {k for k in after if "SMTP" in k}
    }


def test_the_stack_file_asks_for_nothing_that_the_community_edition_refuses() -> None:
    """Its faas-netes refuses a `topic` with a comma, scaling labels and more than 15 functions."""
    text = catalogue.STACK_FILE.read_text(encoding="utf-8")
    assert not re.search(r"^\s+(annotations|labels):.*\b(topic|com\.openfaas\.scale[\w.-]*):", text, re.MULTILINE)
    assert len(FUNCTIONS) <= 15


def test_the_stack_file_tells_how_its_functions_get_their_secrets(tmp_path: Path) -> None:
    """All of them, and stores are called by names that another namespace knows."""
    text = catalogue.STACK_FILE.read_text(encoding="utf-8")
    [names] = re.findall(r"for name in (.*); do", text)
    assert set(names.split()) == {secret for function in FUNCTIONS for secret in function.secrets}
    [script] = re.findall(r"sed -E '([^']+)'", text)
    passwords.make(tmp_path / "made")
    for name, host in (("database-url", "postgres"), ("mongo-uri", "mongo"), ("mongo-mp3-uri", "mongo")):
        sed = ["sed", "-E", script, str(tmp_path / "made" / name)]
        url = subprocess.run(sed, capture_output=True, encoding="utf-8", check=True).stdout
        assert urlsplit(url).hostname == f"{host}.video-to-mp3"


@EVERY_FUNCTION
@pytest.mark.parametrize("environ", [{}, dict.fromkeys(SET, "")], ids=["unset", "empty"])
def test_a_function_of_compose_has_its_defaults_where_nothing_is_set(
    name: str, environ: dict[str, str], tmp_path: Path
) -> None:
    """Except for what only docker-compose.yml knows: where other services are, and how people reach the gateway."""
    loaded = settings.load(TARGETS[name], by_compose(name, environ).within(tmp_path))
    own = {"k_sink", "public_url", "mail_from", "smtp_host", "concurrency", "sweep_until", *settings.SECRETS}
    differing = {field.name for field in fields(Settings) if getattr(loaded, field.name) != field.default}
    assert differing <= own
    assert loaded.public_url in ("", "http://localhost:8002")


@EVERY_FUNCTION
def test_compose_hands_each_documented_setting_to_exactly_those_who_read_it(name: str) -> None:
    """Set in the environment or in `.env`; a secret goes no further than to whoever needs it."""
    marked = {row: f"<{row}>" for row in settings_of_functions()}
    found = {key for key, value in by_compose(name, marked).environ.items() if value == marked.get(key)}
    assert found == {each.upper() for each in read_by(TARGETS[name])} | {"CONCURRENCY"}


@EVERY_FUNCTION
def test_what_is_set_for_compose_is_what_a_function_loads(name: str, tmp_path: Path) -> None:
    """Text, numbers and truth values arrive whole."""
    loaded = settings.load(TARGETS[name], by_compose(name, SET).within(tmp_path))
    for setting in read_by(TARGETS[name]) | {"concurrency"}:
        assert getattr(loaded, setting) == CHOSEN[setting], setting


def test_every_setting_is_read_by_somebody() -> None:
    """A setting that nobody reads would be held by neither of the two tests above."""
    assert set[str]().union(*(read_by(target) for target in TARGETS.values())) | {"concurrency"} == NAMES


def test_compose_hands_the_bridge_every_setting_it_reads() -> None:
    """The names in its source, and URL and parallelism of each function that it sends events to."""
    source = (ROOT / "events/bridge/settings.py").read_text(encoding="utf-8")
    names = set(re.findall(r'"((?:[A-Z]+_)*[A-Z]+)"', source)) - OF_THE_CONTAINER
    for function in FUNCTIONS:
        if function.events or function.dead_letter:
            names |= {f"{function.target.upper()}_URL", f"{function.target.upper()}_PARALLELISM"}
    given = by_compose("bridge", marked := {name: f"<{name}>" for name in names}).environ
    assert {key for key in given if given[key] == marked.get(key)} == names


@pytest.mark.parametrize("environ", [{}, {"CONVERT_PARALLELISM": "", "VIDEO_QUEUE": "", "BRIDGE_DELAYS": ""}])
def test_the_bridge_of_compose_has_its_defaults_where_nothing_is_set(environ: dict[str, str], tmp_path: Path) -> None:
    """The parallelism of a function is the catalogue's concurrency: compose runs one instance of each."""
    read = BridgeSettings.read(by_compose("bridge", environ).within(tmp_path), FUNCTIONS)
    assert read == BridgeSettings.read({"AMQP_URL": read.amqp_url}, FUNCTIONS)


def test_links_in_mails_lead_to_the_port_that_the_gateway_of_compose_was_given() -> None:
    """Unless PUBLIC_URL is set."""
    moved = {"GATEWAY_PORT": "9002"}
    assert by_compose("notify", moved).environ["PUBLIC_URL"] == "http://localhost:9002"
    assert compose(moved)["services"]["gateway"]["ports"][0] == "9002:8002"
    set_too = {**moved, "PUBLIC_URL": "https://mp3.example.org"}
    assert by_compose("notify", set_too).environ["PUBLIC_URL"] == "https://mp3.example.org"


def test_aws_is_told_nothing_rather_than_something_empty() -> None:
    """Amazon's library would take an empty region for the name of a region."""
    assert not [key for key in by_compose("notify", {}).environ if key.startswith("AWS_")]
    assert by_compose("notify", {"AWS_DEFAULT_REGION": "eu-west-1"}).environ["AWS_DEFAULT_REGION"] == "eu-west-1"


@pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda path: path.name)
def test_whatever_runs_on_kubernetes_starts_with_what_its_pod_gives_it(overlay: Path, tmp_path: Path) -> None:
    """Functions, migrations and the bridge, in every overlay."""
    started = load_all(build(overlay), tmp_path)
    assert started >= ({"bridge", "migrate"} if overlay.name == "openfaas" else {"migrate", *TARGETS.values()})


def test_the_job_of_a_long_conversion_starts_with_what_its_pod_gives_it(tmp_path: Path) -> None:
    """It runs in place of the function convert."""
    (tmp_path / "overlay").mkdir()
    started = load_all(combine(tmp_path / "overlay", ("base",), ("long-conversions",)), tmp_path)
    assert started == {"convert_jobsink", "migrate", *TARGETS.values()} - {"convert"}


@EVERY_FUNCTION
def test_a_function_of_the_emulator_starts_with_what_it_is_given(name: str, tmp_path: Path) -> None:
    """The emulator hands over everything in environment variables, and no secret file is read."""
    system = System(tmp_path / "state", {})
    try:
        environ = {**system.functions[name].env, "SECRETS_DIR": str(tmp_path / "none")}
        assert settings.load(TARGETS[name], environ).concurrency == system.functions[name].function.concurrency
    finally:
        system.stop()


def load_all(built: Manifests, folder: Path) -> set[str]:
    """Loads the settings of each process of ours from what its pod gives it, and returns the names of the processes."""
    return {name for name, environ in _processes(built, folder) if _load(name, environ)}


def _processes(built: Manifests, folder: Path) -> Iterator[tuple[str, dict[str, str]]]:
    for number, pod in enumerate(built.pods()):
        command = pod.container.get("command", [])
        names = {
            "functions.convert.jobsink": "convert_jobsink",
            "functions.runtime.migrate": "migrate",
            "events.bridge": "bridge",
        }
        name = names.get(command[-1]) if command else pod.function and pod.function.replace("-", "_")
        if name:
            (own := folder / str(number)).mkdir()
            yield name, by_kubernetes(pod, built).within(own)


def _load(name: str, environ: dict[str, str]) -> object:
    """Raises where it would not start."""
    if name == "bridge":
        return BridgeSettings.read(environ, FUNCTIONS)
    return settings.load(name, environ)
