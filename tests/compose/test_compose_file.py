"""docker-compose.yml says what template.yml says, opens nothing it need not, and holds no secret."""

import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from events import catalogue
from events.bridge.settings import Settings as BridgeSettings
from events.emulator import gateway, passwords
from functions import settings

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
FUNCTIONS = {function.name: function for function in catalogue.load()}
STORES = {"postgres", "mongo", "rabbitmq"}
SERVICE_NAMES = pytest.mark.parametrize("name", SERVICES)
FUNCTION_NAMES = pytest.mark.parametrize("name", FUNCTIONS)


def test_compose_itself_would_take_the_file():
    """It is valid under the compose-spec schema."""
    schema = files("check_jsonschema") / "builtin_schemas/vendor/compose-spec.json"
    schema = yaml.safe_load(schema.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(schema).validate(COMPOSE)


def test_every_function_of_the_catalogue_is_a_service_and_nothing_else_is_a_function():
    """What runs by FUNCTION_TARGET is what template.yml lists."""
    targets = {name: environment(name).get("FUNCTION_TARGET") for name in SERVICES}
    assert {name: target for name, target in targets.items() if target} == {
        name: function.target for name, function in FUNCTIONS.items()
    }


@FUNCTION_NAMES
def test_a_function_has_the_image_memory_processors_concurrency_and_secrets_of_the_catalogue(name):
    """One catalogue: a number that is changed in one place only is found here."""
    service, function = SERVICES[name], FUNCTIONS[name]
    cpu = yaml.safe_load(catalogue.STACK_FILE.read_text(encoding="utf-8"))["functions"][name]["limits"]["cpu"]
    assert service["image"] == f"video-to-mp3/{function.image}:${{TAG:-latest}}"
    assert megabytes(service["mem_limit"]) == megabytes(function.memory)
    assert service["cpus"] * 1000 == int(cpu.removesuffix("m"))
    assert environment(name)["CONCURRENCY"] == function.concurrency
    assert tuple(service.get("secrets", ())) == function.secrets


@FUNCTION_NAMES
def test_a_stopping_function_may_finish_its_longest_request_before_gunicorn_and_docker_end_it(name):
    """Time limit < gunicorn's grace, which keeps some seconds for handing back, < Docker's."""
    grace, stop = environment(name)["GRACE_SECONDS"], seconds(SERVICES[name]["stop_grace_period"])
    assert FUNCTIONS[name].timeout < grace < stop


def test_docker_outlasts_the_bridge_and_the_gateway():
    """The bridge drains for its own grace and 5 s more; a transfer at the gateway takes as long as its function."""
    bridge = BridgeSettings.read({"AMQP_URL": "amqp://broker/"}, tuple(FUNCTIONS.values()))
    assert bridge.grace + 5 < seconds(SERVICES["bridge"]["stop_grace_period"])
    longest = max(function.timeout for function in FUNCTIONS.values() if function.path)
    assert longest < seconds(SERVICES["gateway"]["stop_grace_period"])


def test_the_bridge_sends_one_converter_what_one_converter_takes():
    """CONVERT_PARALLELISM follows the concurrency of the catalogue until there are more of them."""
    assert interpolated(environment("bridge")["CONVERT_PARALLELISM"]) == str(FUNCTIONS["convert"].concurrency)


@FUNCTION_NAMES
def test_a_function_finds_all_it_needs_in_its_environment_and_its_own_secrets(name, tmp_path):
    """settings.load() is content with what compose gives, and passwords are those that `make secrets` makes."""
    passwords.write(tmp_path / "all")
    for secret in SERVICES[name].get("secrets", ()):
        (tmp_path / secret).write_text((tmp_path / "all" / secret).read_text(encoding="utf-8"), encoding="utf-8")
    given = {key: interpolated(str(value)) for key, value in environment(name).items()}
    settings.load(FUNCTIONS[name].target, {**given, "SECRETS_DIR": str(tmp_path)})


def test_the_gateway_leads_to_every_http_function_and_lets_the_largest_film_in_with_its_form():
    """Its template is filled completely, and its size limit is the application's with room for the form."""
    filled = gateway.render({key: str(value) for key, value in environment("gateway").items()})
    for function in FUNCTIONS.values():
        assert (f"server {function.name}:8080;" in filled) == (function.path is not None)
    limit = environment("upload")["MAX_UPLOAD_BYTES"]
    assert environment("gateway")["MAX_BODY_BYTES"] == limit + 65536
    assert settings.Settings().max_upload_bytes == limit


@SERVICE_NAMES
def test_no_service_may_do_more_than_it_needs(name):
    """Read-only root, no capabilities and no way to gain any, limits; root only for a mail catcher without rights."""
    service = SERVICES[name]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert {"mem_limit", "cpus", "pids_limit", "restart", "logging"} <= service.keys()
    assert service["image"].startswith("video-to-mp3/") or "user" in service or name == "mailpit"
    assert not {"privileged", "container_name", "network_mode", "pid", "ipc", "cap_add"} & service.keys()


def test_whatever_is_kept_in_memory_is_small_and_what_is_large_lies_on_a_disk():
    """convert's /tmp is a volume of each replica's own, every other one of ours is a small tmpfs."""
    for name, service in SERVICES.items():
        if name == "convert":
            assert (service["tmpfs"], service["volumes"]) == ([], ["/tmp"])
        elif service["image"].startswith("video-to-mp3/"):
            assert service["tmpfs"] == ["/tmp:size=16m"]
            assert "volumes" not in service


def test_only_the_gateway_is_open_to_other_hosts():
    """Everything else that is published is so on 127.0.0.1: the stores at the original's ports, and the mails."""
    published = {name: [interpolated(port) for port in service.get("ports", ())] for name, service in SERVICES.items()}
    assert published.pop("gateway") == ["8002:8002", "8001:8001"]
    local = [port.removeprefix("127.0.0.1:") for ports in published.values() for port in ports]
    assert all(port.startswith("127.0.0.1:") for ports in published.values() for port in ports)
    assert local == [f"{port}:{port}" for port in ("5432", "27017", "5672", "15672", "8025")]


def test_stores_are_reached_by_those_who_use_them_and_reach_nobody_outside():
    """The gateway and the page share no network with a store; the networks of stores and functions lead nowhere."""
    internal = {name for name, network in COMPOSE["networks"].items() if (network or {}).get("internal")}
    assert internal == {"inside", "stores"}
    for name, service in SERVICES.items():
        uses_a_store = bool({"database-url", "mongo-uri", "mongo-mp3-uri", "amqp-url"} & set(secret_names(name)))
        assert ("stores" in service["networks"]) == (uses_a_store or name in STORES), name
    assert {name for name, service in SERVICES.items() if "outside" in service["networks"]} == {"gateway", "notify"}


def test_only_what_publishes_ports_to_this_host_is_on_the_network_for_that():
    """And from there nothing gets out either."""
    loopback = COMPOSE["networks"]["loopback"]["driver_opts"]
    assert loopback == {"com.docker.network.bridge.enable_ip_masquerade": "false"}
    assert {name for name, service in SERVICES.items() if "loopback" in service["networks"]} == {*STORES, "mailpit"}


def test_every_secret_is_a_file_that_make_secrets_makes_and_git_ignores(tmp_path):
    """None is in the file itself, and none is declared that nobody reads."""
    made = set(passwords.write(tmp_path / "secrets"))
    declared = {name: entry["file"] for name, entry in COMPOSE["secrets"].items()}
    assert declared == {name: f".secrets/{name}" for name in declared}
    assert declared.keys() == {secret for name in SERVICES for secret in secret_names(name)}
    assert declared.keys() <= made
    assert ".secrets/" in (ROOT / ".gitignore").read_text(encoding="utf-8").split()
    for name in SERVICES:
        for key, value in environment(name).items():
            assert (
                not re.search("PASSWORD|SECRET|URL$|URI$", key)
                or key in ("SECRETS_DIR", "PUBLIC_URL")
                or (key.endswith("_FILE") and str(value).startswith("/run/secrets/"))
            )


def test_made_secrets_are_for_their_owner_strong_and_never_made_twice(tmp_path):
    """A second call changes nothing: a store keeps the password it was first started with."""
    folder = tmp_path / "secrets"
    passwords.write(folder)
    first = {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()}
    (folder / "jwt-secret").unlink()
    assert passwords.write(folder) == ["jwt-secret"]
    second = {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()}
    assert folder.stat().st_mode & 0o777 == 0o700
    assert len(second["jwt-secret"]) >= settings.KEY_BYTES
    assert {name for name in first if first[name] != second[name]} == {"jwt-secret"}
    assert len({first[f"{store}-password"] for store in STORES}) == len(STORES)


def test_who_asks_waits_for_who_answers():
    """Functions start on a migrated database, migrations on one that answers, the bridge on a broker that does."""
    for name, service in SERVICES.items():
        if name in FUNCTIONS:
            assert service["depends_on"] == {"migrate": {"condition": "service_completed_successfully"}}
    assert SERVICES["migrate"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    assert SERVICES["bridge"]["depends_on"]["rabbitmq"] == {"condition": "service_healthy"}
    assert set(SERVICES["gateway"]["depends_on"]) == {name for name, each in FUNCTIONS.items() if each.path}


def test_each_image_is_built_by_one_service_that_its_users_depend_on():
    """`docker compose up` builds what it needs, once, and never asks a registry for it."""
    ours = {name: service for name, service in SERVICES.items() if service["image"].startswith("video-to-mp3/")}
    assert {name: service["build"]["target"] for name, service in ours.items() if "build" in service} == {
        "migrate": "light",
        "convert": "convert",
    }
    assert {service["pull_policy"] for service in ours.values()} == {"never"}


def test_data_survive_their_containers():
    """Each store has a named volume where its image keeps data."""
    kept = {name: SERVICES[name]["volumes"] for name in (*STORES, "mailpit")}
    assert kept == {
        "postgres": ["postgres:/var/lib/postgresql/data"],
        "mongo": ["mongo:/data/db"],
        "rabbitmq": ["rabbitmq:/var/lib/rabbitmq"],
        "mailpit": ["mails:/data"],
    }
    assert COMPOSE["volumes"].keys() == {"postgres", "mongo", "rabbitmq", "mails"}
    assert SERVICES["rabbitmq"]["hostname"] == "rabbitmq"


def environment(name: str) -> dict[str, Any]:
    return SERVICES[name].get("environment", {})


def secret_names(name: str) -> list[str]:
    return [each if isinstance(each, str) else each["source"] for each in SERVICES[name].get("secrets", ())]


def interpolated(text: str) -> str:
    """With every ${NAME:-default} replaced by its default."""
    while "${" in text:
        text = re.sub(r"\$\{\w+:-([^${}]*)\}", r"\1", text)
    return text


def megabytes(text: str) -> int:
    number, unit = re.fullmatch(r"(\d+)([mgMG])i?", text).groups()
    return int(number) * {"m": 1, "g": 1024}[unit.lower()]


def seconds(text: str) -> int:
    return int(text.removesuffix("s"))
