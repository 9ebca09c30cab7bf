"""The harness itself, without a root: what is chosen, what a root is lent, and what is told."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.fresh import machine
from tests.fresh.__main__ import main
from tests.fresh.systems import SYSTEMS
from tests.fresh.table import table
from tests.fresh.trial import Row, Trial

ROOT = Path(__file__).parents[2]
AS_NOBODY = "import os, sys, tests.fresh.__main__ as fresh; os.geteuid() or os.seteuid(65534); sys.exit(fresh.main([]))"
OWN = machine.release()


def test_a_system_that_there_is_not_is_refused_with_those_that_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    """A misspelt name must not end as a run of nothing."""
    with pytest.raises(SystemExit, match="2"):
        main(["--systems", "bookworm,bookwurm"])
    assert "there is no bookwurm; there are bookworm, trixie" in capsys.readouterr().err


def test_without_root_it_says_that_it_needs_root_and_exits_with_2() -> None:
    """Nothing is begun that cannot be ended."""
    # Imported first: nobody may read nothing below the checkout.
    command = [sys.executable, "-c", AS_NOBODY]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", check=False)
    assert (ran.returncode, ran.stdout[:16]) == (2, "This needs root:")


def test_another_release_of_this_machines_distribution_comes_from_this_machines_mirrors() -> None:
    """No address stands in the repository, and none is guessed."""
    own = machine.sources(OWN["ID"], OWN["VERSION_CODENAME"], "main")
    other = machine.sources(OWN["ID"], "newest", "main,more")
    assert own[0].suite == OWN["VERSION_CODENAME"]
    assert [source.uri for source in other] == [source.uri for source in own]
    assert str(other[0]) == f"deb {own[0].uri} newest main more"


def test_another_distribution_needs_a_mirror() -> None:
    """Where its packages come from cannot be known here."""
    with pytest.raises(machine.Unreachable, match="MIRROR="):
        machine.sources("another", "newest", "main")
    suites = [source.suite for source in machine.sources("another", "newest", "main", "http://mirror.example")]
    assert suites == ["newest", "newest-updates"]


def test_a_root_is_lent_certificates_and_proxies_and_nothing_else(tmp_path: Path) -> None:
    """A machine behind a proxy of its own reaches its registries by them; its packages and secrets stay its own."""
    (tmp_path / "etc/apt/apt.conf.d").mkdir(parents=True)
    bundle = tmp_path / "bundle.crt"
    bundle.write_text("# ours\n-----BEGIN CERTIFICATE-----\n", encoding="utf-8")
    environ = {
        "SSL_CERT_FILE": str(bundle),
        "https_proxy": "http://proxy.example",
        "PIP_INDEX_URL": "http://index.example",
        "PIP_FIND_LINKS": "/opt/wheels",
        "PASSWORD": "secret",
        "HOME": str(tmp_path),
    }
    lent = machine.lend(tmp_path, environ)
    assert set(lent) == {"SSL_CERT_FILE", "https_proxy", "PIP_INDEX_URL"}
    assert Path(tmp_path, lent["SSL_CERT_FILE"][1:]).read_bytes() == bundle.read_bytes()
    assert lent["SSL_CERT_FILE"] in (tmp_path / "etc/apt/apt.conf.d/of-the-host").read_text(encoding="utf-8")


def test_the_table_says_how_far_each_trial_came() -> None:
    """What was not reached is a dash, and what failed has its name."""
    trial = Trial(SYSTEMS["bookworm"], "user", "oldest")
    rows = [
        Row(trial, "3.11.2", "23.0.1", "7 passed", "", {"set-up": 10.6, "to the MP3": 21.0}),
        Row(trial, failed="set-up", seconds={"packages": 4.2}),
    ]
    _, _, done, failed = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table(rows).splitlines()]
    assert done == ["Debian 12", "user", "3.11.2", "23.0.1", "–", "–", "11 s", "21 s", "–", "7 passed", "ok"]
    assert failed == ["Debian 12", "user", "", "oldest", "4 s", "–", "–", "–", "–", "–", "set-up failed"]
