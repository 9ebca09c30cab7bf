"""Which account the parts of the system run as, and which files they may read and write.

They run as ourselves or, where we are root, as `nobody`, who can change only what is made writable here.

A checkout may lie below a directory that is closed to others, as root's home is on Debian. So `nobody` keeps one of
root's capabilities, which lets it read files and pass through directories that are closed. ffmpeg, which opens
strangers' files, is started without it (functions/convert/transcode.py).
"""

import os
import pwd
import sys
from functools import cache
from pathlib import Path
from typing import IO, Any

# By name and by the number of the bit in /proc/<pid>/status (capabilities(7)). The first that we have is kept: a
# container's root may have only the second.
_READS_EVERYTHING = {"dac_read_search": 2, "dac_override": 1}


@cache
def setpriv_options() -> tuple[str, ...]:
    """The options of setpriv(1), which starts every part, that change the account; none where we are not root."""
    if os.geteuid() != 0:
        return ()
    account = _account()
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    held = int(status.partition("CapPrm:")[2].split()[0], 16)
    kept = [name for name, number in _READS_EVERYTHING.items() if held >> number & 1][:1]
    # Without no_setuid_fixup access(2) counts no capability of a real user other than root, and initdb asks access(2)
    # whether it can run `postgres`.
    options = [word for name in kept for word in ("--securebits", "+no_setuid_fixup", "--inh-caps", f"+{name}")]
    options += [word for name in kept for word in ("--ambient-caps", f"+{name}")]
    return "--reuid", str(account.pw_uid), "--regid", str(account.pw_gid), "--clear-groups", "--no-new-privs", *options


@cache
def bytecode_options() -> tuple[str, ...]:
    """The options of Python with which it can keep the bytecode that it compiles; none where we are not root.

    `nobody` cannot write beside the sources, so without them every start would compile everything again.
    """
    if os.geteuid() != 0:
        return ()
    folder = Path(sys.prefix, "bytecode")
    make_writable_directory(folder)
    return "-X", f"pycache_prefix={folder}"


def make_writable_directory(directory: Path) -> None:
    """Make a directory in which the parts can write. One that is there and is root's becomes theirs with all in it.

    Nothing is changed in a directory that is theirs already: a part that was taken over could have put a link there, to
    be given the file that the link points at.
    """
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    if os.geteuid() != 0 or (account := _account()).pw_uid == directory.stat().st_uid:
        return
    for path in (*directory.rglob("*"), directory):
        os.chown(path, account.pw_uid, account.pw_gid, follow_symlinks=False)


def write_private_file(path: Path, text: str) -> None:
    """Write a file that nobody but the parts can read, such as a password."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with open_private_file(path, "w") as file:
        give_to_parts(file)
        file.write(text)


def open_private_file(path: Path, mode: str) -> IO[str]:
    """Open a text file that is closed to others, whatever the umask. Raises OSError if the path is a symbolic link."""
    return open(path, mode, encoding="utf-8", opener=lambda name, flags: os.open(name, flags | os.O_NOFOLLOW, 0o600))


def give_to_parts(file: IO[Any]) -> None:
    """Make the parts the owner of an open file.

    They need it even for a file that they inherit open: one that logs to /dev/stdout opens the file behind it again.
    """
    if os.geteuid() == 0:
        os.fchown(file.fileno(), _account().pw_uid, _account().pw_gid)


@cache
def _account() -> pwd.struct_passwd:
    return pwd.getpwnam("nobody")
