"""How many cores this process may use.

The operating system counts those of the machine; how many a container may use is said by its control group: version 2
(the kernel's cgroup-v2.rst, cpu.max) or version 1 (sched-bwc.rst, cpu.cfs_quota_us).
"""

import os
from collections.abc import Iterator
from pathlib import Path


def available(root: Path = Path("/")) -> int:
    """Whole cores that this process may use at once; at least one. `root` is where /proc and /sys are."""
    return max(1, int(min(len(os.sched_getaffinity(0)), *_quotas(root))))


def _quotas(root: Path) -> Iterator[float]:
    """Cores that this process's control group may use, and each above it: all limits hold."""
    yield float("inf")
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if "cpu" not in controllers.split(",") and controllers:
            continue
        top = root / "sys/fs/cgroup" / ("cpu" if controllers else "")
        group = top / path.lstrip("/")
        # Within a container the path may be the host's, of which only the top is to be seen.
        for folder in {top, *(each for each in (group, *group.parents) if each.is_relative_to(top))}:
            quota, period = (
                (_read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us"))
                if controllers
                else (_read(folder / "cpu.max").split() or ["", ""])
            )
            if quota.strip().isdigit():  # "max" and -1 are no limit
                yield int(quota) / int(period)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except OSError:
        return ""
