"""Which systems there are to try, and a bare one of each, made once by debootstrap and kept as an archive."""

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.fresh import machine


@dataclass(frozen=True)
class System:
    """A release of a distribution."""

    codename: str
    name: str
    distribution: str
    components: str = "main"
    script: str | None = None  # debootstrap's, where it knows none of the release's own
    browser: str = "chromium chromium-driver"  # the packages; Ubuntu has them as snaps only


SYSTEMS = {
    system.codename: system
    for system in (
        System("bookworm", "Debian 12", "debian"),
        System("trixie", "Debian 13", "debian"),
        System("noble", "Ubuntu 24.04", "ubuntu", "main,universe", "gutsy", browser=""),
    )
}


@dataclass(frozen=True)
class Archive:
    """A bare system, and the packages that were fetched for it."""

    root: Path
    packages: Path


def bare(system: System, cache: Path, mirror: str | None = None) -> Archive:
    """Give the archive of a bare system, made at the first call. Raises machine.Unreachable."""
    archive = Archive(cache / f"{system.codename}.tar", cache / f"{system.codename}.packages")
    archive.packages.mkdir(parents=True, exist_ok=True)
    if not archive.root.exists():
        sources = machine.sources(system.distribution, system.codename, system.components, mirror)
        with tempfile.TemporaryDirectory(prefix="fresh-", dir=cache) as directory:
            root, unfinished = Path(directory, "root"), Path(directory, "unfinished.tar")
            _make(system, sources, root)
            _run(["tar", "-C", str(root), "--numeric-owner", "-cf", str(unfinished), "."])
            unfinished.rename(archive.root)
    return archive


def _make(system: System, sources: Sequence[machine.Source], root: Path) -> None:
    # What this machine trusts for its own distribution; without a keyring, debootstrap says so and goes on.
    keyring = Path(f"/usr/share/keyrings/{system.distribution}-archive-keyring.gpg")
    script = [f"/usr/share/debootstrap/scripts/{system.script}"] if system.script else []
    _run(
        [
            *("debootstrap", "--variant=minbase", f"--components={system.components}"),
            *([f"--keyring={keyring}"] if keyring.exists() else []),
            *(system.codename, str(root), sources[0].uri, *script),
        ]
    )
    (root / "etc/apt/sources.list").write_text("".join(f"{source}\n" for source in sources), encoding="utf-8")
    shutil.rmtree(root / "var/cache/apt/archives")
    (root / "var/cache/apt/archives").mkdir()


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", check=False)
    if done.returncode != 0:
        raise machine.Unreachable(f"{' '.join(command)}\n{done.stdout[-2000:]}")
