"""Becomes a program that is left with little: `python -I -S -c "…main()" WHAT=VALUE… -- PROGRAM ARGUMENT…`.

WHAT says what it may do (command() below writes it all down): `read`, `write` and `execute` name files, `landlock` the
version of Landlock's interface, `seccomp=yes` asks for the filter, and any other is a limit of the module `resource`.

It is a program of its own, in place of something that is done between fork and exec, because the worker has threads,
and only a new process can be sure that none of their locks is held.
"""

from __future__ import annotations

import ctypes
import os
import resource
import sys

from functions.convert.sandbox import landlock, seccomp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

ERROR = "sandbox: "  # a message that begins so means that this machine failed
FAILED = 125  # the exit status then
# Where programs find their libraries. Only the loader itself is ever executed.
_LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache")
_LOADERS = ("/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1")
_ROOT = os.path.abspath(f"{__file__}/../../../..")  # noqa: PTH100 -- as in the package's docstring
_START = "import sys; sys.path[:0] = [sys.argv.pop(1)]; from functions.convert.sandbox.launcher import main; main()"
_PDEATHSIG, _SET_SECCOMP, _SECUREBITS, _NO_NEW_PRIVS, _CAP_AMBIENT = 1, 22, 28, 38, 47  # uapi/linux/prctl.h
_FILTER, _CLEAR_ALL = 2, 4
_SIGKILL, _SIGPIPE, _SIGXFSZ, _SIG_DFL = 9, 13, 25, 0  # signal(7)
_NOROOT = 0b11  # root gets no rights by executing a program, and that is locked (capabilities(7))
_CAPABILITIES = (
    0x20080522  # the version of capget's structures: effective, permitted and inheritable, twice 32 bits each
)
_libc = ctypes.CDLL(None, use_errno=True)


def command(
    program: Sequence[str], limits: Mapping[str, tuple[int, int]], read: Iterable[str], write: Iterable[str]
) -> list[str]:
    """The words that start the program so: within these limits, by their names in the module `resource`.

    `read` and `write` are files in the directory in which it starts. It has no rights beyond its user's, dies with the
    thread that started it, and cannot do more than the kernel can keep it from (support.py).
    """
    words = [
        sys.executable,
        "-I",
        "-S",
        *(("-X", f"pycache_prefix={sys.pycache_prefix}") if sys.pycache_prefix else ()),
    ]
    words += ["-c", _START, _ROOT]
    words += [f"{name}={soft}:{hard}" for name, (soft, hard) in limits.items()]
    words += [f"landlock={landlock.abi()}", *(("seccomp=yes",) if seccomp.here() else ())]
    words += [f"read={path}" for path in (*_LIBRARIES, *read)]
    words += [f"write={path}" for path in write]
    words += [f"execute={path}" for path in (*_LOADERS, program[0])]
    return [*words, "--", *program]


def main() -> None:
    """Does not return."""
    try:
        end = sys.argv.index("--")
        given = [word.split("=", 1) for word in sys.argv[1:end]]
        _become(sys.argv[end + 1 :], given)
    except OSError as error:
        sys.stderr.write(f"{ERROR}{error}\n")
        os._exit(FAILED)


def _become(program: list[str], given: list[list[str]]) -> None:
    files: dict[str, list[str]] = {"read": [], "write": [], "execute": []}
    version, filtered = 0, False
    for name, value in given:
        if name in files:
            files[name].append(value)
        elif name == "landlock":
            version = int(value)
        elif name == "seccomp":
            filtered = True
        else:
            soft, _, hard = value.partition(":")
            resource.setrlimit(getattr(resource, name), (int(soft), int(hard)))
    path = ctypes.create_string_buffer(os.fsencode(program[0]))
    words = (ctypes.c_char_p * (len(program) + 1))(*map(os.fsencode, program), None)
    environment = (ctypes.c_char_p * 2)(b"LC_ALL=C", None)
    for ignored in (_SIGPIPE, _SIGXFSZ):  # by Python itself
        _libc.signal(ignored, _SIG_DFL)
    _prctl(_PDEATHSIG, _SIGKILL)
    _prctl(_NO_NEW_PRIVS, 1)
    _drop_rights()
    if version:
        landlock.restrict(version, **files)
    if filtered:
        _filter(ctypes.addressof(path))
    _libc.execve(path, words, environment)
    raise OSError(ctypes.get_errno(), f"{program[0]}: {os.strerror(ctypes.get_errno())}")


def _drop_rights() -> None:
    """None of ours is passed on to the program. We keep them until then, to find it below a closed directory."""
    header, held = (ctypes.c_uint32 * 2)(_CAPABILITIES, 0), (ctypes.c_uint32 * 6)()
    _libc.capget(header, held)
    held[2] = held[5] = 0
    _libc.capset(header, held)
    _libc.prctl(_CAP_AMBIENT, *map(ctypes.c_ulong, (_CLEAR_ALL, 0, 0, 0)))
    _libc.prctl(_SECUREBITS, ctypes.c_ulong(_NOROOT))  # fails where there are none to drop


def _filter(path: int) -> None:
    machine = seccomp.here()
    if machine is None:
        return
    lines = seccomp.program(machine, os.getpid(), path)
    held = ctypes.create_string_buffer(lines)
    program = _Program(len(lines) // 8, ctypes.addressof(held))
    _prctl(_SET_SECCOMP, _FILTER, ctypes.addressof(program))


class _Program(ctypes.Structure):
    """The kernel's struct sock_fprog."""

    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]


def _prctl(*arguments: int) -> None:
    if _libc.prctl(*map(ctypes.c_ulong, (*arguments, *[0] * (5 - len(arguments))))) < 0:
        raise OSError(ctypes.get_errno(), f"prctl({arguments[0]}): {os.strerror(ctypes.get_errno())}")
