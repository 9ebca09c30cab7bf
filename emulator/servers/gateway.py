"""The gateway: nginx from the distribution, with the one template that docker compose and Kubernetes use too."""

import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from string import Template

from emulator import privileges
from emulator.ports import LOOPBACK, LOOPBACK_6, has_ipv6, is_free
from emulator.processes import Part, PartFailed, Process, answers

TEMPLATE = Path(__file__).resolve().parents[2] / "gateway" / "nginx.conf.template"
_FORM_BYTES = 65536  # what upload lets a form hold around its file
# What the nginx image has around its conf.d. Nothing of nginx lies outside the directory of the state, and nothing is
# included: nginx reads the path of that as a pattern, and would find nothing below a directory called [a].
_MAIN = """\
daemon off;
worker_processes 1;
pid temporary/nginx.pid;
error_log stderr crit;
events { worker_connections 1024; }
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
    """nginx on the two ports that people use; `addresses` are where the HTTP functions answer, by name."""

    def __init__(
        self, directory: Path, *, port: int, auth_port: int, addresses: Mapping[str, str], settings: Mapping[str, str]
    ) -> None:
        super().__init__("gateway", directory)
        self.port, self.auth_port = port, auth_port
        self._variables = {
            "GATEWAY_LISTEN": _everywhere_on(port),
            "AUTH_LISTEN": _everywhere_on(auth_port),
            "MAX_BODY_BYTES": str(int(settings.get("MAX_UPLOAD_BYTES", 4 * 1024**3)) + _FORM_BYTES),
            # Everybody at this machine shares one address.
            "LOGIN_RATE": "600r/m",
            "LOGIN_BURST": "100",
            **{f"{name.upper().replace('-', '_')}_ADDR": address for name, address in addresses.items()},
            **{name: settings[name] for name in ("LOGIN_RATE", "LOGIN_BURST") if name in settings},
        }

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def auth_url(self) -> str:
        return f"http://{LOOPBACK}:{self.auth_port}"

    def start(self) -> None:
        """Start it. Raises PartFailed, also where another program has one of the ports."""
        nginx = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
        if nginx is None:
            raise PartFailed(self.name, "nginx is not installed", "python -m emulator.packages")
        privileges.give(self.directory / "temporary")
        privileges.keep(self.directory / "nginx.conf", _MAIN % render(self._variables))
        for setting, port in (("GATEWAY_PORT", self.port), ("AUTH_PORT", self.auth_port)):
            _await_free(setting, port)
        argv = [nginx, "-p", str(self.directory), "-c", "nginx.conf", "-e", "stderr"]
        self.run(Process(self.name, argv, self.directory))

    def is_ready(self) -> bool:
        """Look once whether both ports take connections."""
        return answers(self.port) and answers(self.auth_port)


def render(variables: Mapping[str, str]) -> str:
    """The template with `${NAME}` replaced and nginx' own `$name` left, as the nginx image does it. Raises KeyError."""
    return _Upper(TEMPLATE.read_text(encoding="utf-8")).substitute(variables)


class _Upper(Template):
    # The base class turns the text into a pattern, which typeshed declares it to be from the start.
    pattern = r"\$\{(?P<braced>[A-Z_]+)\}|(?P<escaped>(?!))|(?P<named>(?!))|(?P<invalid>(?!))"  # type: ignore[assignment]


def _everywhere_on(port: int) -> str:
    """The address of nginx' directive `listen`, and where there are two loopbacks a second directive."""
    return f"{LOOPBACK}:{port}" + (f"; listen [{LOOPBACK_6}]:{port}" if has_ipv6() else "")


def _await_free(setting: str, port: int) -> None:
    """A gateway whose emulator was killed lets go within moments; nobody else is waited for any longer."""
    deadline = time.monotonic() + 2
    while not is_free(port):
        if time.monotonic() > deadline:
            remedy = f"stop it (`ss -tlnp 'sport = :{port}'` names it), or take another: make run {setting}={port + 10}"
            raise PartFailed("gateway", f"another program has port {port}", remedy)
        time.sleep(0.05)
