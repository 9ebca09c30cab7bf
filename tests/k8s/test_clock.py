"""The CronJob's command, taken from the manifests and run against a server in sweep's place."""

import os
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from emulator.ports import reserve_port
from events import catalogue, clock
from serving.environment import Environment
from tests.k8s.manifests import K8S, build

ROOT = K8S.parent


class Sweep(BaseHTTPRequestHandler):
    """It is not ready when it is called for the first time."""

    calls: list[str]

    def do_POST(self) -> None:
        self.calls.append(self.command)
        self.send_response(503 if len(self.calls) == 1 else 200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


def test_the_clock_waits_until_sweep_answers() -> None:
    """Break: sweep is not there when the first Job runs, then not ready. Symptom: the Job fails, and the next."""
    Sweep.calls = []
    port = reserve_port()
    command = build(K8S / "overlays" / "plain").pod("CronJob sweep").container["command"]
    environ = {"PATH": os.environ["PATH"], "SWEEP_URL": f"http://127.0.0.1:{port}"}
    argv = [sys.executable, *command[1:]]
    with subprocess.Popen(argv, cwd=ROOT, env=environ, stdout=subprocess.PIPE, encoding="utf-8") as running:
        try:
            assert running.stdout
            assert "it is called again" in running.stdout.readline(), "nobody listens yet"
            with ThreadingHTTPServer(("127.0.0.1", port), Sweep) as server:
                Thread(target=server.serve_forever, daemon=True).start()
                assert running.wait(60) == 0
                server.shutdown()
        finally:
            running.kill()
    assert Sweep.calls == ["POST", "POST"]


@pytest.mark.parametrize(
    ("overlay", "url"),
    [("plain", "http://sweep"), ("openfaas", "http://gateway.openfaas:8080/function/sweep")],
)
def test_each_platform_s_clock_knows_where_sweep_is(overlay: str, url: str) -> None:
    """A Service of its own, or OpenFaaS' gateway."""
    (found,), _ = clock.read(Environment(build(K8S / "overlays" / overlay).pod("CronJob sweep").env), catalogue.load())
    assert (found.name, found.url) == ("sweep", url)


def test_the_clock_ends_by_itself_before_kubernetes_ends_its_job() -> None:
    """So that its log says why; a Job that is killed tells nothing."""
    (sweep,) = (function for function in catalogue.load() if function.schedule)
    job = build(K8S / "overlays" / "plain").get("CronJob", "sweep")["spec"]["jobTemplate"]["spec"]
    assert sweep.timeout < job["activeDeadlineSeconds"]
