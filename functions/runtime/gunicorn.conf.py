"""How a function is served: one worker process, plain HTTP/1.1 on $PORT, drained on SIGTERM.

`gunicorn -c functions/runtime/gunicorn.conf.py "functions_framework:create_app()"`; FUNCTION_TARGET names the function.
The framework's own command passes none of these settings on. An entry point: it reads the environment.
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

target = os.environ.get("FUNCTION_TARGET", "")
FUNCTIONS = Path(__file__).parents[1]
source = FUNCTIONS / target / "main.py"
if not target or not source.is_file():
    names = ", ".join(sorted(path.parent.name for path in FUNCTIONS.glob("*/main.py")))
    sys.exit(f"FUNCTION_TARGET is {target!r}; set it to one of {names}")
os.environ["FUNCTION_SOURCE"] = str(source)

bind = f"{os.environ.get('HOST', '0.0.0.0')}:{os.environ.get('PORT', '8080')}"  # noqa: S104 -- a container's port is reached from outside
worker_class = "serving.worker.Worker"  # gthread
workers = 1  # platforms scale by instances; a second process would only double the memory
threads = int(os.environ.get("CONCURRENCY", "8")) + 2  # two for health checks, which must not wait behind the work
keepalive = 75  # longer than nginx keeps an idle upstream connection (60 s): the side that sends closes first
timeout = 0  # a long upload or conversion is no hang; each function has its own deadlines
graceful_timeout = int(os.environ.get("GRACE_SECONDS", "620"))  # the longest time limit of any function, and a little
limit_request_line = 4094
limit_request_fields = 64
worker_tmp_dir = "/dev/shm"  # noqa: S108 -- gunicorn's heartbeat file: on a disk it can stall the worker
control_socket_disable = True
logconfig_dict = logs.configuration(os.environ.get("LOG_LEVEL") or logs.LEVEL)


def on_starting(_server: object) -> None:
    """Says what is missing before anything is forked, in one line instead of a trace."""
    try:
        settings.load(target)
    except settings.SettingsError as error:
        sys.exit(str(error))


def post_worker_init(_worker: object) -> None:
    """SIGTERM drains as gunicorn does it, and tells long work how long it has (functions/runtime/shutdown.py)."""
    drain = signal.getsignal(signal.SIGTERM)

    def terminate(signum: int, frame: FrameType | None) -> None:
        shutdown.begin(graceful_timeout)
        if callable(drain):
            drain(signum, frame)

    signal.signal(signal.SIGTERM, terminate)


def child_exit(_server: object, worker: Any) -> None:
    """A worker that was killed (out of memory) leaves its video behind, and its successor has the same disk."""
    for left in Path(tempfile.gettempdir()).glob(f"convert-{worker.pid}-*"):
        shutil.rmtree(left, ignore_errors=True)
