"""The parts that run our own code: every function behind its own gunicorn, the bridge, and the clock."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import urllib3

from emulator import privileges
from emulator.parts import Part
from emulator.ports import LOOPBACK, reserve_port
from emulator.processes import Process, python
from events import catalogue

ROOT = Path(__file__).resolve().parents[1]
# Seconds that running work has when the system stops. What it hands back is taken up at the next start.
GRACE = 8
# No connection is kept: gunicorn, when it is told to stop, waits 2 s for more requests on a kept one.
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
            **_bound_to(self.address),
            "FUNCTION_TARGET": function.target,
            "CONCURRENCY": str(function.concurrency),
            "GRACE_SECONDS": str(GRACE),
            "TMPDIR": str(self._temporary),
        }

    @property
    def url(self) -> str:
        return f"http://{self.address}/"

    def start(self) -> None:
        """Start it, and remove the temporary files of an earlier start that was killed. Raises PartFailed."""
        shutil.rmtree(self._temporary, ignore_errors=True)
        privileges.make_writable_directory(self._temporary)
        argv = python("-m", "gunicorn", "-c", self.configuration, "functions_framework:create_app()")
        self.run(Process(self.name, argv, self.directory, self.env, cwd=ROOT))

    def has_loaded(self) -> bool:
        """Look once whether it answers, though its stores may be away."""
        return _answers(f"{self.url}_/health")

    def is_ready(self) -> bool:
        """Look once whether it answers and reaches its stores."""
        return _answers(f"{self.url}_/ready")


class Bridge(Part):
    """Ingress and dispatcher; `env` says where the broker and the functions are."""

    def __init__(self, directory: Path, address: str, env: Mapping[str, str]) -> None:
        super().__init__("bridge", directory)
        self._address = address
        self.env = {"BRIDGE_GRACE": str(GRACE), **env, **_bound_to(address)}

    @property
    def url(self) -> str:
        """The ingress, to which functions post their events."""
        return f"http://{self._address}/"

    def start(self) -> None:
        """Start it. The broker need not be there yet. Raises PartFailed."""
        self.run(Process(self.name, python("-m", "events.bridge"), self.directory, self.env, cwd=ROOT))

    def is_ready(self) -> bool:
        """Look once whether it is connected to the broker, so that events pass."""
        return _answers(f"{self.url}_/ready")


class Clock(Part):
    """Calls the functions that run on a schedule; `env` says where they are."""

    def __init__(self, directory: Path, env: Mapping[str, str]) -> None:
        super().__init__("clock", directory)
        self.env = dict(env)

    def start(self) -> None:
        """Start it. It calls those functions at once, so they should be there. Raises PartFailed."""
        self.run(Process(self.name, python("-m", "events.clock"), self.directory, self.env, cwd=ROOT))

    def is_ready(self) -> bool:
        """Nobody calls it, so it is ready as soon as it runs."""
        return bool(self.processes)


def _bound_to(address: str) -> dict[str, str]:
    host, _, port = address.rpartition(":")
    return {"HOST": host, "PORT": port}


def _answers(url: str) -> bool:
    try:
        return _http.request("GET", url).status == 200
    except urllib3.exceptions.HTTPError:
        return False
