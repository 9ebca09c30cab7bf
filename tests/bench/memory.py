"""Memory of upload, convert (without ffmpeg) and download while one huge video of an hour passes."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import psutil

from tests.bench import videos
from tests.bench.harness import Harness
from tests.bench.table import Row

LIMIT = 64  # MB
MB = 1e6


def rows(harness: Harness, directory: Path, megabytes: int) -> list[Row]:
    video = videos.huge(directory, megabytes)
    os.sync()  # or the store, which waits for the disk, would wait for this video too, longer than upload waits for it
    grown = {name: _watch(harness, name) for name in ("upload", "convert", "download")}
    job = harness.upload(video, as_form=True)
    video.unlink()
    harness.await_done(job)
    harness.download(harness.offer(job))
    what = f"memory above idle while {job.video_size / 1e9:.1f} GB pass"
    return [Row(f"{name}: {what}", [most()], "MB", at_most=LIMIT) for name, most in grown.items()]


def _watch(harness: Harness, name: str) -> Callable[[], float]:
    """Note what the function's processes hold now; the answer gives the most they held since, beyond that, in MB."""
    master = psutil.Process(harness.system.functions[name].processes[0].pid)
    processes = [master, *master.children()]  # gunicorn and its worker; ffmpeg would be the worker's
    idle = sum(_bytes(process, "VmRSS") for process in processes)
    for process in processes:
        Path(f"/proc/{process.pid}/clear_refs").write_text("5", encoding="utf-8")  # forgets the peak (proc(5))
    return lambda: (sum(_bytes(process, "VmHWM") for process in processes) - idle) / MB


def _bytes(process: psutil.Process, field: str) -> int:
    status = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
    found = re.search(rf"^{field}:\s+(\d+) kB$", status, re.MULTILINE)
    assert found, f"/proc does not tell {field}"
    return int(found[1]) * 1024
