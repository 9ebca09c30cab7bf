"""`python -m functions.convert.jobsink` converts one video in a Kubernetes Job that Knative's JobSink has started.

That is for videos that need longer than a platform gives a request. JobSink mounts the event as a file, and nobody
reads a Job's reply, so the result is posted to $K_SINK. An entry point: it reads the environment.
"""

import logging.config
import os
import sys
from pathlib import Path

from events import envelope
from events.contract import InvalidEvent
from events.sink import SinkUnavailable
from functions.convert import conversion
from functions.convert.cores import Cores
from functions.convert.disk import Disk
from functions.convert.sandbox import support
from functions.model.errors import Unavailable
from functions.runtime import announcement, wiring
from serving import logs
from serving.environment import SettingsError

EVENT_PATH = "/etc/jobsink-event"  # where JobSink mounts the event unless $K_EVENT_PATH says otherwise


def main() -> int:
    """Returns the exit status: 0 done or nothing to do, 1 trouble that may pass (the Job retries), 2 any other."""
    logging.config.dictConfig(logs.configuration(os.environ.get("LOG_LEVEL") or logs.LEVEL))
    log = logging.getLogger("functions")
    path = Path(os.environ.get("K_EVENT_PATH", EVENT_PATH), "event")
    try:
        services = wiring.Services("convert_jobsink")
        support.close(services.settings.require_jail)
        job_id = envelope.from_http({"content-type": envelope.STRUCTURED}, path.read_bytes()).job
        disk, cores = Disk(services.settings.convert_disk_bytes), Cores(services.settings.convert_cores)
        job = conversion.convert(services, disk, cores, job_id)
        log.info("jobsink", extra=logs.fields(job=job_id, state=job.state if job else None))
        if job is not None:
            services.sink.send(announcement.result(job, services.source))
    except (InvalidEvent, SettingsError, FileNotFoundError, support.Incomplete) as error:
        log.error("jobsink: %s", error)  # noqa: TRY400 -- an operator needs the message, not a trace
        return 2
    except (Unavailable, SinkUnavailable) as error:
        log.error("jobsink: %s", error)  # noqa: TRY400 -- as above
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
