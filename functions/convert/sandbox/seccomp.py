"""seccomp: the system calls that a program is left with which computes, and reads and writes files that it opens.

All others fail with EPERM: sockets, new processes, ptrace, mounts, keys, io_uring and whatever a later kernel adds. The
filter is a program for the kernel's classic BPF, and is given a struct seccomp_data (userspace-api/seccomp_filter.rst).
"""

from __future__ import annotations

import os
import struct

_LOAD, _EQUAL, _AND, _RETURN = 0x20, 0x15, 0x54, 0x06  # BPF_LD|W|ABS, JMP|JEQ|K, ALU|AND|K, RET|K
_NUMBER, _MACHINE, _ARGUMENTS = 0, 4, 16  # where they are in struct seccomp_data
_ALLOW, _KILL, _ERROR = 0x7FFF0000, 0x80000000, 0x00050000
_EPERM, _ENOSYS = 1, 38
_THREAD = 0x00010000  # CLONE_THREAD
_NAMESPACES = 0x7E020000  # CLONE_NEWNS and the others
_SET_NAME = 15  # PR_SET_NAME
_FILE_FLAGS = (1, 2, 3, 4, 1030)  # F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC: none that sends signals


class Machine:
    """An architecture: its number in the kernel's audit.h, and the numbers of the calls that it has."""

    def __init__(self, audit: int, calls: dict[str, int]) -> None:
        self.audit, self.calls = audit, calls


def _table(column: int) -> dict[str, int]:
    rows = (line.split() for line in _CALLS.strip().splitlines())
    return {row[0]: int(row[column]) for row in rows if row[column] != "-"}


# x86-64 by its syscall_64.tbl, aarch64 by asm-generic/unistd.h. What is called most often comes first, for the kernel
# walks through the filter. The last ones, from clone on, are allowed with some arguments only.
_CALLS = """
futex 202 98
read 0 63
write 1 64
lseek 8 62
pread64 17 67
pwrite64 18 68
readv 19 65
writev 20 66
mmap 9 222
munmap 11 215
mremap 25 216
mprotect 10 226
madvise 28 233
brk 12 214
clock_gettime 228 113
clock_getres 229 114
clock_nanosleep 230 115
nanosleep 35 101
gettimeofday 96 169
sched_yield 24 124
poll 7 -
ppoll 271 73
select 23 -
pselect6 270 72
open 2 -
openat 257 56
close 3 57
dup 32 23
stat 4 -
fstat 5 80
lstat 6 -
newfstatat 262 79
statx 332 291
access 21 -
faccessat 269 48
faccessat2 439 439
readlink 89 -
readlinkat 267 78
getcwd 79 17
ftruncate 77 46
fadvise64 221 223
rt_sigaction 13 134
rt_sigprocmask 14 135
rt_sigreturn 15 139
restart_syscall 219 128
sigaltstack 131 132
getpid 39 172
gettid 186 178
getuid 102 174
geteuid 107 175
getgid 104 176
getegid 108 177
uname 63 160
sysinfo 99 179
times 100 153
getrusage 98 165
getrlimit 97 163
getrandom 318 278
sched_getaffinity 204 123
arch_prctl 158 -
set_tid_address 218 96
set_robust_list 273 99
membarrier 324 283
rseq 334 293
exit 60 93
exit_group 231 94
clone 56 220
clone3 435 435
prctl 157 167
fcntl 72 25
prlimit64 302 261
tgkill 234 131
execve 59 221
"""
MACHINES = {"x86_64": Machine(0xC000003E, _table(1)), "aarch64": Machine(0xC00000B7, _table(2))}


def here() -> Machine | None:
    """This machine; None where its calls are not known here."""
    return MACHINES.get(os.uname().machine)


def program(machine: Machine, process: int, path: int) -> bytes:
    """The filter for the process of that number, by BPF. `path` is the address of the one path that it may execute.

    After that no path is at that address but by a guess, and a wrong guess ends the process: so nothing can be executed
    any more. Threads can be started, processes not.
    """
    calls = machine.calls
    special = {
        "clone": (*_load_argument(0), (_AND, 0, 0, _NAMESPACES | _THREAD), *_allow_if(_THREAD)),
        "clone3": (_return(_ERROR | _ENOSYS),),  # its flags are in memory, unseen; glibc then takes clone
        "prctl": (*_load_argument(0), *_allow_if(_SET_NAME)),
        "fcntl": (*_load_argument(1), *_allow_if(*_FILE_FLAGS)),
        "prlimit64": (*_load_argument(0), *_allow_if(0)),  # its own, which it cannot raise
        "tgkill": (*_load_argument(0), *_allow_if(process)),
        "execve": (
            *(*_load_argument(0), (_EQUAL, 0, 3, path & 0xFFFFFFFF), *_load_argument(0, high=True)),
            *((_EQUAL, 0, 1, path >> 32), _return(_ALLOW), _return(_KILL)),
        ),
    }
    lines = [(_LOAD, 0, 0, _MACHINE), (_EQUAL, 1, 0, machine.audit), _return(_KILL), (_LOAD, 0, 0, _NUMBER)]
    for name, number in calls.items():
        then = special.get(name, (_return(_ALLOW),))
        lines += [(_EQUAL, 0, len(then), number), *then]
    lines.append(_return(_ERROR | _EPERM))
    return b"".join(struct.pack("=HBBI", *line) for line in lines)


def _load_argument(index: int, *, high: bool = False) -> tuple[tuple[int, int, int, int], ...]:
    return ((_LOAD, 0, 0, _ARGUMENTS + 8 * index + 4 * high),)  # both machines are little-endian


def _allow_if(*values: int) -> tuple[tuple[int, int, int, int], ...]:
    tests = [(_EQUAL, len(values) - at, 0, value) for at, value in enumerate(values)]
    return (*tests, _return(_ERROR | _EPERM), _return(_ALLOW))


def _return(value: int) -> tuple[int, int, int, int]:
    return (_RETURN, 0, 0, value)
