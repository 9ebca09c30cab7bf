"""How many cores a conversion has, by control groups written down as the kernel writes them."""

from pathlib import Path

import pytest

from functions.convert.cores import Cores
from functions.model.errors import Throttled
from functions.runtime.cores import available


def machine(root: Path, **files: str) -> Path:
    """A file system with those files; the names have __ for slashes, and _dot_ for dots."""
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="ascii")
    return root


@pytest.fixture(autouse=True)
def eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _pid: set(range(8)))


def test_without_a_limit_there_are_those_of_the_machine(tmp_path: Path) -> None:
    """No control group, one without a limit, and one that says nothing of the CPU."""
    assert available(tmp_path) == 8
    own = "0::/\n"
    assert available(machine(tmp_path, proc__self__cgroup=own, sys__fs__cgroup__cpu_dot_max="max 100000\n")) == 8


@pytest.mark.parametrize(("quota", "cores"), [("200000", 2), ("350000", 3), ("50000", 1), ("1600000", 8)])
def test_a_container_s_limit(tmp_path: Path, quota: str, cores: int) -> None:
    """Whole cores of it; at least one, and no more than there are."""
    limit = f"{quota} 100000\n"
    assert available(machine(tmp_path, proc__self__cgroup="0::/\n", sys__fs__cgroup__cpu_dot_max=limit)) == cores


def test_the_smallest_limit_above_it_holds(tmp_path: Path) -> None:
    """A service of systemd lies in a slice, which may be limited too."""
    root = machine(
        tmp_path,
        proc__self__cgroup="0::/user.slice/app\n",
        sys__fs__cgroup__user_dot_slice__cpu_dot_max="200000 100000\n",
        sys__fs__cgroup__user_dot_slice__app__cpu_dot_max="400000 100000\n",
    )
    assert available(root) == 2


def test_the_first_version_of_control_groups(tmp_path: Path) -> None:
    """Docker shows the path that the host knows, and mounts only what is below."""
    root = machine(
        tmp_path,
        proc__self__cgroup="4:cpu,cpuacct:/docker/0123\n3:memory:/docker/0123\n",
        sys__fs__cgroup__cpu__cpu_dot_cfs_quota_us="300000\n",
        sys__fs__cgroup__cpu__cpu_dot_cfs_period_us="100000\n",
    )
    assert available(root) == 3
    assert available(machine(root, sys__fs__cgroup__cpu__cpu_dot_cfs_quota_us="-1\n")) == 8


def test_conversions_share_them() -> None:
    """By how many run at the moment; one of more than there are cores has one."""
    cores = Cores(4, 5)
    with cores.conversion():
        assert cores.share == 4
        with cores.conversion():
            assert cores.share == 2
            with cores.conversion(), cores.conversion(), cores.conversion():
                assert cores.share == 1
                with pytest.raises(Throttled), cores.conversion():
                    pass
        assert cores.share == 4


def test_a_setting_goes_before_what_the_container_has() -> None:
    """CONVERT_CORES=1 leaves conversions in one piece."""
    assert Cores(1).share == 1
    assert Cores(0).share == available()
