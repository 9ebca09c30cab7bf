"""The directory in which a system keeps its state: it belongs to one user, and one system at a time runs on it."""

import fcntl
import os
import secrets
from pathlib import Path
from typing import IO

from emulator import privileges
from emulator.processes import PartFailed


class StateInUse(PartFailed):
    """Another system is running on that directory."""


def lock(directory: Path) -> IO[str]:
    """Make the directory if need be, and keep other systems off it until what is returned is closed.

    Raises StateInUse, and PartFailed for a directory that cannot be written to or is another user's.
    """
    remedy = "start it as its owner, or keep the state elsewhere: make run STATE=/path/to/a/directory"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        directory.chmod(0o700)  # it holds videos, emails and secrets
        file = privileges.open_private_file(directory / "lock", "a+")
    except OSError as error:
        raise PartFailed("system", f"no state can be kept in {directory}: {error.strerror}", remedy) from error
    # Root could go on, but would leave files there that the owner can neither read nor remove.
    if os.fstat(file.fileno()).st_uid != os.geteuid():
        raise PartFailed("system", f"the state in {directory} belongs to another user", remedy)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        remedy = "use that one, or stop it (Ctrl-C in its terminal)"
        raise StateInUse("system", f"another one is running on {directory}", remedy) from None
    return file


def secret(directory: Path, name: str) -> str:
    """The secret of that name (`JWT_SECRET`) that this state has: made at the first call, 64 hexadecimal digits."""
    path = directory / "secrets" / name.lower().replace("_", "-")
    if not path.exists():
        privileges.write_private_file(path, secrets.token_hex(32))
    return path.read_text(encoding="ascii")
