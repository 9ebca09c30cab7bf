"""The gateway: nginx from the distribution, with the template that docker compose and Kubernetes use too."""

import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from string import Template

from emulator import privileges
from emulator.parts import Part, answers
from emulator.ports import LOOPBACK, LOOPBACK_6, has_ipv6, is_free
from emulator.processes import PartFailed, Process

TEMPLATE = Path(__file__).resolve().parents[2] / "gateway" / "nginx.conf.template"
_FORM_BYTES = 5_065_536  # how much upload lets a form have around its file: texts and a cover
# More than elsewhere, for everybody on this machine has the same address.
_LIMITS = {
    "LOGIN_RATE": "600r/m",
    "LOGIN_BURST": "100",
    "REGISTER_RATE": "600r/m",
    "REGISTER_BURST": "100",
    "CONNECTIONS_PER_ADDRESS": "256",
    "UPLOADS_PER_ADDRESS": "64",
}
# What the nginx image has around the template. All of nginx's files lie in the directory of the state. The template is
# put in here and not included, because nginx reads the path of an `include` as a pattern: below a directory whose name
# is [a] it would find nothing.
_MAIN = """\
daemon off;
worker_processes 1;
pid temporary/nginx.pid;
error_log stderr crit;
worker_rlimit_nofile 16384;
events { worker_connections 8192; }
http {
    client_body_temp_path temporary;
    proxy_temp_path temporary;
    fastcgi_temp_path temporary;
    uwsgi_temp_path temporary;
    scgi_temp_path temporary;
%s
}
"""


class Gateway(Part):
    """nginx on the two ports that people use. `addresses` maps the name of each HTTP function to its `host:port`."""

    def __init__(
        self, directory: Path, *, port: int, auth_port: int, addresses: Mapping[str, str], settings: Mapping[str, str]
    ) -> None:
        super().__init__("gateway", directory)
        self.port, self.auth_port = port, auth_port
        self._variables = {
            "GATEWAY_LISTEN": _everywhere_on(port),
            "AUTH_LISTEN": _everywhere_on(auth_port),
            "PUBLIC_URL": f"http://{LOOPBACK}:{port}",
            "MAX_BODY_BYTES": str(int(settings.get("MAX_UPLOAD_BYTES", 4 * 1024**3)) + _FORM_BYTES),
            **_LIMITS,
            **{f"{name.upper().replace('-', '_')}_ADDR": address for name, address in addresses.items()},
            **{name: settings[name] for name in ("PUBLIC_URL", *_LIMITS) if name in settings},
        }

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def auth_url(self) -> str:
        return f"http://{LOOPBACK}:{self.auth_port}"

    def start(self) -> None:
        """Start it. Raises PartFailed, also if another program has one of the ports."""
        nginx = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
        if nginx is None:
            raise PartFailed(self.name, "nginx is not installed", "python -m emulator.packages")
        privileges.make_writable_directory(self.directory / "temporary")
        privileges.write_private_file(self.directory / "nginx.conf", _MAIN % render(self._variables))
        for setting, port in (("GATEWAY_PORT", self.port), ("AUTH_PORT", self.auth_port)):
            _await_free(setting, port)
        argv = [nginx, "-p", str(self.directory), "-c", "nginx.conf", "-e", "stderr"]
        self.run(Process(self.name, argv, self.directory))

    def is_ready(self) -> bool:
        """Look once whether both ports take connections."""
        return answers(self.port) and answers(self.auth_port)


def render(variables: Mapping[str, str]) -> str:
    """The template with each `${NAME}` replaced and nginx's own `$name` left, as the nginx image does it.

    Raises KeyError for a name that `variables` has not.
    """
    return _Upper(TEMPLATE.read_text(encoding="utf-8")).substitute(variables)


class _Upper(Template):
    # A text is right here, for the base class compiles it; typeshed declares a compiled pattern.
    pattern = r"\$\{(?P<braced>[A-Z_]+)\}|(?P<escaped>(?!))|(?P<named>(?!))|(?P<invalid>(?!))"  # type: ignore[assignment]


def _everywhere_on(port: int) -> str:
    """The argument of nginx's directive `listen` and, if there is an IPv6 loopback, a second directive for that."""
    return f"{LOOPBACK}:{port}" + (f"; listen [{LOOPBACK_6}]:{port}" if has_ipv6() else "")


def _await_free(setting: str, port: int) -> None:
    """Wait 2 s for the port: the gateway of an emulator that was killed may still be closing it. Raises PartFailed."""
    deadline = time.monotonic() + 2
    while not is_free(port):
        if time.monotonic() > deadline:
            remedy = f"stop it (`ss -tlnp 'sport = :{port}'` names it), or take another: make run {setting}={port + 10}"
            raise PartFailed("gateway", f"another program has port {port}", remedy)
        time.sleep(0.05)
