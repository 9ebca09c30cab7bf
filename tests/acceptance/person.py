"""A user of the system, as tests need one: all by HTTP."""

from typing import Any, Protocol
from uuid import uuid4

import requests

from emulator.servers.gateway import Gateway
from emulator.servers.mailbox import Mailbox
from tests.waiting import PATIENCE, until

PASSWORD = "correct horse"


class Reachable(Protocol):
    """What a person sees of a system: the emulator's, or the one of the fault tests."""

    gateway: Gateway
    mailbox: Mailbox


class Person:
    """Registered and logged in. If `mailed`, their username is an email address; if not, they have none."""

    def __init__(self, system: Reachable, *, mailed: bool = True) -> None:
        self.url = system.gateway.url
        self.address = f"{uuid4().hex}@example.org" if mailed else uuid4().hex
        self._mailbox = system.mailbox.url
        self._http = requests.Session()
        registration = {"name": "Ada", "username": self.address, "password": PASSWORD}
        requests.post(f"{self.url}/register", json=registration, timeout=PATIENCE).raise_for_status()
        login = requests.post(f"{self.url}/login", auth=(self.address, PASSWORD), timeout=PATIENCE)
        self.use(login.json()["access_token"])

    def use(self, token: str) -> None:
        """Go on as whoever has that token."""
        self.token = token
        self._http.headers["Authorization"] = f"Bearer {token}"

    def ask(self, method: str, path: str, **options: Any) -> requests.Response:
        return self._http.request(method, f"{self.url}{path}", timeout=PATIENCE, **options)

    def ended(self, job: dict[str, Any]) -> dict[str, Any]:
        """Wait until the job is neither queued nor converting, and give it as it is then."""

        def look() -> dict[str, Any] | None:
            seen = dict(self.ask("GET", f"/jobs/{job['id']}").json())
            return None if seen["state"] in ("queued", "converting") else seen

        return dict(until(look))

    def email(self) -> dict[str, Any]:
        """Wait for the mail to this user, and give it. Raises ValueError if there are several."""

        def look() -> list[str]:
            listed = requests.get(f"{self._mailbox}/api/v1/messages", timeout=PATIENCE).json()["messages"]
            return [mail["ID"] for mail in listed if mail["To"][0]["Address"] == self.address]

        (only,) = until(look)
        return dict(requests.get(f"{self._mailbox}/api/v1/message/{only}", timeout=PATIENCE).json())
