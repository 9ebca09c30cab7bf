"""What is ours: every function behind its own gunicorn, and the bridge that carries events between them."""

import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import urllib3

from emulator import privileges
from emulator.ports import LOOPBACK, reserve_port
from emulator.processes import Part, Process, python
from events import catalogue

ROOT = Path(__file__).resolve().parents[1]
GRACE = 8  # seconds that running work has when the system stops; what is handed back is taken up at the next start
# Closed after each look: gunicorn, told to stop, waits 2 s for more on a connection that is kept.
_http = urllib3.PoolManager(retries=False, timeout=3, headers={"Connection": "close"})


class Function(Part):
    """One function of the catalogue on a port of its own."""

    configuration = "functions/runtime/gunicorn.conf.py"

    def __init__(self, function: catalogue.Function, directory: Path, env: Mapping[str, str]) -> None:
        super().__init__(function.name, directory)
        self.function = function
        self.address = f"{LOOPBACK}:{reserve_port()}"
        self._temporary = self.directory / "tmp"
        self.env = {
            **env,
            **_bound(self.address),
            "FUNCTION_TARGET": function.target,
            "CONCURRENCY": str(function.concurrency),
            "GRACE_SECONDS": str(GRACE),
            "TMPDIR": str(self._temporary),
        }

    @property
    def url(self) -> str:
        return f"http://{self.address}/"

    def start(self) -> None:
        """Start it, without the temporary files of one that was killed. Raises PartFailed."""
        shutil.rmtree(self._temporary, ignore_errors=True)
        privileges.give(self._temporary)
        argv = python("-m", "gunicorn", "-c", self.configuration, "functions_framework:create_app()")
        self.run(Process(self.name, argv, self.directory, self.env, cwd=ROOT))

    def has_loaded(self) -> bool:
        """Look once whether it answers; its stores may be away."""
        return _answers(f"{self.url}_/health")

    def is_ready(self) -> bool:
        """Look once whether it has loaded and reaches its stores."""
        return _answers(f"{self.url}_/ready")

    def call(self) -> None:
        """Let what runs by the clock run; what it could not do is left for the next time."""
        with suppress(urllib3.exceptions.HTTPError):
            _http.request("POST", self.url, timeout=self.function.timeout)


class Bridge(Part):
    """Ingress and dispatcher."""

    def __init__(self, directory: Path, address: str, env: Mapping[str, str]) -> None:
        super().__init__("bridge", directory)
        self._address = address
        self.env = {"BRIDGE_GRACE": str(GRACE), **env, **_bound(address)}

    @property
    def url(self) -> str:
        """The ingress: functions post their events there."""
        return f"http://{self._address}/"

    def start(self) -> None:
        """Start it; it finds the broker when that is there. Raises PartFailed."""
        self.run(Process(self.name, python("-m", "events.bridge"), self.directory, self.env, cwd=ROOT))

    def is_ready(self) -> bool:
        """Look once whether events pass."""
        return _answers(f"{self.url}_/ready")


def _bound(address: str) -> dict[str, str]:
    host, _, port = address.rpartition(":")
    return {"HOST": host, "PORT": port}


def _answers(url: str) -> bool:
    try:
        return _http.request("GET", url).status == 200
    except urllib3.exceptions.HTTPError:
        return False
