"""`make compose-test`: the system of docker-compose.yml at work, while each of its services is restarted once.

People upload videos all the while. Every video that was accepted must end done, its owner must be mailed, and its MP3
must be, byte for byte, the one that an undisturbed run makes. Some services are killed too, without a SIGTERM, and
convert is scaled to three. A table says what was done and what became of it. Needs Docker and compose.
"""

import hashlib
import io
import os
import re
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread
from typing import Any
from uuid import uuid4

import requests
import yaml
from imageio_ffmpeg import get_ffmpeg_exe

from emulator import terminal
from emulator.ports import reserve_port
from functions.model.encoding import MP3

ROOT = Path(__file__).resolve().parents[2]
LOGS = ROOT / ".local" / "compose-test.log"
PORTS = ("GATEWAY_PORT", "AUTH_PORT", "POSTGRES_PORT", "MONGO_PORT", "AMQP_PORT", "RABBITMQ_PAGE_PORT", "MAILPIT_PORT")
ONE_SHOTS = ("secrets", "migrate")
KILLED = ("convert", "bridge", "upload", "postgres", "rabbitmq")
REPLICAS = 3
SECONDS = 60.0  # that the video plays
SLOWLY = 2.0  # seconds one upload takes at least, so that there is always one under way
VIDEOS = 9  # of one person at most: ten mails an hour go to one address
PATIENCE = 300.0  # seconds: a killed converter's lease lapses, sweep looks every minute, retries wait up to a minute
HEALTH = "{{.State.Health.Status}}"
BEGUN = time.monotonic()


class Lost(Exception):
    """Something that the system had accepted did not arrive, or it refused what it must take."""


def main() -> int:
    compose = Compose()
    with TemporaryDirectory() as folder, compose.running():
        video = make_video(Path(folder, "video.mp4"))
        mails = MailReader(compose.url("MAILPIT_PORT"))
        undisturbed = Round("nothing", "disturbed", person := Person(compose, video, mails))
        person.upload("first.mp4")
        (audio,) = person.settle()
        if abs(MP3.measure(io.BytesIO(audio)) - SECONDS) > 0.1:
            raise Lost(f"the MP3 of {SECONDS} s plays {MP3.measure(io.BytesIO(audio))} s")
        services = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
        rounds = [
            undisturbed,
            *(disturb(Round(each, "killed", Person(compose, video, mails)), compose.kill) for each in KILLED),
            *(disturb(Round(each, "restarted", Person(compose, video, mails)), compose.restart) for each in services),
            spread(Round("convert", f"scaled to {REPLICAS}", Person(compose, video, mails)), compose),
        ]
        for each in rounds:
            each.judge(audio)
    print_table(rounds)
    return 0 if all(each.flawless for each in rounds) else 1


class Compose:
    """The project of docker-compose.yml under a name and on ports of its own, beside whatever else is running."""

    def __init__(self) -> None:
        self._command = find_compose()
        self.environ = {**os.environ, "TAG": "compose-test", **{name: str(reserve_port()) for name in PORTS}}

    def __call__(self, *words: str, **environ: str) -> str:
        command = [*self._command, "--project-name", "video-to-mp3-test", "--ansi", "never", *words]
        env = self.environ | environ
        run = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, encoding="utf-8", check=False)
        if run.returncode:
            raise Lost(f"{' '.join(command)}: {run.stderr[-2000:]}")
        return run.stdout

    @contextmanager
    def running(self) -> Iterator[None]:
        try:
            say("building the images")
            self("build")
            say("starting")
            self("up", "--detach", "--wait")
            yield
        finally:
            LOGS.parent.mkdir(exist_ok=True)
            with suppress(Lost):
                LOGS.write_text(self("logs", "--no-color", "--timestamps"), encoding="utf-8")
            say(f"stopping; what was logged is in {LOGS.relative_to(ROOT)}")
            self("down", "--volumes", "--remove-orphans", "--timeout", "5")

    def url(self, port: str) -> str:
        return f"http://127.0.0.1:{self.environ[port]}"

    def restart(self, service: str) -> None:
        if service in ONE_SHOTS:
            self("run", "--rm", "--no-deps", service)
        else:
            self("restart", service)
            self.await_health(service)

    def kill(self, service: str) -> None:
        self("kill", service)
        self("start", service)
        self.await_health(service)

    def await_health(self, service: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while set(docker("inspect", "--format", HEALTH, *self.containers(service)).split()) != {"healthy"}:
            if time.monotonic() > deadline:
                raise Lost(f"{service} is not healthy after {PATIENCE:g} s")
            time.sleep(0.2)

    def containers(self, service: str) -> list[str]:
        return self("ps", "--quiet", service).split()


class MailReader(Thread):
    """Reads all mail as it comes, because the mail catcher is restarted too and may forget it.

    `told` holds the `fid` in each mail's link: it says which video the mail is about.
    """

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self._url, self._read = url, set[str]()
        self.told = set[str]()
        self.start()

    def run(self) -> None:
        while True:
            with suppress(requests.RequestException, KeyError, ValueError):
                for mail in self._ask("messages?limit=500")["messages"]:
                    if mail["ID"] not in self._read:
                        self.told |= set(re.findall(r"fid=([0-9a-f-]{36})", self._ask(f"message/{mail['ID']}")["Text"]))
                        self._read.add(mail["ID"])
            time.sleep(0.2)

    def _ask(self, path: str) -> Any:
        return requests.get(f"{self._url}/api/v1/{path}", timeout=3).json()


@dataclass(frozen=True)
class Body:
    """What an upload sends, in pieces and no faster than in `seconds`. It has a length, so it is not sent as chunks."""

    content: bytes
    seconds: float

    def __len__(self) -> int:
        return len(self.content)

    def __iter__(self) -> Iterator[bytes]:
        piece = len(self.content) // 20 + 1
        for start in range(0, len(self.content), piece):
            yield self.content[start : start + piece]
            time.sleep(self.seconds / 20)


class Person:
    """Somebody who registers, sends videos whatever happens, and wants every one of them back as an MP3."""

    def __init__(self, compose: Compose, video: bytes, mails: MailReader) -> None:
        self._video, self._mails, self._url = video, mails, compose.url("GATEWAY_PORT")
        self._http = requests.Session()
        self.accepted: list[dict[str, Any]] = []
        self.refused = 0
        self.enough = Event()
        name, password = f"{secrets.token_hex(4)}@video-to-mp3.example", secrets.token_hex(16)
        self._insist("POST", "/register", json={"name": "Somebody", "username": name, "password": password})
        token = self._insist("POST", "/login", auth=(name, password)).json()["access_token"]
        self._http.headers["Authorization"] = f"Bearer {token}"
        self.refused = 0

    def upload(self, name: str, slowly: float = 0.0) -> None:
        """Send the video until it is accepted; a repeat has the same key, so that it makes no second job."""
        headers, body = {"Idempotency-Key": str(uuid4())}, Body(self._video, slowly)
        self.accepted.append(self._insist("POST", f"/upload?filename={name}", headers=headers, data=body).json())

    def keep_uploading(self) -> None:
        for number in range(VIDEOS):
            if not self.enough.is_set():
                self.upload(f"{number}.mp4", SLOWLY)

    def settle(self) -> list[bytes]:
        """The MP3s of all videos, once they are done and the mails about them are there. Raises Lost."""
        deadline = time.monotonic() + PATIENCE
        for sent in self.accepted:
            while (job := self._insist("GET", f"/jobs/{sent['id']}").json())["state"] != "done":
                if job["state"] in ("failed", "cancelled") or time.monotonic() > deadline:
                    raise Lost(f"job {job['id']} is {job['state']}, {job['error'] or 'and stays so'}")
                time.sleep(0.2)
            while job["fid"] not in self._mails.told:
                if time.monotonic() > deadline:
                    raise Lost(f"no mail about job {job['id']}")
                time.sleep(0.2)
        return [self._insist("GET", f"/download?fid={sent['fid']}").content for sent in self.accepted]

    def awaits_conversion(self) -> bool:
        """Whether the video that was accepted last is being converted right now; the next one is on its way by then."""
        latest = [self._insist("GET", f"/jobs/{sent['id']}").json() for sent in self.accepted[-1:]]
        return any(job["state"] == "converting" for job in latest)

    def _insist(self, method: str, path: str, **options: Any) -> requests.Response:
        """Ask until the answer is another than 503, as HTTP lets a client do. Raises Lost where it is an error."""
        deadline = time.monotonic() + PATIENCE
        while True:
            with suppress(requests.RequestException):
                answer = self._http.request(method, self._url + path, timeout=620, **options)
                if answer.ok:
                    return answer
                if answer.status_code != 503:
                    what = f"{method} {path.partition('?')[0]}"
                    raise Lost(f"{what} is answered {answer.status_code}: {answer.content[:300]!r}")
            self.refused += 1
            if time.monotonic() > deadline:
                raise Lost(f"{method} {path.partition('?')[0]} was refused for {PATIENCE:g} s")
            time.sleep(0.2)


@dataclass
class Round:
    """One row of the table: what was done to a service while a person worked, and what became of the videos."""

    service: str
    how: str
    person: Person
    seconds: float = 0.0
    refused: int = 0
    whole: int = 0
    remark: str = ""

    @property
    def flawless(self) -> bool:
        return self.whole == len(self.person.accepted) > 0

    def judge(self, wanted: bytes) -> None:
        say(f"looking for the videos of {self.service} {self.how}")
        try:
            found = [hashlib.sha256(audio).digest() for audio in self.person.settle()]
            self.whole = found.count(hashlib.sha256(wanted).digest())
        except Lost as loss:
            self.remark = str(loss)


def disturb(round_: Round, act: Callable[[str], None]) -> Round:
    """Act on the service while one video is being converted and the next one is on its way."""
    person = round_.person
    with ThreadPoolExecutor(1) as side:
        uploading = side.submit(person.keep_uploading)
        while not person.awaits_conversion():
            if uploading.done():
                uploading.result()
                raise Lost(f"no video was seen being converted, for {round_.service} to be {round_.how} meanwhile")
            time.sleep(0.05)
        began = time.monotonic()
        act(round_.service)
        round_.seconds = time.monotonic() - began
        person.enough.set()
        uploading.result()
    round_.refused = person.refused
    say(f"{round_.service} {round_.how}: {round_.seconds:.1f} s, {len(person.accepted)} videos accepted")
    return round_


def spread(round_: Round, compose: Compose) -> Round:
    """Three converters, and more videos at once than one of them takes."""
    began = time.monotonic()
    compose("up", "--detach", "--wait", "--scale", f"convert={REPLICAS}", CONVERT_PARALLELISM=str(2 * REPLICAS))
    round_.seconds = time.monotonic() - began
    with ThreadPoolExecutor(VIDEOS) as at_once:
        list(at_once.map(round_.person.upload, [f"{number}.mp4" for number in range(VIDEOS)]))
    with suppress(Lost):
        round_.person.settle()
    since = f"{time.monotonic() - began:.0f}s"
    shares = [docker("logs", "--since", since, each).count("POST convert") for each in compose.containers("convert")]
    round_.remark = f"conversions by each meanwhile: {', '.join(map(str, shares))}"
    return round_


def make_video(path: Path) -> bytes:
    """A tone in noise, which costs the encoder something, under a small picture."""
    picture = ("-f", "lavfi", "-i", f"testsrc=s=64x48:r=5:d={SECONDS}")
    sound = ("-f", "lavfi", "-i", f"aevalsrc=0.3*sin(880*PI*t)+0.1*random(0)|0.3*sin(660*PI*t):s=44100:d={SECONDS}")
    subprocess.run([get_ffmpeg_exe(), "-nostdin", "-v", "error", *picture, *sound, str(path)], check=True)
    return path.read_bytes()


def print_table(rounds: list[Round]) -> None:
    rows: list[tuple[object, ...]] = [("service", "was", "back in", "accepted", "retried", "done, told, whole", "")]
    for each in rounds:
        back = f"{each.seconds:.1f} s" if each.seconds else ""
        rows.append((each.service, each.how, back, len(each.person.accepted), each.refused, each.whole, each.remark))
    for row in rows:
        sys.stdout.write("{:<12} {:<12} {:>7} {:>9} {:>8} {:>17}  {}".format(*row).rstrip() + "\n")
    whole, accepted = sum(each.whole for each in rounds), sum(len(each.person.accepted) for each in rounds)
    say(f"{whole} of {accepted} accepted videos were converted, whole, and their owners told")


def say(what: str) -> None:
    sys.stdout.write(f"{time.monotonic() - BEGUN:6.1f} s  {what}\n")
    sys.stdout.flush()


def docker(*words: str) -> str:
    return subprocess.run(["docker", *words], capture_output=True, encoding="utf-8", check=True).stdout


def find_compose() -> list[str]:
    """The plugin, or the program of old."""
    for command in (["docker", "compose"], ["docker-compose"]):
        with suppress(OSError, subprocess.CalledProcessError):
            docker("info")
            subprocess.run([*command, "version"], capture_output=True, check=True)
            return command
    raise SystemExit("compose-test needs Docker and compose; `docker info` or `docker compose version` does not answer")


if __name__ == "__main__":
    terminal.accept_everything()
    try:
        sys.exit(main())
    except Lost as loss:
        sys.exit(f"compose-test: {loss}")
