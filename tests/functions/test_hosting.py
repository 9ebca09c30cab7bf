"""One contract however a function is hosted: in process, in gunicorn, by Knative's names, below OpenFaaS' prefix.

`make compose-test` runs these tests against the images too.

Event answers are read as Knative's dispatcher reads them (knative-extensions/eventing-rabbitmq, pkg/dispatcher): a 2xx
with `ce-` headers is a reply, any other 2xx an ack, 404, 408, 409, 429 and 5xx are tried again.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest
import requests
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from emulator import privileges
from emulator.parts import answers
from emulator.ports import LOOPBACK, reserve_port
from emulator.processes import Process
from events import envelope
from functions.model.jobs import Job
from functions.stores.jobs import Jobs
from tests.events.harness import uploaded
from tests.functions.harness import IMAGES, Person, Served
from tests.waiting import PATIENCE, until

NGINX = """\
daemon off; pid nginx.pid; error_log stderr crit; events {{ }}
http {{
    access_log off; client_body_temp_path t; proxy_temp_path t;
    fastcgi_temp_path t; uwsgi_temp_path t; scgi_temp_path t;
    server {{ listen {listen}; {locations} }}
}}
"""
LOCATION = "location /function/{name}/ {{ proxy_http_version 1.1; proxy_pass {url}/; }}"
KNATIVE = {"Host": "jobs.default.svc.cluster.local", "K-Proxy-Request": "activator", "Forwarded": "for=10.0.0.1"}
PLACES = ("in process", "gunicorn", "Knative", "OpenFaaS", *(["container"] if IMAGES in os.environ else []))
HOSTED = ("validate", "jobs", "dead_letter", "convert")


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


Ask = Callable[..., Answer]  # ask(function, method, path, headers, body)


@pytest.fixture(scope="session")
def openfaas(served: Callable[..., Served], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A gateway that gives each function an address below /function/ and strips it, as OpenFaaS' does."""
    directory = tmp_path_factory.mktemp("openfaas")
    port = reserve_port()
    locations = " ".join(LOCATION.format(name=name, url=served(name).url) for name in HOSTED)
    Path(directory, "conf").write_text(NGINX.format(listen=f"{LOOPBACK}:{port}", locations=locations), encoding="utf-8")
    privileges.make_writable_directory(directory)
    argv = ["/usr/sbin/nginx", "-p", str(directory), "-c", "conf", "-e", "stderr"]
    nginx = Process("openfaas", argv, directory)
    nginx.start()
    until(lambda: answers(port))
    yield f"http://{LOOPBACK}:{port}/function"
    nginx.stop()


@pytest.fixture(params=PLACES)
def ask(request: pytest.FixtureRequest, function: Callable[..., FlaskClient]) -> Ask:
    """Asks a function at one of PLACES."""
    if request.param == "in process":
        return lambda name, method, path="/", headers=None, body=b"": _of(
            function(name).open(path, method=method, headers=headers or {}, data=body)
        )
    served = request.getfixturevalue("contained" if request.param == "container" else "served")
    prefix = request.getfixturevalue("openfaas") if request.param == "OpenFaaS" else None
    more = KNATIVE if request.param == "Knative" else {}

    def ask(
        name: str, method: str, path: str = "/", headers: dict[str, str] | None = None, body: bytes = b""
    ) -> Answer:
        base = f"{prefix}/{name}" if prefix else served(name).url
        headers = {**more, **(headers or {})}
        return _of(requests.request(method, base + path, headers=headers, data=body, timeout=PATIENCE))

    return ask


def _of(answer: TestResponse | requests.Response) -> Answer:
    body = answer.data if isinstance(answer, TestResponse) else answer.content
    return Answer(answer.status_code, {name.lower(): value for name, value in answer.headers.items()}, body)


@pytest.mark.parametrize("name", HOSTED)
def test_it_says_that_it_lives_and_is_ready(name: str, ask: Ask) -> None:
    """Platforms ask both before they send requests."""
    assert [ask(name, "GET", path).status for path in ("/_/health", "/_/ready")] == [200, 200]


def test_its_paths_are_relative_to_its_own_root(ask: Ask, ada: Person, add: Callable[..., Job]) -> None:
    """Whatever stood in front of them at a gateway has been stripped."""
    assert ask("jobs", "GET", "/", ada.headers).status == 200
    assert ask("jobs", "GET", f"/{add().id}", ada.headers).status == 200
    assert ask("jobs", "GET", f"/{uuid4()}", ada.headers).status == 404


def test_its_errors_are_problems(ask: Ask) -> None:
    """No host in between changes their shape or their headers."""
    refused = ask("validate", "GET")
    assert (refused.status, refused.headers["content-type"]) == (401, "application/problem+json")
    assert refused.headers["www-authenticate"].startswith("Bearer")


def test_an_event_from_which_nothing_follows_is_acked(ask: Ask) -> None:
    """By a 2xx without a `ce-` header."""
    headers, body = envelope.to_http(uploaded())
    for name in ("convert", "dead_letter"):
        answer = ask(name, "POST", "/", {**headers, "Prefer": "reply"}, body)
        assert (answer.status, [header for header in answer.headers if header.startswith("ce-")]) == (202, [])


def test_an_event_is_answered_by_an_event(ask: Ask, add: Callable[..., Job], jobs: Jobs) -> None:
    """By a 2xx that holds the following event in binary mode, with the content type of JSON."""
    job = add()
    claimed = jobs.claim(job.id)
    assert claimed is not None
    jobs.fail(claimed, "no_audio", "")
    headers, body = envelope.to_http(uploaded(job.id))
    answer = ask("dead_letter", "POST", "/", {**headers, "Prefer": "reply"}, body)
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert envelope.from_http(answer.headers, answer.body).job == job.id


def test_what_is_no_event_is_not_tried_again(ask: Ask) -> None:
    """400 is none of the statuses after which Knative's dispatcher tries again."""
    assert ask("convert", "POST", "/", {"Content-Type": "application/json"}, b"{}").status == 400
