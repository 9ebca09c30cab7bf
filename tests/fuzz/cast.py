"""Who the inputs speak of: Ada and Eve with their tokens and jobs, and every port of the system.

An input is the same in each run for the same seed, but for what stands here: each run has tokens and ids of its own.
"""

import re
import secrets
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import requests

from emulator.system import System
from tests import videos
from tests.acceptance.person import PASSWORD, Person
from tests.waiting import until

SPARE = 6  # jobs of each that may be deleted


@dataclass
class Actor:
    name: str
    person: Person
    mark: str  # stands in the names of all their videos, and so in whatever tells of them
    jobs: list[str]  # done, done in parts, failed; nobody deletes these
    spare: deque[str]  # those that may be deleted
    link: str  # the token of a signed link to the first

    @property
    def token(self) -> str:
        return self.person.token

    @property
    def login(self) -> tuple[str, str]:
        return self.person.address, PASSWORD

    def may_know(self, data: bytes) -> bool:
        """Whether somebody who sends this has what it takes to see what is theirs."""
        return self.token.encode() in data or self.link.encode() in data

    def refill(self) -> None:
        """Make jobs to delete, where few are left."""
        while len(self.spare) < SPARE:
            answer = self.person.ask("POST", "/jobs", json={"source": self.jobs[0]})
            if answer.status_code != 202:
                return
            self.spare.append(answer.json()["id"])


@dataclass
class Cast:
    doors: dict[str, tuple[str, int]]  # host and port: of the gateway, its second port, each function and the bridge
    paths: dict[str, str]  # where the gateway serves a function
    ada: Actor
    eve: Actor
    media: tuple[bytes, ...] = field(repr=False)  # small, and whole

    @property
    def actors(self) -> tuple[Actor, Actor]:
        return self.ada, self.eve

    @classmethod
    def of(cls, system: System, directory: Path) -> "Cast":
        doors = {
            "gateway": _door(system.gateway.url),
            "auth": _door(system.gateway.auth_url),
            "bridge": _door(system.bridge.url),
            **{name: _door(each.url) for name, each in system.functions.items()},
        }
        directory.mkdir(exist_ok=True)
        video, silent = videos.chaptered(directory), videos.silent(directory)
        ada, eve = (_actor(system, name, video, silent) for name in ("ada", "eve"))
        sound = videos.make(directory / "tiny.wav", "-f", "lavfi", "-i", "sine=440:r=8000:d=0.2")
        song = videos.make(directory / "tiny.mp3", "-f", "lavfi", "-i", "sine=440:d=0.5")
        paths = {name: each.function.path for name, each in system.functions.items() if each.function.path}
        return cls(doors, paths, ada, eve, (sound.read_bytes(), song.read_bytes()))


def _door(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return str(parts.hostname), int(parts.port or 80)


def _actor(system: System, name: str, video: Path, silent: Path) -> Actor:
    person, mark = Person(system), f"{name}-{secrets.token_hex(8)}"
    jobs = [
        person.ended(person.ask("POST", f"/upload?filename={mark}.mp4{wish}", data=path.read_bytes()).json())["id"]
        for path, wish in ((video, ""), (video, "&split=chapters"), (silent, ""))
    ]
    actor = Actor(name, person, mark, jobs, deque(), _link(system, person, jobs[0]))
    actor.refill()
    return actor


def _link(system: System, person: Person, job: str) -> str:
    """The token of the link in the email that tells of that job."""
    url = system.mailbox.url

    def look() -> list[str]:
        listed = requests.get(f"{url}/api/v1/messages", {"limit": 1000}, timeout=30).json()["messages"]
        mine = [each["ID"] for each in listed if each["To"][0]["Address"] == person.address]
        texts = [requests.get(f"{url}/api/v1/message/{each}", timeout=30).json()["Text"] for each in mine]
        links = [link for text in texts for link in re.findall(r"http\S+token=\S+", text) if job in link]
        return [parse_qs(urlsplit(link).query)["token"][0] for link in links]

    return str(until(look)[0])
