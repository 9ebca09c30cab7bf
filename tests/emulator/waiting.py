"""What of a process one waits for."""

import psutil


def has_ended(process: psutil.Process) -> bool:
    """Tell whether a process runs no more, reaped or not."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
