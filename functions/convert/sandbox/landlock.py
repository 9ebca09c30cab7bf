"""Landlock: which files a process may read, write and run, and that it reaches no socket and signals no process.

The numbers are those of the kernel's uapi/linux/landlock.h; what each version of the interface (ABI) added is told by
the kernel's userspace-api/landlock.rst. System calls have these numbers on every architecture.
"""

from __future__ import annotations

import ctypes
import os
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION = 1  # a flag: says the ABI in place of making a ruleset
_PATH_BENEATH = 1
_EXECUTE, _WRITE_FILE, _READ_FILE, _TRUNCATE = 1 << 0, 1 << 1, 1 << 2, 1 << 14
_RIGHTS = {1: 13, 2: 14, 3: 15, 5: 16}  # from that ABI on there are so many rights to files
_NETWORK = 0b11  # bind and connect TCP, from ABI 4 on
_SCOPES = 0b11  # abstract Unix sockets and signals, from ABI 6 on
FULL = 6  # the first ABI that has all of this
_libc = ctypes.CDLL(None, use_errno=True)


def abi() -> int:
    """What the kernel has; 0 where it has no Landlock, or where that is switched off."""
    version: int = _libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_VERSION))
    return max(0, version)


def restrict(version: int, read: Iterable[str], write: Iterable[str], execute: Iterable[str]) -> None:
    """Leaves this process nothing but these, for good. A directory stands for all below it.

    What is to be written is made where it is not there, since nothing can be made afterwards. What is to be read or
    executed and is not there is left out. Raises OSError.
    """
    handled = (1 << max(count for since, count in _RIGHTS.items() if since <= version)) - 1
    attributes = struct.pack("=QQQ", handled, _NETWORK if version >= 4 else 0, _SCOPES if version >= 6 else 0)
    size = 8 if version < 4 else 16 if version < 6 else 24
    ruleset = _call(_CREATE_RULESET, attributes, ctypes.c_size_t(size), ctypes.c_uint32(0))
    for path in write:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        _allow(ruleset, file, (_WRITE_FILE | _READ_FILE | _TRUNCATE) & handled)
    for paths, rights in ((read, _READ_FILE), (execute, _READ_FILE | _EXECUTE)):
        for path in paths:
            try:
                file = os.open(path, os.O_PATH | os.O_CLOEXEC)
            except FileNotFoundError:
                continue
            _allow(ruleset, file, rights)
    _call(_RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint32(0))


def _allow(ruleset: int, file: int, rights: int) -> None:
    rule = struct.pack("=Qi", rights, file)
    _call(_ADD_RULE, ctypes.c_int(ruleset), ctypes.c_int(_PATH_BENEATH), rule, ctypes.c_uint32(0))
    os.close(file)


def _call(number: int, *arguments: object) -> int:
    result: int = _libc.syscall(number, *arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), f"landlock: {os.strerror(ctypes.get_errno())}")
    return result
