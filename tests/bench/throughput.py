"""Small jobs: how many a second, and the CPU that each takes, by process."""

import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

from emulator.parts import Part
from tests import videos
from tests.bench import cpu, latency
from tests.bench.harness import Harness
from tests.bench.table import Row, in_turn, timed

CLIENTS = 4
LEAST = 0.001  # seconds of CPU for each job; processes that use less have no row


def rows(harness: Harness, directory: Path, count: int, rounds: int) -> Iterator[Row]:
    """From the first upload to the end of the last conversion; the emails are not waited for."""
    video = videos.plain(directory)
    plain = latency.plainly(video, directory)
    parts = {part.name: part for part in (*harness.system.parts, *harness.stores) if part.processes}
    costs = list[Mapping[str, float]]()

    def convert() -> None:
        before = {name: cpu.spent(part.processes) for name, part in parts.items()}
        with ThreadPoolExecutor(CLIENTS) as clients:
            jobs = list(clients.map(lambda _: harness.upload(video), range(count)))
        for job in jobs:
            harness.await_done(job)
        costs.append(_by_process(parts, before, count))

    def run() -> None:
        with ThreadPoolExecutor(os.cpu_count()) as runs:
            list(runs.map(lambda _: plain(), range(count)))

    times = in_turn(rounds, timed(run), timed(convert))
    yield Row("small jobs", [count / ours for _, ours in times], "/s")
    yield Row("small jobs: rate against ffmpeg alone, one on each core", [theirs / ours for theirs, ours in times])
    del costs[0]  # of the round that is not counted
    totals = [1000 * (sum(cost.values()) - cost["ffmpeg"]) for cost in costs]
    yield Row("CPU of a small job, all but ffmpeg", totals, "ms")
    typical = {name: median(cost[name] for cost in costs) for name in costs[0]}
    for name in sorted(typical, key=typical.__getitem__, reverse=True):
        if typical[name] >= LEAST:
            yield Row(f"CPU of a small job: {name}", [1000 * cost[name] for cost in costs], "ms")


def _by_process(parts: Mapping[str, Part], before: Mapping[str, cpu.Spent], count: int) -> dict[str, float]:
    """Seconds of CPU for each job. What ended below convert is ffmpeg, with the launcher that jails it."""
    used = {name: cpu.spent(part.processes).since(before[name]) for name, part in parts.items()}
    each = {name: (one.running + one.ended) / count for name, one in used.items()}
    return each | {"convert": used["convert"].running / count, "ffmpeg": used["convert"].ended / count}
