"""A condition of a process to wait for (tests/waiting.py)."""

import psutil


def has_ended(process: psutil.Process) -> bool:
    """Whether it runs no more; it need not have been reaped."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
