"""A video's way through the whole system as a client takes it: over HTTP, from the login to the MP3 and the mail."""

import os
import re
import secrets
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from textwrap import indent
from typing import Any
from urllib.parse import unquote_to_bytes, urlencode

import urllib3

from emulator import audio
from emulator.processes import PartFailed
from emulator.system import System, Taken

_PIECE = 256 * 1024  # bytes
_LETTER_WITHIN = 30.0  # seconds
_WIDTH = 40  # characters of the bar


class JourneyFailed(Exception):
    """The video did not make it; the message says why, in plain words."""


def run(video: Path, state: Path, environ: Mapping[str, str]) -> int:
    """Start a system, take the video through it, stop it. 0: its MP3 lies beside it; 1: the reason has been told.

    The system is one of its own below `state`, on free ports, so that videos can be converted beside a running
    `make run`, and several at once. What it keeps, the mails among it, is there afterwards. Raises PartFailed.
    """
    if refusal := _refusal(video):
        print(refusal, file=sys.stderr)
        return 1
    print(f"starting the system for {video}", flush=True)
    force = environ.get("FORCE", "0") not in ("", "0")
    system = _system_of_its_own(state, environ)
    traveller = Traveler(system)
    with ThreadPoolExecutor(1, "entering") as aside:
        entering = aside.submit(traveller.enter)  # while the broker, which takes longest, still starts
        with system:
            try:
                entering.result()
                traveller.convert(video, force=force)
            except JourneyFailed as failure:
                print(f"{video} was not converted: {failure}", file=sys.stderr)
                return 1
            except urllib3.exceptions.HTTPError as error:
                raise PartFailed("gateway", f"no answer: {error}", f"read the logs in {system.directory}") from error
    return 0


class Traveler:
    """A person who registers for this one video."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._address = f"traveller-{secrets.token_hex(4)}@video-to-mp3.example"
        limits = urllib3.Timeout(connect=5, read=620)
        self._http = urllib3.PoolManager(retries=False, timeout=limits, blocksize=_PIECE)
        self._token: dict[str, str] = {}

    def convert(self, video: Path, *, force: bool) -> None:
        """Make the MP3 beside the video. Raises JourneyFailed, as everything here does where an answer is a problem."""
        job = self.await_end(self.upload(video))
        email = self.find_email()
        print(f"mail         {email['Subject']}\n             {email['path']}")
        if job["state"] != "done":
            reason = job.get("reason", job["state"])
            raise JourneyFailed(f"{reason}. The mail says:\n\n{indent(email['Text'], '    ')}")
        written = self.download(job, video, force=force)
        print(f"MP3          {written}: {job['duration']:.2f} s, {job['mp3_size']:,} bytes")

    def enter(self) -> None:
        """Register and log in, as soon as that can be done; not at all where the system stops before."""
        functions = self._system.functions
        doors = (functions["register"], functions["login"], self._system.gateway)
        while not all(door.is_ready() for door in doors):
            if self._system.is_stopping:
                return
            time.sleep(0.05)
        password = secrets.token_urlsafe(16)
        self._ask("POST", "/register", json={"name": "Traveler", "username": self._address, "password": password})
        basic = urllib3.make_headers(basic_auth=f"{self._address}:{password}")
        self._token = {"Authorization": f"Bearer {self._ask('POST', '/login', headers=basic).json()['access_token']}"}

    def upload(self, video: Path) -> dict[str, Any]:
        """Send the video as it is on disk; give its job."""
        size = video.stat().st_size
        headers = {**self._token, "Content-Type": "application/octet-stream", "Content-Length": str(size)}
        with video.open("rb") as file, Bar("uploading") as bar:
            # On disk a name is bytes, in UTF-8 or, from long ago, in Latin-1; upload reads either.
            path = f"/upload?{urlencode({'filename': os.fsencode(video.name)})}"
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

    def download(self, job: dict[str, Any], video: Path, *, force: bool) -> Path:
        """Write the MP3 beside the video, under the name that the download gives it or the next that is free."""
        answer = self._ask("GET", job["download"], headers=self._token, preload_content=False)
        wanted = video.with_name(_name_of(answer))
        was_there = wanted.exists()
        try:
            with Bar("downloading") as bar:
                pieces = bar.following(answer.stream(_PIECE), job["mp3_size"])
                written = audio.write(pieces, wanted, video=video, force=force)
        except OSError as error:
            raise JourneyFailed(f"its MP3 cannot be written: {error}") from error
        if written != wanted:
            print(f"{wanted} is there already and stays as it is{'' if force else '; FORCE=1 replaces it'}")
        elif was_there:
            print(f"{wanted} is replaced")
        return written

    def find_email(self) -> dict[str, Any]:
        """The mail about it, as the mailbox describes it, with the `path` of its file."""
        mailbox, deadline = self._system.mailbox, time.monotonic() + _LETTER_WITHIN
        while time.monotonic() < deadline:
            for mail in self._http.request("GET", f"{mailbox.url}/api/v1/messages").json()["messages"]:
                if mail["To"][0]["Address"] == self._address:
                    email = self._http.request("GET", f"{mailbox.url}/api/v1/message/{mail['ID']}").json()
                    return {**email, "path": mailbox.directory / "mails" / f"{mail['ID']}.eml"}
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
        self._full, self._empty = _shades(sys.stdout.encoding)

    def show(self, fraction: float) -> None:
        percent = int(100 * min(fraction, 1))
        if sys.stdout.isatty() and percent != self._shown:
            self._shown = percent
            done = _WIDTH * percent // 100
            bar = self._full * done + self._empty * (_WIDTH - done)
            print(f"\r{self._step:<13}{bar} {percent:3} %", end="", flush=True)

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


def _refusal(video: Path) -> str:
    """Why it need not be begun; empty where nothing speaks against it."""
    try:
        video.open("rb").close()
    except OSError as error:
        return f"{video} cannot be read: {error.strerror}"
    try:
        audio.require_room(video.parent)
    except OSError as error:
        return f"the MP3 of {video} cannot be written beside it: {error.strerror}"
    return ""


def _name_of(answer: urllib3.BaseHTTPResponse) -> str:
    """The name under which a browser would save it, as this machine's files are named. Raises JourneyFailed."""
    named = re.search(r"filename\*=UTF-8''([^;]+)", answer.headers.get("Content-Disposition", ""))
    if not named:
        raise JourneyFailed("the download says no name for it")
    return os.fsdecode(unquote_to_bytes(named[1]))


def _shades(encoding: str) -> tuple[str, str]:
    try:
        "█░".encode(encoding)
    except UnicodeEncodeError:
        return "#", "."
    return "█", "░"


def _system_of_its_own(state: Path, environ: Mapping[str, str]) -> System:
    for number in count(1):
        try:
            return System(state / f"journey-{number}", environ)
        except Taken:  # another video is on its way there
            continue
    raise AssertionError
