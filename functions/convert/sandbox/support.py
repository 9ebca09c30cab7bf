"""What of the sandbox this machine's kernel has, and what an operator asks for."""

import ctypes
import logging
from collections.abc import Iterator

from functions.convert.sandbox import landlock, seccomp

log = logging.getLogger(__name__)
_PR_SET_DUMPABLE = 4


class Incomplete(Exception):
    """The sandbox is to be complete, and this kernel cannot make it so."""


def close(required: str) -> str:
    """Makes this process ready to start programs in the sandbox. Returns "full", or what is missing, for people.

    What is missing is said in the log, too. The memory and the environment of this process are closed to others of the
    same user (PR_SET_DUMPABLE, prctl(2)). Raises Incomplete where something is missing and `required` is "full".
    """
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, *[ctypes.c_ulong(0)] * 4)
    lacking = missing(landlock.abi(), filtered=seccomp.here() is not None)
    require(required, lacking)
    if lacking:
        log.warning(f"ffmpeg has fewer walls around it: {lacking}")
    return lacking or "full"


def require(required: str, lacking: str) -> None:
    """Raises Incomplete where something is missing, and nothing may be."""
    if lacking and required == "full":
        raise Incomplete(f"REQUIRE_JAIL is full, but {lacking}")


def missing(abi: int, *, filtered: bool) -> str:
    """What is missing with that version of Landlock's interface, with or without seccomp; empty where nothing is."""
    return "; ".join(_missing(abi, filtered))


def _missing(abi: int, filtered: bool) -> Iterator[str]:
    if abi == 0:
        yield "this kernel has no Landlock, or it is switched off, so ffmpeg can read what this function's user can"
    elif abi < landlock.FULL:
        yield f"this kernel's Landlock has version {abi} of its interface; all is closed from {landlock.FULL} on"
    if not filtered:
        yield "the system calls of this architecture are not known here, so ffmpeg may use all of them"
