"""What the README of the original system shows works here too, word for word."""

import json
import re
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pika
import pytest
import requests
import yaml

from emulator.functions import Function
from emulator.system import System
from events import catalogue
from events.bridge.settings import Settings as BridgeSettings
from functions.model.accounts import password_matches
from functions.runtime import settings
from functions.stores.accounts import Accounts
from functions.stores.postgres import Database
from tests import videos
from tests.waiting import PATIENCE, until

REGISTER = """
{
  "name": "John Doe",
  "username": "johndoe",
  "password": "password123"
}
"""
LOGIN = {"Authorization": f"Basic {b64encode(b'johndoe:password123').decode()}"}
# Its settings, with values of the kind that its docker-compose.yml has. Our keys have a least length.
ORIGINAL = {
    "JWT_SECRET": "j" * 32,
    "DATABASE_URL": "postgresql://postgres:password@db:5432/postgres",
    "MONGO_URI": "mongodb://mongo:27017/videos",
    "MONGO_MP3_URI": "mongodb://mongo:27017/mp3s",
    "AUTH_SVC_ADDR": "auth:8001",
}
QUEUES = {"VIDEO_QUEUE": "video", "MP3_QUEUE": "mp3"}
OURS = {
    "LINK_SECRET": "l" * 32,
    "K_SINK": "http://bridge:8080/",
    "PUBLIC_URL": "http://localhost:8002",
    "MAIL_FROM": "no-reply@example.org",
}


@pytest.fixture(scope="module")
def registered(system: System) -> requests.Response:
    """The answer to `POST /register` on the port of the authentication service."""
    return requests.post(f"{system.gateway.auth_url}/register", data=REGISTER, timeout=PATIENCE)


@pytest.fixture(scope="module")
def bearer(system: System, registered: requests.Response) -> dict[str, str]:
    assert registered.ok, registered.text
    login = requests.post(f"{system.gateway.url}/login", headers=LOGIN, timeout=PATIENCE)
    return {"Authorization": f"Bearer {login.json()['access_token']}"}


@pytest.fixture(scope="module")
def job(system: System, bearer: dict[str, str]) -> dict[str, Any]:
    """What became of `POST /upload` with an MP4 in the field `file`."""
    with videos.bunny().open("rb") as video:
        url, files = f"{system.gateway.url}/upload", {"file": ("video_file.mp4", video)}
        uploaded = requests.post(url, files=files, headers=bearer, timeout=PATIENCE)
    assert uploaded.status_code == 202, uploaded.text
    return ended(system, bearer, uploaded.json()["id"])


def ended(system: System, bearer: dict[str, str], id_: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        seen = dict(requests.get(f"{system.gateway.url}/jobs/{id_}", headers=bearer, timeout=PATIENCE).json())
        return None if seen["state"] in ("queued", "converting") else seen

    return dict(until(look))


def test_who_has_a_name_a_username_and_a_password_can_register(registered: requests.Response) -> None:
    """No email address is needed."""
    assert registered.status_code == 201, registered.text
    assert registered.json().items() >= {"name": "John Doe", "username": "johndoe", "email": None}.items()


def test_the_gateway_takes_registrations_too(system: System) -> None:
    """So a client needs only one port. The Content-Type of JSON may be there or, as in the original, not."""
    alice = {"name": "Alice", "username": "alice", "password": "password123"}
    assert requests.post(f"{system.gateway.url}/register", json=alice, timeout=PATIENCE).status_code == 201


@pytest.mark.parametrize("door", ["url", "auth_url"], ids=["gateway", "auth"])
def test_basic_credentials_are_changed_for_a_token_that_validate_knows(
    door: str, system: System, registered: requests.Response
) -> None:
    """On the port of the gateway and on that of the original's authentication service."""
    assert registered.ok
    url = getattr(system.gateway, door)
    login = requests.post(f"{url}/login", headers=LOGIN, timeout=PATIENCE)
    assert (login.status_code, login.json()["token_type"].lower()) == (200, "bearer")
    claims = {"Authorization": f"Bearer {login.json()['access_token']}"}
    answer = requests.post(f"{url}/validate", headers=claims, timeout=PATIENCE)
    assert answer.status_code == 200
    assert answer.json().items() >= {"username": "johndoe", "valid": True}.items()


def test_a_video_becomes_an_mp3_to_download_by_its_fid(
    system: System, bearer: dict[str, str], job: dict[str, Any], tmp_path: Path
) -> None:
    """By `GET /download?fid=<file_id>` with the token, as the original does it."""
    assert job["state"] == "done", job
    url = f"{system.gateway.url}/download?fid={job['fid']}"
    download = requests.get(url, headers=bearer, timeout=PATIENCE)
    assert (download.status_code, download.headers["Content-Type"]) == (200, "audio/mpeg")
    mp3 = tmp_path / "audio.mp3"
    mp3.write_bytes(download.content)
    assert videos.play(mp3) == pytest.approx(videos.play(videos.bunny()), abs=0.1)


def test_nobody_is_mailed_where_nobody_gave_an_address(
    system: System, bearer: dict[str, str], job: dict[str, Any]
) -> None:
    """The notification is marked as not wanted. Jobs that end after an address was given are mailed about."""
    told = {"function": "notify", "status": 202, "job": job["id"]}
    log = Path(system.functions["notify"].directory / "notify.log")

    def lines() -> list[str]:
        return log.read_text(encoding="utf-8").splitlines()

    until(lambda: any(told.items() <= json.loads(line).items() for line in lines()))
    assert mails_about(system, job) == []

    account = f"{system.gateway.url}/account"
    given = requests.patch(account, json={"email": "john@example.org"}, headers=bearer, timeout=PATIENCE)
    assert given.json()["email"] == "john@example.org"
    again = requests.post(
        f"{system.gateway.url}/upload?filename=again.mp4", data=videos.bunny().read_bytes(), headers=bearer, timeout=60
    )
    later = ended(system, bearer, again.json()["id"])
    assert until(lambda: mails_about(system, later)) == ["john@example.org"]
    assert mails_about(system, job) == []


def mails_about(system: System, job: dict[str, Any]) -> list[str]:
    """The addresses to which mails went that link to its MP3."""
    url = f"{system.mailbox.url}/api/v1"
    mails = requests.get(f"{url}/messages", {"limit": 1_000_000}, timeout=PATIENCE).json()["messages"]
    whole = [requests.get(f"{url}/message/{mail['ID']}", timeout=PATIENCE).json() for mail in mails]
    return [mail["To"][0]["Address"] for mail in whole if job["fid"] in mail["Text"]]


@pytest.mark.parametrize("port", [8002, 8001, 15672, 27017, 5432])
def test_docker_compose_opens_the_ports_of_the_original(port: int) -> None:
    """Gateway, authentication, RabbitMQ's page, MongoDB and PostgreSQL. Settings can move them."""
    file = catalogue.STACK_FILE.parent / "docker-compose.yml"
    services = yaml.safe_load(file.read_text(encoding="utf-8"))["services"]
    opened = [line for service in services.values() for line in service.get("ports", ())]
    assert [line for line in opened if re.search(rf"{{\w+:-{port}}}:{port}$", line)]


@pytest.mark.parametrize("function", settings.NEEDS)
def test_its_settings_are_taken_by_their_names(function: str) -> None:
    """The original's environment, with the settings that it did not have, is enough for every function."""
    loaded = settings.load(function, ORIGINAL | QUEUES | OURS)
    assert {name: getattr(loaded, name.lower()) for name in ORIGINAL} == ORIGINAL


def test_its_queues_carry_the_names_they_are_given(system: System, amqp_url: str) -> None:
    """By VIDEO_QUEUE and MP3_QUEUE, whose defaults are the original's names `video` and `mp3`."""
    read = BridgeSettings.read({"AMQP_URL": "amqp://rabbitmq/"}, catalogue.load())
    assert set(read.topology.work) == set(QUEUES.values())
    given = system.bridge.env
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
        for name in QUEUES:
            connection.channel().queue_declare(given[name], passive=True)


def test_its_users_come_along_with_their_passwords(database: str, sql: Callable[..., list[tuple[Any, ...]]]) -> None:
    """By the SQL of docs/from-the-original.md, on a table like the original's; passlib's manual shows the hash."""
    page = (catalogue.STACK_FILE.parent / "docs" / "from-the-original.md").read_text(encoding="utf-8")
    (statement,) = re.findall(r"```sql\n(.*?)```", page, re.DOTALL)
    hashed = "$bcrypt-sha256$v=2,t=2b,r=12$n79VH.0Q2TMWmt3Oqt9uku$Kq4Noyk3094Y2QlB8NdRT8SvGiI4ft2"
    columns = "id serial PRIMARY KEY, name text NOT NULL, username text UNIQUE NOT NULL, hashed_password text NOT NULL"
    sql(f"CREATE SCHEMA original; CREATE TABLE original.users ({columns})")
    try:
        for username in ("johndoe", "ann@example.org"):
            sql("INSERT INTO original.users (name, username, hashed_password) VALUES ('Ann', %s, %s)", username, hashed)
        sql(statement)
    finally:
        sql("DROP SCHEMA original CASCADE")
    accounts = Accounts(Database(database), 5)
    for username, email in (("johndoe", None), ("ann@example.org", "ann@example.org")):
        user = accounts.find(username)
        assert user
        assert user.email == email
        assert password_matches("password", user.password_hash)


def test_tokens_can_be_checked_where_auth_svc_addr_says(system: System, bearer: dict[str, str], tmp_path: Path) -> None:
    """As in the original, a function then needs the address of the authentication service, and no key."""
    told = {name: value for name, value in system.functions["jobs"].env.items() if name != "JWT_SECRET"}
    told["AUTH_SVC_ADDR"] = urlsplit(system.gateway.auth_url).netloc
    with Function(system.functions["jobs"].function, tmp_path, told) as jobs:
        jobs.wait()
        assert requests.get(jobs.url, headers=bearer, timeout=PATIENCE).status_code == 200
        assert requests.get(jobs.url, headers={"Authorization": "Bearer none"}, timeout=PATIENCE).status_code == 401
