"""Whom the parts run as: ourselves or, where we are root, `nobody`, who can change only what is given to it.

A checkout may lie below a directory that is closed to others, as root's home is on Debian. So `nobody` keeps one of
root's capabilities: to read and to pass what is closed. ffmpeg, which opens strangers' files, is started without it.
"""

import os
import pwd
import sys
from functools import cache
from pathlib import Path
from typing import IO, Any

_PASSES = {"dac_read_search": 2, "dac_override": 1}  # with their numbers; a container's root may have only the second


@cache
def options() -> tuple[str, ...]:
    """What setpriv(1) has to be told, which starts every part."""
    if os.geteuid() != 0:
        return ()
    account = _account()
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    held = int(status.partition("CapPrm:")[2].split()[0], 16)
    passing = [f"+{name}" for name, number in _PASSES.items() if held >> number & 1][:1]
    # Without that bit access(2) counts no capability of a real user other than root: initdb asks it for `postgres`.
    kept = [word for name in passing for word in ("--securebits", "+no_setuid_fixup", "--inh-caps", name)]
    kept += [word for name in passing for word in ("--ambient-caps", name)]
    return "--reuid", str(account.pw_uid), "--regid", str(account.pw_gid), "--clear-groups", "--no-new-privs", *kept


@cache
def bytecode() -> tuple[str, ...]:
    """What Python has to be told to keep what it compiles.

    `nobody` cannot write beside the sources, and every start would compile everything anew.
    """
    if os.geteuid() != 0:
        return ()
    folder = Path(sys.prefix, "bytecode")
    give(folder)
    return "-X", f"pycache_prefix={folder}"


def give(directory: Path) -> None:
    """Make a directory, if it is not there, in which the parts can write; and where it was root's, give all in it.

    Only where it was root's: whoever could write there could have put a link into the way of the giving.
    """
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    if os.geteuid() != 0 or (account := _account()).pw_uid == directory.stat().st_uid:
        return
    for path in (*directory.rglob("*"), directory):
        os.chown(path, account.pw_uid, account.pw_gid, follow_symlinks=False)


def keep(path: Path, text: str) -> None:
    """Write a file that the parts alone can read."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with open_private(path, "w") as file:
        hand_over(file)
        file.write(text)


def open_private(path: Path, mode: str) -> IO[str]:
    """Open a text of ours; it is closed to others, whatever the umask, and never lies elsewhere behind a link."""
    return open(path, mode, encoding="utf-8", opener=lambda name, flags: os.open(name, flags | os.O_NOFOLLOW, 0o600))


def hand_over(file: IO[Any]) -> None:
    """Let the parts open a file that we have opened: what they write to may be /dev/stdout, which opens it again."""
    if os.geteuid() == 0:
        os.fchown(file.fileno(), _account().pw_uid, _account().pw_gid)


@cache
def _account() -> pwd.struct_passwd:
    return pwd.getpwnam("nobody")
