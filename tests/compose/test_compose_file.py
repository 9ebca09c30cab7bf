"""docker-compose.yml says what template.yml says, opens nothing it need not, and holds no secret."""

import re
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.resources import files
from pathlib import Path
from threading import Event, Thread
from typing import Any

import jsonschema
import pytest
import yaml

from emulator.servers import gateway
from events import catalogue
from events.bridge.settings import Settings as BridgeSettings
from functions.secrets import distribution
from tests.check.given import ROOT, compose
from tests.waiting import PATIENCE, until

COMPOSE = compose({})
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
FUNCTIONS = {function.name: function for function in catalogue.load()}
STORES = {"postgres", "mongo", "rabbitmq"}
SERVICE_NAMES = pytest.mark.parametrize("name", SERVICES)
FUNCTION_NAMES = pytest.mark.parametrize("name", FUNCTIONS)


def test_compose_itself_would_take_the_file() -> None:
    """It is valid under the compose-spec schema."""
    schema = files("check_jsonschema") / "builtin_schemas/vendor/compose-spec.json"
    validator = jsonschema.Draft202012Validator(yaml.safe_load(schema.read_text(encoding="utf-8")))
    validator.validate(yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8")))


def test_every_function_of_the_catalogue_is_a_service_and_nothing_else_is_a_function() -> None:
    """What runs by FUNCTION_TARGET is what template.yml lists."""
    targets = {name: environment(name).get("FUNCTION_TARGET") for name in SERVICES}
    assert {name: target for name, target in targets.items() if target} == {
        name: function.target for name, function in FUNCTIONS.items()
    }


@FUNCTION_NAMES
def test_a_function_has_the_image_memory_processors_concurrency_and_secrets_of_the_catalogue(name: str) -> None:
    """One catalogue: a number that is changed in one place only is found here."""
    service, function = SERVICES[name], FUNCTIONS[name]
    cpu = yaml.safe_load(catalogue.STACK_FILE.read_text(encoding="utf-8"))["functions"][name]["limits"]["cpu"]
    assert service["image"] == f"video-to-mp3/{function.image}:latest"
    assert megabytes(service["mem_limit"]) == megabytes(function.memory)
    assert service["cpus"] * 1000 == int(cpu.removesuffix("m"))
    assert environment(name)["CONCURRENCY"] == str(function.concurrency)
    assert (f"{name}-secrets:/run/secrets:ro" in service.get("volumes", ())) == bool(function.secrets)


@FUNCTION_NAMES
def test_a_stopping_function_may_finish_its_longest_request_before_gunicorn_and_docker_end_it(name: str) -> None:
    """Time limit < gunicorn's grace, which keeps some seconds for handing back, < Docker's."""
    grace, stop = int(environment(name)["GRACE_SECONDS"]), seconds(SERVICES[name]["stop_grace_period"])
    assert FUNCTIONS[name].timeout < grace < stop


def test_docker_outlasts_the_bridge_and_the_gateway() -> None:
    """The bridge drains for its own grace and 5 s more; a transfer at the gateway takes as long as its function."""
    bridge = BridgeSettings.read({"AMQP_URL": "amqp://broker/"}, tuple(FUNCTIONS.values()))
    assert bridge.grace + 5 < seconds(SERVICES["bridge"]["stop_grace_period"])
    longest = max(function.timeout for function in FUNCTIONS.values() if function.path)
    assert longest < seconds(SERVICES["gateway"]["stop_grace_period"])


def test_the_gateway_leads_to_every_http_function() -> None:
    """Its template is filled completely."""
    filled = gateway.render({**environment("gateway"), "MAX_BODY_BYTES": "1"})
    for function in FUNCTIONS.values():
        assert (f"server {function.name}:8080;" in filled) == (function.path is not None)


@pytest.mark.parametrize(("chosen", "limit"), [({}, 4300032832), ({"MAX_UPLOAD_BYTES": "1000000"}, 6065536)])
def test_the_gateway_lets_the_largest_video_in_with_its_form(chosen: dict[str, str], limit: int) -> None:
    """Its size limit is the application's with room for the form, whichever limit is set."""
    service = compose(chosen)["services"]["gateway"]
    shell, option, script, name = service["entrypoint"]
    script = script.replace("exec /docker-entrypoint.sh", r"printenv MAX_BODY_BYTES; printf '%s\n'")
    run = subprocess.run(
        [shell, option, script, name, *service["command"]],
        env={"PATH": "/usr/bin:/bin", **service["environment"]},
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    assert run.stdout.splitlines() == [str(limit), "nginx", "-g", "daemon off;"]


@SERVICE_NAMES
def test_no_service_may_do_more_than_it_needs(name: str) -> None:
    """Read-only root, no capabilities and no way to gain any, limits; root only for a mail catcher without rights.

    And for what hands out the secrets: it reads what is closed to others, for a second at each start, on no network.
    """
    service = SERVICES[name]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert {"mem_limit", "cpus", "pids_limit", "restart", "logging"} <= service.keys()
    assert service["image"].startswith("video-to-mp3/") or "user" in service or name == "mailpit"
    assert not {"privileged", "container_name", "pid", "ipc"} & service.keys()
    assert service.get("cap_add", []) == (["DAC_OVERRIDE"] if name == "secrets" else [])
    assert service.get("network_mode") == ("none" if name == "secrets" else None)


def test_whatever_is_kept_in_memory_is_small_and_what_is_large_lies_on_a_disk() -> None:
    """convert's /tmp is a volume of each replica's own, every other one of ours is a small tmpfs."""
    for name, service in SERVICES.items():
        if name == "convert":
            assert (service["tmpfs"], service["volumes"][0]) == ([], "/tmp")
        elif service["image"].startswith("video-to-mp3/"):
            assert service["tmpfs"] == ["/tmp:size=16m"]


def test_only_the_gateway_is_open_to_other_hosts() -> None:
    """Everything else that is published is so on 127.0.0.1: the stores at the original's ports, and the mails."""
    published = {name: service.get("ports", []) for name, service in SERVICES.items()}
    assert published.pop("gateway") == ["8002:8002", "8001:8001"]
    local = [port.removeprefix("127.0.0.1:") for ports in published.values() for port in ports]
    assert all(port.startswith("127.0.0.1:") for ports in published.values() for port in ports)
    assert local == [f"{port}:{port}" for port in ("5432", "27017", "5672", "15672", "8025")]


def test_stores_are_reached_by_those_who_use_them_and_reach_nobody_outside() -> None:
    """The gateway and the page share no network with a store; the networks of stores and functions lead nowhere."""
    internal = {name: str((network or {}).get("internal", False)) for name, network in COMPOSE["networks"].items()}
    assert internal == {"outside": "False", "inside": "True", "stores": "true", "loopback": "False"}
    for name in SERVICES:
        uses_a_store = bool({"database-url", "mongo-uri", "mongo-mp3-uri", "amqp-url"} & set(secrets_of(name)))
        assert ("stores" in networks(name)) == (uses_a_store or name in STORES), name
    assert {name for name in SERVICES if "outside" in networks(name)} == {"gateway", "notify"}


def test_who_has_a_store_elsewhere_lets_its_users_out_to_it() -> None:
    """DATABASE_URL and its like name it; the network that otherwise leads nowhere is opened by one more setting."""
    assert compose({"STORES_INTERNAL": "false"})["networks"]["stores"]["internal"] == "false"


def test_only_what_publishes_ports_to_this_host_is_on_the_network_for_that() -> None:
    """And from there nothing gets out either."""
    loopback = COMPOSE["networks"]["loopback"]["driver_opts"]
    assert loopback == {"com.docker.network.bridge.enable_ip_masquerade": "false"}
    assert {name for name in SERVICES if "loopback" in networks(name)} == {*STORES, "mailpit"}


def test_each_service_sees_its_own_secrets_and_nobody_else_s() -> None:
    """A volume for each, which `secrets` fills: convert, which opens strangers' files, can read no key at all."""
    mounted = {name: [each for each in service.get("volumes", ()) if "secrets" in each] for name, service in readers()}
    assert mounted == {name: [f"{name}-secrets:/run/secrets:ro"] for name in mounted}
    assert {name for name in SERVICES if secrets_of(name)} == mounted.keys()
    filled = [volume for volume in SERVICES["secrets"]["volumes"] if ":/for/" in volume]
    assert filled == [f"{name}-secrets:/for/{name}" for name in mounted]
    assert not {"jwt-secret", "link-secret", "smtp-password"} & set(secrets_of("convert"))


def test_what_is_made_is_kept_where_the_data_are() -> None:
    """`down` keeps both and `down -v` removes both, so that no store meets a password it was not started with."""
    assert SERVICES["secrets"]["volumes"][:3] == [".:/checkout:ro", "secrets:/secrets", "postgres:/stores/postgres:ro"]
    assert {"secrets", "postgres", "mongo", "rabbitmq"} <= COMPOSE["volumes"].keys()
    assert all(volume is None for volume in COMPOSE["volumes"].values())
    assert [name for name in SERVICES if "secrets:/secrets" in SERVICES[name].get("volumes", ())] == ["secrets"]
    assert ".secrets/" in (ROOT / ".gitignore").read_text(encoding="utf-8").split()


def test_no_secret_is_in_the_file_itself() -> None:
    """It names files, and hands on what the environment has."""
    for name in SERVICES:
        for key, value in environment(name).items():
            if re.search("PASSWORD|SECRET|URL$|URI$", key) and key not in ("SECRETS_DIR", "PUBLIC_URL"):
                assert value == "" or (key.endswith("_FILE") and value.startswith("/run/secrets/"))


def test_who_asks_waits_for_who_answers() -> None:
    """Stores wait for passwords, migrations for a database, functions for a migrated one, the bridge for a broker."""
    for name, service in SERVICES.items():
        if name in FUNCTIONS:
            assert service["depends_on"] == {"migrate": {"condition": "service_completed_successfully"}}
    assert SERVICES["migrate"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    assert [SERVICES[name]["depends_on"] for name in STORES] == [
        {"secrets": {"condition": "service_completed_successfully"}}
    ] * len(STORES)
    assert SERVICES["bridge"]["depends_on"]["rabbitmq"] == {"condition": "service_healthy"}
    assert set(SERVICES["gateway"]["depends_on"]) == {name for name, each in FUNCTIONS.items() if each.path}


def test_the_clock_calls_sweep_and_is_healthy_once_that_has_answered(tmp_path: Path) -> None:
    """Its command and its health check, run as they stand in the file; only where sweep is and what /tmp is differ."""
    service = compose({"SWEEP_URL": "http://127.0.0.1:{port}/"})["services"]["clock"]
    shell, check = service["healthcheck"]["test"]
    assert shell == "CMD-SHELL"

    def is_healthy() -> bool:
        return subprocess.run(["sh", "-c", check.replace("/tmp", str(tmp_path))], capture_output=True).returncode == 0

    asked, answer = Event(), Event()

    class Sweep(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.set()
            answer.wait(PATIENCE)
            self.send_response(200)
            self.end_headers()

    with HTTPServer(("127.0.0.1", 0), Sweep) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        environ = {name: value.format(port=server.server_port) for name, value in service["environment"].items()}
        _python, *arguments = (word.replace("/tmp", str(tmp_path)) for word in service["command"])
        clock = subprocess.Popen([sys.executable, *arguments], cwd=ROOT, env=environ)
        try:
            assert asked.wait(PATIENCE)
            assert not is_healthy()
            answer.set()
            until(is_healthy)
        finally:
            answer.set()
            clock.terminate()
            assert clock.wait(PATIENCE) == 0
            server.shutdown()


def test_each_image_is_built_by_one_service_that_its_users_depend_on() -> None:
    """`docker compose up` builds what it needs, once, and never asks a registry for it."""
    ours = {name: service for name, service in SERVICES.items() if service["image"].startswith("video-to-mp3/")}
    assert {name: service["build"]["target"] for name, service in ours.items() if "build" in service} == {
        "secrets": "light",
        "convert": "convert",
    }
    assert {service["pull_policy"] for service in ours.values()} == {"never"}


def test_data_survive_their_containers() -> None:
    """Each store has a named volume where its image keeps data."""
    kept = {name: SERVICES[name]["volumes"][:1] for name in (*STORES, "mailpit")}
    assert kept == {
        "postgres": ["postgres:/var/lib/postgresql/data"],
        "mongo": ["mongo:/data/db"],
        "rabbitmq": ["rabbitmq:/var/lib/rabbitmq"],
        "mailpit": ["mails:/data"],
    }
    assert SERVICES["rabbitmq"]["hostname"] == "rabbitmq"


def environment(name: str) -> dict[str, Any]:
    return SERVICES[name].get("environment", {})


def networks(name: str) -> list[str]:
    return SERVICES[name].get("networks", [])


def secrets_of(name: str) -> tuple[str, ...]:
    """What functions.secrets.distribution puts into its volume."""
    return FUNCTIONS[name].secrets if name in FUNCTIONS else distribution.SERVICE_SECRETS.get(name, ())


def readers() -> list[tuple[str, dict[str, Any]]]:
    """The services that have secrets at hand, but for the one that hands them out."""
    return [
        (name, service)
        for name, service in SERVICES.items()
        if any(":/run/secrets" in volume for volume in service.get("volumes", ()))
    ]


def megabytes(text: str) -> int:
    number, unit = re.fullmatch(r"(\d+)([mgMG])i?", text).groups()
    return int(number) * {"m": 1, "g": 1024}[unit.lower()]


def seconds(text: str) -> int:
    return int(text.removesuffix("s"))
