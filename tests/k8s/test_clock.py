"""The clock's command, taken from the manifest and run."""

import os
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from emulator.ports import reserve_port
from tests.k8s.manifests import K8S, build


class Sweep(BaseHTTPRequestHandler):
    """Not ready at first."""

    asked: list[str]

    def do_POST(self) -> None:
        self.asked.append(self.command)
        self.send_response(503 if len(self.asked) == 1 else 200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


def test_the_clock_waits_until_sweep_answers() -> None:
    """Break: sweep is not there when the clock first strikes, then not ready. Symptom: the Job fails, and the next."""
    Sweep.asked = []
    port = reserve_port()
    command = build(K8S / "overlays" / "plain").pod("CronJob sweep").container["command"]
    environ = {"PATH": os.environ["PATH"], "SWEEP_URL": f"http://127.0.0.1:{port}"}
    argv = [sys.executable, *command[1:]]
    with subprocess.Popen(argv, env=environ, stdout=subprocess.PIPE, encoding="utf-8") as clock:
        try:
            assert clock.stdout
            assert "asked again" in clock.stdout.readline(), "nobody listens yet"
            with ThreadingHTTPServer(("127.0.0.1", port), Sweep) as server:
                Thread(target=server.serve_forever, daemon=True).start()
                assert clock.wait(60) == 0
                server.shutdown()
        finally:
            clock.kill()
    assert Sweep.asked == ["POST", "POST"]
