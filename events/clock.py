"""Calls the functions that run on a schedule, as a PingSource does on Knative.

`python -m events.clock` calls each at its times, until it is stopped. `python -m events.clock --once FUNCTION` calls
one until it answers, for a Kubernetes CronJob, where the cluster keeps the schedule.

An entry point: it reads the environment. The functions are found by the same settings as the bridge finds them, that is
FUNCTION_URL, in which `{name}` stands for a function's name, and for a single function <TARGET>_URL (SWEEP_URL).
"""

import argparse
import logging.config
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import NoReturn

from events import addresses, calls, catalogue
from events.calls import Callee, NotAnswered
from serving import logs
from serving.environment import Environment, SettingsError
from serving.logs import fields

log = logging.getLogger(__name__)
_PAUSE = 2.0  # seconds before `--once` calls again
_HOUR = 3600  # seconds
# `* * * * *` and `*/n * * * *`: all that the catalogue uses. What is not understood is refused, never guessed at.
_SCHEDULE = re.compile(r"\*(?:/([1-9]|[1-5][0-9]))? \* \* \* \*")


@dataclass(frozen=True)
class Scheduled(Callee):
    """A function that runs on a schedule."""

    step: int  # seconds; it runs whenever a multiple of them has passed since the last full hour


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> int | str:
    """Returns what sys.exit() takes: 0, or what went wrong."""
    parser = argparse.ArgumentParser(prog="python -m events.clock", description="Call functions on their schedules.")
    parser.add_argument("--once", metavar="FUNCTION", help="call this one until it answers, and end")
    parser.add_argument("--touch", metavar="DIRECTORY", type=Path, help="touch a file there as each function answers")
    options = parser.parse_args(arguments)
    # A call that is under way is abandoned, and the function finishes by itself. As process 1 of a container we would
    # not even get a signal that has no handler.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(1 if options.once else 0))
    try:
        functions, level = read(Environment(environ), catalogue.load())
        logging.config.dictConfig(logs.configuration(level))
        if not options.once:
            call_for_ever(functions, options.touch)
        call_until_answered(_find(functions, options.once))
    except SettingsError as error:
        return str(error)
    except NotAnswered:  # it is in the log
        return 1
    return 0


def read(env: Environment, functions: Iterable[catalogue.Function]) -> tuple[list[Scheduled], str]:
    """The functions that have a schedule, and the level of the log. Raises SettingsError, also where none has one."""
    found = [_scheduled(function, function.schedule, env) for function in functions if function.schedule]
    if not found:
        env.reject("no function of the catalogue has a schedule")
    level = env.choice("LOG_LEVEL", logs.LEVEL, logs.LEVELS)
    env.complain("the clock")
    return found, level


def _scheduled(function: catalogue.Function, schedule: str, env: Environment) -> Scheduled:
    fits = _SCHEDULE.fullmatch(" ".join(schedule.split()))
    if not fits:
        known = "`* * * * *` and `*/n * * * *` with an n from 1 to 59"
        env.reject(f"the schedule of {function.name}, {schedule!r}, is none that is known here: {known}")
    step = 60 * int(fits[1] or 1) if fits else _HOUR
    return Scheduled(function.name, addresses.url(function, env), function.timeout, step)


def seconds_until_next(step: int, now: float) -> float:
    """From `now`, in seconds since the epoch, to the next multiple of `step` seconds in the hour (UTC).

    As with cron, counting begins anew at each full hour: what runs every 40 minutes does so at 0 and at 40 past.
    """
    passed = now % _HOUR
    return min((passed // step + 1) * step, _HOUR) - passed


def call_for_ever(functions: Iterable[Scheduled], touched: Path | None = None) -> NoReturn:
    """Call each function at once, since work may be owed from before, and then at its times.

    A function is never called while an earlier call to it is under way: of the times that pass meanwhile one is made up
    for afterwards. With `touched`, the file there that is named like the function is as old as its last answer.

    Raises what ended the calls to a function, which is a bug: a process that lived on without them would look healthy
    to whoever starts it again when it ends. Only the caller's thread prints it, because Python aborts where a thread
    holds stderr while the process ends.
    """
    bugs: SimpleQueue[BaseException] = SimpleQueue()
    for function in functions:
        Thread(target=_call_on_time, args=(function, touched, bugs.put), name=function.name, daemon=True).start()
    raise bugs.get()


def call_until_answered(function: Scheduled) -> None:
    """Call until it answers. Raises NotAnswered at the end of its time limit, counted from the first call."""
    deadline = time.monotonic() + function.timeout
    while True:
        try:
            return call(function, timeout=deadline - time.monotonic())
        except NotAnswered as reason:
            answer = fields(function=function.name, reason=str(reason))
            if time.monotonic() + _PAUSE >= deadline:
                log.error("no answer within the time limit", extra=answer)  # noqa: TRY400 -- the reason says it all
                raise
            log.warning(f"no answer; it is called again in {_PAUSE:g} s", extra=answer)
            time.sleep(_PAUSE)


def call(function: Scheduled, *, timeout: float) -> None:
    """Calls the function, and logs that. Raises NotAnswered."""
    began = time.monotonic()
    status = calls.call(function, timeout=timeout)
    log.info("called", extra=fields(function=function.name, status=status, seconds=round(time.monotonic() - began, 3)))


def _call_on_time(function: Scheduled, touched: Path | None, report: Callable[[BaseException], None]) -> None:
    try:
        while True:
            due = time.time() + seconds_until_next(function.step, time.time())
            try:
                call(function, timeout=function.timeout)
            except NotAnswered as reason:
                answer = fields(function=function.name, reason=str(reason))
                log.warning("no answer; it is called again at its next time", extra=answer)
            else:
                if touched:
                    (touched / function.name).touch()
            time.sleep(max(0.0, due - time.time()))
    except BaseException as bug:
        bug.add_note(f"The calls to {function.name} have ended.")
        report(bug)


def _find(functions: Iterable[Scheduled], name: str) -> Scheduled:
    names = {function.name: function for function in functions}
    if name not in names:
        raise SettingsError(f"{name!r} is no function with a schedule; there is {', '.join(names)}")
    return names[name]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
