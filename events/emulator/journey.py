"""A film's way through the whole system as a client takes it: over HTTP, from the login to the MP3 and the mail."""

import secrets
import sys
import time
from collections.abc import Iterator, Mapping
from itertools import count
from pathlib import Path
from textwrap import indent
from typing import Any
from urllib.parse import urlencode

import urllib3

from events.emulator.processes import PartFailed
from events.emulator.system import System

_PIECE = 256 * 1024  # bytes
_LETTER_WITHIN = 30.0  # seconds
_WIDTH = 40  # characters of the bar


class JourneyFailed(Exception):
    """The film did not make it; the message says why, in plain words."""


def run(film: Path, state: Path, environ: Mapping[str, str]) -> int:
    """Start a system, take the film through it, stop it. 0: its MP3 lies beside it; 1: the reason has been told.

    The system is one of its own below `state`, on free ports, so that films can be converted beside a running
    `make run`, and several at once. What it keeps, the mails among it, is there afterwards. Raises PartFailed.
    """
    print(f"starting the system for {film}", flush=True)
    with _system_of_its_own(state, environ) as system:
        try:
            Traveller(system).convert(film)
        except JourneyFailed as failure:
            print(f"{film} was not converted: {failure}", file=sys.stderr)
            return 1
        except urllib3.exceptions.HTTPError as error:
            raise PartFailed("gateway", f"no answer: {error}", f"read the logs in {system.directory}") from error
    return 0


class Traveller:
    """A person who registers for this one film."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._address = f"traveller-{secrets.token_hex(4)}@video-to-mp3.example"
        limits = urllib3.Timeout(connect=5, read=620)
        self._http = urllib3.PoolManager(retries=False, timeout=limits, blocksize=_PIECE)
        self._token: dict[str, str] = {}

    def convert(self, film: Path) -> None:
        """Make the MP3 beside the film. Raises JourneyFailed, as everything here does where an answer is a problem."""
        self.enter()
        job = self.await_end(self.upload(film))
        letter = self.find_letter()
        print(f"mail         {letter['Subject']}\n             {letter['path']}")
        if job["state"] != "done":
            reason = job.get("reason", job["state"])
            raise JourneyFailed(f"{reason}. The mail says:\n\n{indent(letter['Text'], '    ')}")
        audio = self.download(job, film)
        print(f"MP3          {audio}: {job['duration']:.2f} s, {job['mp3_size']:,} bytes")

    def enter(self) -> None:
        """Register and log in."""
        password = secrets.token_urlsafe(16)
        self._ask("POST", "/register", json={"name": "Traveller", "username": self._address, "password": password})
        basic = urllib3.make_headers(basic_auth=f"{self._address}:{password}")
        self._token = {"Authorization": f"Bearer {self._ask('POST', '/login', headers=basic).json()['access_token']}"}

    def upload(self, film: Path) -> dict[str, Any]:
        """Send the film as it is on disk; give its job."""
        size = film.stat().st_size
        headers = {**self._token, "Content-Type": "application/octet-stream", "Content-Length": str(size)}
        with film.open("rb") as file, Bar("uploading") as bar:
            path = f"/upload?{urlencode({'filename': film.name})}"
            body = bar.following(iter(lambda: file.read(_PIECE), b""), size)
            return dict(self._ask("POST", path, headers=headers, body=body).json())

    def await_end(self, job: dict[str, Any]) -> dict[str, Any]:
        """Give the job as it is when nothing more is done about it."""
        with Bar("converting") as bar:
            while job["state"] in ("queued", "converting"):
                bar.show(job["progress"])
                time.sleep(0.1)
                self._system.watch()
                job = self._ask("GET", f"/jobs/{job['id']}", headers=self._token).json()
            bar.show(job["progress"])
        return job

    def download(self, job: dict[str, Any], film: Path) -> Path:
        """Write the MP3 beside the film, whole or not at all, over one of an earlier time."""
        audio = film.with_suffix(".mp3")
        if audio == film:
            audio = film.with_suffix(".mp3.mp3")
        unfinished = audio.with_name(f"{audio.name}.part")
        answer = self._ask("GET", job["download"], headers=self._token, preload_content=False)
        try:
            with unfinished.open("wb") as file, Bar("downloading") as bar:
                file.writelines(bar.following(answer.stream(_PIECE), job["mp3_size"]))
            if audio.exists():
                print(f"{audio} is replaced")
            return unfinished.replace(audio)
        except OSError as error:
            raise JourneyFailed(f"its MP3 cannot be written: {error}") from error
        finally:
            unfinished.unlink(missing_ok=True)

    def find_letter(self) -> dict[str, Any]:
        """The mail about it, as the mailbox describes it, with the `path` of its file."""
        mailbox, deadline = self._system.mailbox, time.monotonic() + _LETTER_WITHIN
        while time.monotonic() < deadline:
            for mail in self._http.request("GET", f"{mailbox.url}/api/v1/messages").json()["messages"]:
                if mail["To"][0]["Address"] == self._address:
                    letter = self._http.request("GET", f"{mailbox.url}/api/v1/message/{mail['ID']}").json()
                    return {**letter, "path": mailbox.directory / "mails" / f"{mail['ID']}.eml"}
            time.sleep(0.1)
        raise JourneyFailed(f"no mail came within {_LETTER_WITHIN:g} s; read the logs in {self._system.directory}")

    def _ask(self, method: str, path: str, **options: Any) -> urllib3.BaseHTTPResponse:
        answer = self._http.request(method, f"{self._system.gateway.url}{path}", **options)
        if answer.status >= 400:
            raise JourneyFailed(answer.json()["detail"])
        return answer


class Bar:
    """How far one step is: drawn at a terminal, one line at its end elsewhere."""

    def __init__(self, step: str) -> None:
        self._step = step
        self._began = time.monotonic()
        self._shown = -1

    def show(self, fraction: float) -> None:
        percent = int(100 * min(fraction, 1))
        if sys.stdout.isatty() and percent != self._shown:
            self._shown = percent
            bar = "█" * (_WIDTH * percent // 100)
            print(f"\r{self._step:<13}{bar:░<{_WIDTH}} {percent:3} %", end="", flush=True)

    def following(self, pieces: Iterator[bytes], size: int) -> Iterator[bytes]:
        """Hand the pieces on and show how much of the whole has passed."""
        passed = 0
        for piece in pieces:
            yield piece
            passed += len(piece)
            self.show(passed / max(size, 1))

    def __enter__(self) -> "Bar":
        return self

    def __exit__(self, *_: object) -> None:
        start = "\r\033[K" if sys.stdout.isatty() else ""
        print(f"{start}{self._step:<13}{time.monotonic() - self._began:.1f} s", flush=True)


def _system_of_its_own(state: Path, environ: Mapping[str, str]) -> System:
    for number in count(1):
        try:
            return System(state / f"journey-{number}", environ)
        except PartFailed:  # another film is on its way there
            continue
    raise AssertionError
