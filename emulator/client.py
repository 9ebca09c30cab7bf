"""A client of the system: it does over HTTP what a person does who wants the sound of a video."""

import os
import secrets
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

import urllib3

from emulator import audio
from emulator.progress import ProgressBar
from emulator.system import System

_PIECE = 256 * 1024  # bytes
_EMAIL_TIMEOUT = 30.0  # seconds


class NotConverted(Exception):
    """The video did not become audio; the message says why, in words for people."""


class Client:
    """One user of the system, who is new in it.

    Every method raises NotConverted where an answer is a problem, and urllib3's HTTPError where there is none.
    """

    def __init__(self, system: System) -> None:
        self._system = system
        self._address = f"client-{secrets.token_hex(4)}@video-to-mp3.example"
        limits = urllib3.Timeout(connect=5, read=620)  # seconds; the longest request may take 600
        self._http = urllib3.PoolManager(retries=False, timeout=limits, blocksize=_PIECE)
        self._token: dict[str, str] = {}

    def register(self) -> None:
        """Register and log in as soon as the functions for that serve; do neither if the system stops before."""
        functions = self._system.functions
        needed = (functions["register"], functions["login"], self._system.gateway)
        while not all(part.is_ready() for part in needed):
            if self._system.is_stopping:
                return
            time.sleep(0.05)
        password = secrets.token_urlsafe(16)
        self._request("POST", "/register", json={"name": "Client", "username": self._address, "password": password})
        basic = urllib3.make_headers(basic_auth=f"{self._address}:{password}")
        token = self._request("POST", "/login", headers=basic).json()["access_token"]
        self._token = {"Authorization": f"Bearer {token}"}

    def upload(self, video: Path, options: str = "") -> dict[str, Any]:
        """Send the video, with options as they stand in a query. Returns its job, as GET /jobs/<id> answers it."""
        size = video.stat().st_size
        headers = {**self._token, "Content-Type": "application/octet-stream", "Content-Length": str(size)}
        with video.open("rb") as file, ProgressBar("uploading") as bar:
            # On a disk a name is bytes: of UTF-8 or, on an old one, of Windows' code page. Upload reads either.
            query = [(b"filename", os.fsencode(video.name)), *parse_qsl(os.fsencode(options), keep_blank_values=True)]
            path = f"/upload?{urlencode(query)}"
            body = bar.follow(iter(lambda: file.read(_PIECE), b""), size)
            return dict(self._request("POST", path, headers=headers, body=body).json())

    def await_end(self, job: dict[str, Any]) -> dict[str, Any]:
        """Wait until the job is neither queued nor converting, and return it as it is then.

        Meanwhile parts of the system that die are started again.
        """
        with ProgressBar("converting") as bar:
            while job["state"] in ("queued", "converting"):
                bar.show(job["progress"]["percent"])
                time.sleep(0.1)
                self._system.watch()
                job = self._request("GET", f"/jobs/{job['id']}", headers=self._token).json()
            bar.show(job["progress"]["percent"])
        return job

    def download(self, job: dict[str, Any], video: Path, *, force: bool) -> Path:
        """Write the audio beside the video, under the name that its job gives it or the next one that is free.

        With `force` it replaces a file of that name. Returns where it is.
        """
        made = job["audio"]
        answer = self._request("GET", made["url"], headers=self._token, preload_content=False)
        wanted = video.with_name(os.fsdecode(made["filename"].encode()))  # as names on this machine are encoded
        was_there = wanted.exists()
        try:
            with ProgressBar("downloading") as bar:
                pieces = bar.follow(answer.stream(_PIECE), made["size_bytes"])
                written = audio.write(pieces, wanted, video=video, force=force)
        except OSError as error:
            raise NotConverted(f"its audio cannot be written: {error}") from error
        if written != wanted:
            print(f"{wanted} is there already and stays as it is{'' if force else '; FORCE=1 replaces it'}")
        elif was_there:
            print(f"{wanted} is replaced")
        return written

    def find_email(self) -> dict[str, Any]:
        """Wait for the email about the job. Returns it as the mailbox's API does, and the `path` of its file."""
        mailbox, deadline = self._system.mailbox, time.monotonic() + _EMAIL_TIMEOUT
        while time.monotonic() < deadline:
            for mail in self._http.request("GET", f"{mailbox.url}/api/v1/messages").json()["messages"]:
                if mail["To"][0]["Address"] == self._address:
                    email = self._http.request("GET", f"{mailbox.url}/api/v1/message/{mail['ID']}").json()
                    return {**email, "path": mailbox.directory / "mails" / f"{mail['ID']}.eml"}
            time.sleep(0.1)
        raise NotConverted(f"no email came within {_EMAIL_TIMEOUT:g} s; read the logs in {self._system.directory}")

    def _request(self, method: str, path: str, **options: Any) -> urllib3.BaseHTTPResponse:
        answer = self._http.request(method, f"{self._system.gateway.url}{path}", **options)
        if answer.status >= 400:
            raise NotConverted(answer.json()["detail"])
        return answer
