"""No log keeps what is secret, or who somebody is, of whatever happens to people in the whole system."""

import re
from pathlib import Path

import psycopg2
import requests

from emulator.servers.postgres import Postgres
from emulator.system import System
from tests import videos
from tests.acceptance.person import PASSWORD, Person
from tests.waiting import PATIENCE


def test_no_log_has_a_secret_or_an_address_after_a_whole_journey(tmp_path: Path) -> None:
    """Registering twice, logging in wrongly and rightly, a video, its email, its link, and queries that fail."""
    with System(tmp_path / "state", {}, durable=False) as system:
        [postgres] = [part for part in system.parts if isinstance(part, Postgres)]
        person = Person(system)
        again = {"name": "Ada", "username": person.address, "password": PASSWORD}
        assert requests.post(f"{person.url}/register", json=again, timeout=PATIENCE).status_code == 409
        assert (
            requests.post(f"{person.url}/login", auth=(person.address, "wrong horse"), timeout=PATIENCE).status_code
            == 401
        )
        other = f"other-{person.address}"
        assert person.ask("PATCH", "/account", json={"email": other}).status_code == 200
        assert person.ask("PATCH", "/account", json={"email": person.address}).status_code == 200
        with videos.bunny().open("rb") as video:
            answer = person.ask("POST", "/upload", files={"file": ("Secret video.mp4", video)})
        assert person.ended(answer.json())["state"] == "done"
        (link,) = re.findall(r"http://\S+/download\S+", person.email()["Text"])
        assert requests.get(link, timeout=PATIENCE).status_code == 200
        with psycopg2.connect(postgres.url) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT password_hash FROM users")
            hashes = [row[0] for row in cursor.fetchall()]
        connection.close()
        logs = {path: path.read_text(encoding="utf-8", errors="replace") for path in system.directory.rglob("*.log")}
    kept = [path.read_text(encoding="ascii") for path in (tmp_path / "state/secrets").iterdir()]
    kept += [path.read_text(encoding="ascii") for path in (tmp_path / "state").glob("*/password")]
    secrets = [
        person.address,
        PASSWORD,
        "wrong horse",
        person.token,
        link.rpartition("token=")[2],
        "Secret video",
        *hashes,
        *kept,
    ]
    assert len(secrets) >= 10
    assert {path.parent.name for path, log in logs.items() if log} >= {
        "postgres",
        "register",
        "login",
        "upload",
        "convert",
        "notify",
        "download",
    }
    found = [(path.name, secret) for path, log in logs.items() for secret in secrets if secret in log]
    assert found == []


def test_what_the_system_keeps_is_closed_to_others(tmp_path: Path) -> None:
    """Videos, emails and secrets of whoever runs it, also where an earlier release had left the directory open."""
    state = tmp_path / "state"
    state.mkdir(mode=0o755)
    with System(state, {}, durable=False):
        assert state.stat().st_mode & 0o077 == 0
