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
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from urllib.parse import urlsplit, urlunsplit

from events import addresses, catalogue
from serving import logs
from serving.environment import Environment, SettingsError
from serving.logs import fields

log = logging.getLogger(__name__)
_PAUSE = 2.0  # seconds before `--once` calls again
_HOUR = 3600  # seconds
# `* * * * *` and `*/n * * * *`: all that the catalogue uses. What is not understood is refused, never guessed at.
_SCHEDULE = re.compile(r"\*(?:/([1-9]|[1-5][0-9]))? \* \* \* \*")


class NotAnswered(Exception):
    """The function could not be reached, or its answer was not 2xx."""


@dataclass(frozen=True)
class Scheduled:
    """A function that runs on a schedule, and how to call it."""

    name: str
    url: str
    timeout: float  # seconds that one call may take
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
            return f"calls to {call_for_ever(functions, options.touch)} have ended"
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


def call_for_ever(functions: Iterable[Scheduled], touched: Path | None = None) -> str:
    """Call each function at once, since work may be owed from before, and then at its times.

    A function is never called while an earlier call to it is under way: times that pass meanwhile are left out. With
    `touched`, the file there that is named like the function is as old as its last answer.

    Returns only where a bug has ended the calls to a function, with its name: a process that lived on without them
    would look healthy to whoever starts it again when it ends.
    """
    ended: SimpleQueue[str] = SimpleQueue()
    for function in functions:
        Thread(target=_call_on_time, args=(function, touched, ended.put), name=function.name, daemon=True).start()
    return ended.get()


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
    """POST an empty body to the function; at most `timeout` seconds pass between two bytes. Raises NotAnswered."""
    url = urlsplit(function.url)
    kind = HTTPSConnection if url.scheme == "https" else HTTPConnection
    connection = kind(url.hostname or "", url.port, timeout=timeout)
    began = time.monotonic()
    try:
        connection.request("POST", urlunsplit(url._replace(scheme="", netloc="")) or "/", body=b"")
        status = connection.getresponse().status
    except (OSError, HTTPException) as error:
        raise NotAnswered(str(error) or type(error).__name__) from error
    finally:
        connection.close()
    if not 200 <= status < 300:
        raise NotAnswered(f"the status is {status}")
    log.info("called", extra=fields(function=function.name, status=status, seconds=round(time.monotonic() - began, 3)))


def _call_on_time(function: Scheduled, touched: Path | None, end: Callable[[str], None]) -> None:
    try:
        while True:
            try:
                call(function, timeout=function.timeout)
            except NotAnswered as reason:
                answer = fields(function=function.name, reason=str(reason))
                log.warning("no answer; it is called again at its next time", extra=answer)
            else:
                if touched:
                    (touched / function.name).touch()
            time.sleep(seconds_until_next(function.step, time.time()))
    finally:
        end(function.name)


def _find(functions: Iterable[Scheduled], name: str) -> Scheduled:
    names = {function.name: function for function in functions}
    if name not in names:
        raise SettingsError(f"{name!r} is no function with a schedule; there is {', '.join(names)}")
    return names[name]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
