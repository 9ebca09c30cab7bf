"""What the bridge is told by its environment."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from events.bridge.topology import Topology
from events.catalogue import Function
from serving import logs

SECRETS = "/var/openfaas/secrets"


class Misconfigured(Exception):
    """Names every setting that is missing or wrong, and what it should be."""


@dataclass(frozen=True)
class Route:
    """A function, the queue it is fed from and where its events go when it is given up on."""

    function: str
    url: str
    queue: str
    dead_letter_queue: str
    timeout: float  # seconds one request may take
    parallelism: int  # requests at once
    last: bool = False  # what fails here is parked, never dead-lettered again


@dataclass(frozen=True)
class Settings:
    """Everything the bridge needs to know; one function, one route."""

    amqp_url: str
    topology: Topology
    routes: tuple[Route, ...]
    host: str
    port: int
    retries: int  # after the first attempt
    grace: float  # seconds a stopping bridge waits for running deliveries
    log_level: str

    @classmethod
    def read(cls, environ: Mapping[str, str], functions: tuple[Function, ...]) -> "Settings":
        """Raises Misconfigured."""
        env = _Environment(environ)
        triggered = [function for function in functions if function.events]
        topology = Topology(
            exchange=env.text("EVENTS_EXCHANGE", "events"),
            work={_queue(function, env): function.events for function in triggered},
            delays=env.delays("BRIDGE_DELAYS", "1 2 4 8 16 32 60"),
        )
        routes = (
            *(_route(function, _queue(function, env), topology.dead, env) for function in triggered),
            *(_route(function, topology.dead, topology.parked, env) for function in functions if function.dead_letter),
        )
        settings = cls(
            amqp_url=env.broker("AMQP_URL", "amqp://user:password@host:5672/"),
            topology=topology,
            routes=routes,
            host=env.text("HOST", "0.0.0.0"),  # noqa: S104  a container is reached from outside
            port=env.number("PORT", 8080),
            retries=env.number("BRIDGE_RETRIES", 10),
            grace=env.number("BRIDGE_GRACE", max(int(route.timeout) for route in routes) + 10),
            log_level=env.level("LOG_LEVEL", logs.LEVEL),
        )
        env.complain()
        return settings


def _route(function: Function, queue: str, dead_letter_queue: str, env: "_Environment") -> Route:
    template = env.text("FUNCTION_URL", "http://{name}:8080")
    url = env.text(f"{function.target.upper()}_URL", template.replace("{name}", function.name))
    if urlsplit(url).scheme not in ("http", "https"):
        env.wrong.append(f"{function.target.upper()}_URL or FUNCTION_URL must start with http(s)://, not {url!r}")
    return Route(
        function=function.name,
        url=url,
        queue=queue,
        dead_letter_queue=dead_letter_queue,
        timeout=function.timeout,
        parallelism=env.number(f"{function.target.upper()}_PARALLELISM", function.concurrency),
        last=function.dead_letter,
    )


def _queue(function: Function, env: "_Environment") -> str:
    # The two names the original system had; a function of ours that comes later has its own.
    setting, name = {"convert": ("VIDEO_QUEUE", "video"), "notify": ("MP3_QUEUE", "mp3")}.get(
        function.name, (f"{function.target.upper()}_QUEUE", function.name)
    )
    return env.text(setting, name)


def _is_broker(url: str) -> bool:
    try:
        return urlsplit(url).scheme in ("amqp", "amqps") and urlsplit(url).port != 0
    except ValueError:
        return False


class _Environment:
    """Reads settings and collects what is wrong with them, so that one start tells everything."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.wrong: list[str] = []

    def text(self, name: str, default: str) -> str:
        return self._environ.get(name) or default

    def number(self, name: str, default: int) -> int:
        text = self.text(name, str(default))
        if not text.isdecimal():
            self.wrong.append(f"{name} must be a whole number such as {default}, not {text!r}")
            return default
        return int(text)

    def delays(self, name: str, default: str) -> tuple[float, ...]:
        """Seconds, rising."""
        try:
            steps = tuple(sorted(float(step) for step in self.text(name, default).split()))
        except ValueError:
            steps = ()
        if not steps or steps[0] <= 0:
            self.wrong.append(f"{name} must be seconds such as {default!r}, not {self.text(name, default)!r}")
        return steps

    def level(self, name: str, default: str) -> str:
        level = self.text(name, default)
        if level not in logging.getLevelNamesMapping():
            self.wrong.append(f"{name} must be a level such as {default}, not {level!r}")
        return level

    def broker(self, name: str, example: str) -> str:
        """From the environment, or from the file of that name in lower case with dashes."""
        file = Path(self.text("SECRETS_DIR", SECRETS), name.lower().replace("_", "-"))
        url = self._environ.get(name) or (file.read_text(encoding="utf-8").strip() if file.is_file() else "")
        if not url:
            self.wrong.append(f"{name} is missing: set it, such as {example}, or put it into {file}")
        elif not _is_broker(url):
            self.wrong.append(f"{name} must look like {example}")  # What it is stays unsaid: it may hold a password.
        return url

    def complain(self) -> None:
        if self.wrong:
            raise Misconfigured("; ".join(self.wrong))
