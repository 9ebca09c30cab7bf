"""The bridge's settings, read from its environment."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf
from urllib.parse import urlsplit

from events import addresses
from events.bridge.topology import Topology
from events.calls import Callee
from events.catalogue import Function
from serving import logs
from serving.environment import MAX_QUOTED, Environment

EXAMPLE_URL = "amqp://user:password@host:5672/"


@dataclass(frozen=True)
class Route:
    """A function, the queue that its events come from, and the queue for the events it was given up on."""

    function: str
    url: str
    queue: str
    dead_letter_queue: str  # for events that the function was given up on
    timeout: float  # seconds one request may take
    parallelism: int  # requests at once
    last: bool = False  # an event that fails here is parked, because it is a dead letter already


@dataclass(frozen=True)
class Settings:
    """Everything the bridge needs to know. Each function that takes events has one route."""

    amqp_url: str = field(repr=False)  # may hold a password
    topology: Topology
    routes: tuple[Route, ...]
    clockwork: tuple[Callee, ...]  # what runs by the clock, and sends again what is owed
    host: str
    port: int
    retries: int  # after the first attempt
    grace: float  # seconds a stopping bridge waits for running deliveries
    log_level: str

    @classmethod
    def read(cls, environ: Mapping[str, str], functions: tuple[Function, ...]) -> "Settings":
        """From the environment, the broker's address also from a file in $SECRETS_DIR; routes from the catalogue.

        Raises serving.environment.SettingsError, which names everything that is missing or wrong.
        """
        env = Environment(environ)
        triggered = [function for function in functions if function.events]
        topology = Topology(
            exchange=env.text("EVENTS_EXCHANGE", "events"),
            work={_queue(function, env): function.events for function in triggered},
            delays=_delays("BRIDGE_DELAYS", "1 2 4 8 16 32 60", env),
        )
        routes = (
            *(_route(function, _queue(function, env), topology.dead, env) for function in triggered),
            *(_route(function, topology.dead, topology.parked, env) for function in functions if function.dead_letter),
        )
        settings = cls(
            amqp_url=_broker_url("AMQP_URL", env),
            topology=topology,
            routes=routes,
            clockwork=tuple(
                Callee(function.name, addresses.url(function, env), function.timeout)
                for function in functions
                if function.schedule
            ),
            host=env.text("HOST", "0.0.0.0"),  # noqa: S104  a container is reached from outside
            port=env.number("PORT", 8080),
            retries=env.number("BRIDGE_RETRIES", 10),
            grace=env.number("BRIDGE_GRACE", max(int(route.timeout) for route in routes) + 10),
            log_level=env.choice("LOG_LEVEL", logs.LEVEL, logs.LEVELS),
        )
        env.complain("the bridge")
        return settings


def _route(function: Function, queue: str, dead_letter_queue: str, env: Environment) -> Route:
    return Route(
        function=function.name,
        url=addresses.url(function, env),
        queue=queue,
        dead_letter_queue=dead_letter_queue,
        timeout=function.timeout,
        parallelism=env.number(f"{function.target.upper()}_PARALLELISM", function.concurrency),
        last=function.dead_letter,
    )


def _queue(function: Function, env: Environment) -> str:
    # VIDEO_QUEUE and MP3_QUEUE are the original system's names; a function added since has a name made from its own.
    setting, name = {"convert": ("VIDEO_QUEUE", "video"), "notify": ("MP3_QUEUE", "mp3")}.get(
        function.name, (f"{function.target.upper()}_QUEUE", function.name)
    )
    return env.text(setting, name)


def _broker_url(name: str, env: Environment) -> str:
    url = env.secret(name)
    if not url:
        env.reject(f"{name} is not set (or the file {env.file(name)}): set it to something like {EXAMPLE_URL}")
    elif not _is_broker_url(url):
        env.reject(f"{name} must look like {EXAMPLE_URL}")  # not repeated, because it may hold a password
    return url


def _is_broker_url(url: str) -> bool:
    try:
        return urlsplit(url).scheme in ("amqp", "amqps") and urlsplit(url).port != 0
    except ValueError:
        return False


def _delays(name: str, default: str, env: Environment) -> tuple[float, ...]:
    """Seconds, in rising order."""
    text = env.text(name, default)
    try:
        delays = tuple(sorted(float(each) for each in text.split()))
    except ValueError:
        delays = ()
    if not delays or not all(0 < each < inf for each in delays):
        env.reject(f"{name} must be seconds such as {default!r}, not {text[:MAX_QUOTED]!r}")
    return delays
