"""A short soak, so that no change goes in that loses something under fire."""

from pathlib import Path

import pytest

from tests.soak.soak import Soak


@pytest.mark.timeout(600)
def test_nothing_is_lost_under_fire(tmp_path: Path) -> None:
    """A minute of faults; `make soak` is the long one."""
    soak = Soak(tmp_path, seed=1, clients=4)
    findings = soak.run(60, fewest=10)
    assert not findings.wrong, soak.table(findings)
