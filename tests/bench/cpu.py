"""CPU time of processes, as the kernel counts it: in steps of 10 ms, so it takes many jobs to tell that of one."""

from collections.abc import Iterable
from dataclasses import dataclass

import psutil

from emulator.processes import Process


@dataclass(frozen=True)
class Spent:
    """Seconds that processes and their descendants have used, those that run and those that have ended by now."""

    running: float
    ended: float

    def since(self, before: "Spent") -> "Spent":
        return Spent(self.running - before.running, self.ended - before.ended)


def spent(processes: Iterable[Process]) -> Spent:
    roots = [psutil.Process(process.pid) for process in processes]
    times = [each.cpu_times() for root in roots for each in (root, *root.children(recursive=True))]
    return Spent(
        sum(each.user + each.system for each in times), sum(each.children_user + each.children_system for each in times)
    )
