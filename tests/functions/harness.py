"""What tests of functions share: functions as platforms start them, people who use them, and what an answer must be."""

import importlib
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, BinaryIO, Self
from uuid import UUID

import functions_framework
import pytest
import requests
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

import functions
from emulator.ports import reserve_port
from events import contract, envelope
from functions.runtime.routes import Routes
from functions.stores.gridfs import Bucket
from tests.servers import bound_to_us
from tests.waiting import PATIENCE, until

INHERITED = {name: value for name, value in os.environ.items() if name == "PATH" or name.startswith("COVERAGE")}
IMAGES = "HOSTED_IN_IMAGES"  # a tag of our two images that Docker has: then functions are tried in containers too
APPLICATION = "functions_framework:create_app()"
FUNCTIONS = Path(functions.__file__).parent
PROBLEM = "urn:videotomp3:problem:"
VIDEO = b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41" + bytes(range(256)) * 40  # begins like MP4


def load(name: str, environ: dict[str, str]) -> Flask:
    """The function's application, as the framework loads it, with that environment."""
    with pytest.MonkeyPatch.context() as patch:
        for variable, value in environ.items():
            patch.setenv(variable, value)
        application: Flask = functions_framework.create_app(target=name, source=str(FUNCTIONS / name / "main.py"))
    return application


def routes(name: str, environ: dict[str, str]) -> Routes:
    """The routes that the function declares."""
    with pytest.MonkeyPatch.context() as patch:
        for variable, value in environ.items():
            patch.setenv(variable, value)
        declared: Routes = getattr(importlib.import_module(f"functions.{name}.main"), name).routes
    return declared


class Served:
    """A function behind gunicorn, as every platform starts it; for tests in which sockets matter."""

    def __init__(self, name: str, environ: dict[str, str], log: Path) -> None:
        self.port = reserve_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = log
        own = {"FUNCTION_TARGET": name, "HOST": "127.0.0.1", "PORT": str(self.port), "GRACE_SECONDS": "2"}
        with log.open("wb") as output:
            self.process = self._start(environ | own, output)

    def _start(self, environ: dict[str, str], output: BinaryIO) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            bound_to_us(
                sys.executable, "-m", "gunicorn", "-c", str(FUNCTIONS / "runtime" / "gunicorn.conf.py"), APPLICATION
            ),
            env={**INHERITED, "PYTHONPATH": str(FUNCTIONS.parent), **environ},
            stdout=output,
            stderr=output,
            start_new_session=True,
        )

    def ready(self) -> Self:
        until(self._answers)
        return self

    def _answers(self) -> bool:
        assert self.process.poll() is None, self.log.read_text(encoding="utf-8")
        try:
            return requests.get(f"{self.url}/_/health", timeout=PATIENCE).ok
        except requests.ConnectionError:
            return False

    def lines(self, **wanted: Any) -> list[dict[str, Any]]:
        """The lines of its log that have all these fields."""
        written = [
            json.loads(line)
            for line in self.log.read_text(encoding="utf-8").splitlines(keepends=True)
            if line.startswith("{") and line.endswith("}\n")
        ]
        return [line for line in written if wanted.items() <= line.items()]

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


class Contained(Served):
    """A function in its image, as docker-compose.yml runs it: the image's user, nothing writable but /tmp."""

    def _start(self, environ: dict[str, str], output: BinaryIO) -> subprocess.Popen[bytes]:
        kind = "convert" if environ["FUNCTION_TARGET"] == "convert" else "light"
        image = f"video-to-mp3/{kind}:{os.environ[IMAGES]}"
        variables = [word for pair in environ.items() for word in ("--env", "=".join(pair))]
        jail = ["--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"]
        self._container = f"hosted-{self.port}"
        command = ["docker", "run", "--rm", "--name", self._container, "--network", "host", *jail, *variables, image]
        return subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)

    def stop(self) -> None:
        super().stop()
        subprocess.run(["docker", "rm", "--force", self._container], capture_output=True, check=False)


@dataclass(frozen=True)
class Person:
    """Somebody with an account and a token."""

    id: UUID
    username: str
    token: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


def problem(answer: TestResponse | requests.Response, status: int, slug: str, **more: str) -> dict[str, Any]:
    """The problem that the answer must be, in the one shape that all have (RFC 9457)."""
    document = answer.json if isinstance(answer, TestResponse) else answer.json()
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/problem+json"), document
    assert isinstance(document, dict)
    assert (document["type"], document["status"]) == (PROBLEM + slug, status)
    assert document["title"]
    assert document["detail"]
    assert {name: document.get(name) for name in more} == more
    assert set(document) <= {"type", "title", "status", "detail", "field", "reason"}
    return document


def deliver(client: FlaskClient, event: contract.Event) -> TestResponse:
    """Posts the event as the bridge does."""
    headers, body = envelope.to_http(event)
    return client.post("/", data=body, headers={**headers, "Prefer": "reply"})


def replied(answer: TestResponse) -> contract.Event:
    """The event in the answer to a delivery."""
    assert answer.status_code == HTTPStatus.OK, answer.text
    return envelope.from_http(dict(answer.headers), answer.data)


def nothing_follows(answer: TestResponse) -> bool:
    """Whether the answer says that the event was taken and no other follows."""
    tells = any(name.lower().startswith("ce-") for name, _ in answer.headers)
    return answer.status_code == HTTPStatus.ACCEPTED and not tells


def files(bucket: Bucket) -> tuple[int, int]:
    """How many files and chunks the bucket has."""
    database = bucket._database
    return database["fs.files"].count_documents({}), database["fs.chunks"].count_documents({})
