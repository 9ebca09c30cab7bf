"""How a function is served: one worker process, plain HTTP/1.1 on $PORT, drained on SIGTERM.

`gunicorn -c functions/runtime/gunicorn.conf.py "functions_framework:create_app()"`; FUNCTION_TARGET names the function.
gunicorn is started directly because the framework's own command lets none of these settings through. This file is an
entry point, so it reads the environment. Where a setting is missing or wrong it ends the start with one line that names
all of them, before a worker is forked.
"""

import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from types import FrameType
from typing import Any

from functions.runtime import settings, shutdown
from serving import logs
from serving.environment import SettingsError

target = os.environ.get("FUNCTION_TARGET", "")
FUNCTIONS = Path(__file__).parents[1]
source = FUNCTIONS / target / "main.py"
if not target or not source.is_file():
    names = ", ".join(sorted(path.parent.name for path in FUNCTIONS.glob("*/main.py")))
    sys.exit(f"FUNCTION_TARGET is {target!r}; set it to one of {names}")
os.environ["FUNCTION_SOURCE"] = str(source)
try:
    hosting = settings.hosting(target)
except SettingsError as error:
    sys.exit(str(error))

bind = f"{hosting.host}:{hosting.port}"
worker_class = "serving.worker.Worker"  # gthread
workers = 1  # platforms scale by instances; a second process would only double the memory
threads = hosting.concurrency + 2  # two for health checks, which must not wait behind the work
keepalive = 75  # longer than nginx keeps an idle upstream connection (60 s): the side that sends requests closes first
timeout = 0  # a long upload or conversion is no hang: each function has deadlines of its own
graceful_timeout = hosting.grace_seconds
limit_request_line = 4094
limit_request_fields = 64
worker_tmp_dir = "/dev/shm"  # noqa: S108 -- gunicorn's heartbeat file: on a disk it can stall the worker
control_socket_disable = True
logconfig_dict = logs.configuration(hosting.log_level)


def post_worker_init(_worker: object) -> None:
    """On SIGTERM gunicorn drains as ever, and long work learns how much time it has left (shutdown.py)."""
    drain = signal.getsignal(signal.SIGTERM)

    def terminate(signum: int, frame: FrameType | None) -> None:
        shutdown.begin(graceful_timeout)
        if callable(drain):
            drain(signum, frame)

    signal.signal(signal.SIGTERM, terminate)


def child_exit(_server: object, worker: Any) -> None:
    """Removes the video that a killed worker (out of memory) has left behind: its successor has the same disk."""
    for left in Path(tempfile.gettempdir()).glob(f"convert-{worker.pid}-*"):
        shutil.rmtree(left, ignore_errors=True)
