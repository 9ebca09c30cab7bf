"""Every address that there is: those of docs/api.md, those of the platform, and where events arrive."""

from dataclasses import dataclass

from functions.model import options


@dataclass(frozen=True)
class Route:
    """An address as the gateway has it; those that the gateway does not know begin at the function's own root."""

    function: str
    method: str
    path: str  # with {id} where an id stands
    query: tuple[str, ...] = ()
    body: str = ""  # what kind: json of some members, form, event; none
    members: tuple[str, ...] = ()
    inside: bool = False  # not for the gateway
    weight: float = 1.0

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}" if not self.inside else f"{self.method} {self.function}:{self.path}"


# What hashes a password takes a third of a second of a core, so it comes seldom.
OUTSIDE = (
    Route("register", "POST", "/register", body="json", members=("name", "username", "password", "email"), weight=0.4),
    Route("login", "POST", "/login", weight=0.7),
    Route("validate", "GET", "/validate"),
    Route("validate", "POST", "/validate", weight=0.5),
    Route("account", "GET", "/account", weight=0.5),
    Route("account", "PATCH", "/account", body="json", members=("email",)),
    Route("upload", "POST", "/upload", ("filename", *options.NAMES), "form", weight=3),
    Route("jobs", "GET", "/jobs", ("limit", "cursor"), weight=1.5),
    Route("jobs", "POST", "/jobs", body="json", members=("source", *options.NAMES), weight=1.5),
    Route("jobs", "GET", "/jobs/{id}", weight=1.5),
    Route("jobs", "POST", "/jobs/{id}/cancel"),
    Route("jobs", "POST", "/jobs/{id}/retry"),
    Route("jobs", "GET", "/jobs/{id}/waveform"),
    Route("jobs", "DELETE", "/jobs/{id}"),
    Route("download", "GET", "/download", ("fid", "part", "token"), weight=2.5),
    Route("ui", "GET", "/", weight=0.3),
    Route("ui", "GET", "/page.css", weight=0.2),
    Route("ui", "GET", "/page.js", weight=0.2),
    Route("ui", "GET", "/icon.svg", weight=0.2),
)
EVENTS = tuple(
    Route(name, "POST", "/", body="event", inside=True, weight=weight)
    for name, weight in (("convert", 0.8), ("notify", 0.8), ("dead-letter", 0.8), ("bridge", 0.8))
)
INSIDE = (
    *EVENTS,
    Route("sweep", "POST", "/", ("lost",), inside=True, weight=0.1),
    *(
        Route(function, "GET", f"/_/{what}", inside=True, weight=0.05)
        for function in ("jobs", "convert", "sweep", "ui", "bridge")
        for what in ("health", "ready", "metrics")
    ),
    Route("upload", "GET", "/_/stores", inside=True, weight=0.1),
)
ALL = (*OUTSIDE, *INSIDE)
