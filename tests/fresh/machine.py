"""What this machine uses to reach its package registries. A fresh root needs the same, and gets nothing else."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

_ADDRESSES = ("resolv.conf", "hosts")
_INHERITED = re.compile(r"(?i)(http|https|all|no)_proxy|(PIP|UV)_(\w*INDEX\w*|TRUSTED_HOST|\w*TIMEOUT)")
_APT = re.compile(r"Acquire::(https?|Check-|Retries)\S* \"")
_CERTIFICATES = "etc/ssl/of-the-host"


class Unreachable(Exception):
    """A system cannot be made here."""


@dataclass(frozen=True)
class Source:
    """A line of apt's sources.list."""

    uri: str
    suite: str
    components: str

    def __str__(self) -> str:
        return f"deb {self.uri} {self.suite} {self.components}"


def sources(distribution: str, codename: str, components: str, mirror: str | None = None) -> list[Source]:
    """Give where the packages of a release come from, the release itself first. Raises Unreachable.

    Where this machine's own come from, if it runs the same distribution; else from `mirror`.
    """
    components = components.replace(",", " ")
    if mirror:
        return [Source(mirror, f"{codename}{pocket}", components) for pocket in ("", "-updates")]
    own = release()
    if own["ID"] != distribution:
        raise Unreachable(f"this machine's packages are not {distribution}'s: name a mirror of it, MIRROR=http://…")
    found = {
        Source(uri, codename + suite.removeprefix(own["VERSION_CODENAME"]), components)
        for uri, suite in _targets()
        if re.split("[-/]", suite)[0] == own["VERSION_CODENAME"]
    }
    return sorted(found, key=lambda source: (source.suite, source.uri))


def lend(root: Path, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Copy into a root what it needs to reach the registries; give the variables that name it."""
    for name in _ADDRESSES:
        shutil.copy(Path("/etc", name), root / "etc" / name)
    lent = {name: value for name, value in environ.items() if _INHERITED.fullmatch(name)}
    lent |= {name: _copy(Path(value), root) for name, value in environ.items() if _holds_certificates(value)}
    settings = [f"{line}\n" for line in _output("apt-config", "dump").splitlines() if _APT.match(line)]
    if bundle := lent.get("SSL_CERT_FILE"):
        settings.append(f'Acquire::https::CAInfo "{bundle}";\n')
    (root / "etc/apt/apt.conf.d/of-the-host").write_text("".join(settings), encoding="utf-8")
    return lent


def _copy(certificates: Path, root: Path) -> str:
    # Under a path of our own: a package that brings certificates would write over its usual place.
    copied = Path("/", _CERTIFICATES, *certificates.parts[1:])
    inside = root / copied.relative_to("/")
    inside.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(certificates, inside)
    return str(copied)


def _holds_certificates(value: str) -> bool:
    path = Path(value)
    if not (value.startswith("/") and path.is_file()):
        return False
    with path.open("rb") as file:
        return b"-----BEGIN CERTIFICATE-----" in file.read(100_000)


def release() -> dict[str, str]:
    """Give what this machine says it is (os-release(5))."""
    lines = Path("/etc/os-release").read_text(encoding="utf-8").splitlines()
    return {name: value.strip('"') for name, _, value in (line.partition("=") for line in lines)}


def _targets() -> Iterator[tuple[str, str]]:
    """Where this machine's own packages come from: addresses and suites."""
    for line in _output("apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE)").splitlines():
        uri, _, suite = line.partition(" ")
        yield uri, suite


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, encoding="utf-8", check=True).stdout
