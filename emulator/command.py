"""What `python -m emulator` does: run the whole system until Ctrl-C or, with a video, convert that one and stop."""

import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from emulator import conversion, packages, sample, terminal
from emulator.processes import PartFailed
from emulator.system import System

_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
USAGE = "use: make run, or make run VIDEO=video.mp4, or make run VIDEO=video.mp4 OPTIONS='format=opus&start=1:00'"
_TRY = """
Everything is ready. Videos go in and their sound comes out at {gateway}/
The emails that are sent are at {mailbox}/

Or paste these lines:

curl -sS {gateway}/register -H 'Content-Type: application/json' \\
    -d '{{"name": "You", "username": "you@example.org", "password": "correct horse"}}'; echo
TOKEN=$(curl -sS -X POST -u 'you@example.org:correct horse' {gateway}/login | cut -d '"' -f 4)
curl -sS {gateway}/upload -H "Authorization: Bearer $TOKEN" -F 'file=@{video}'; echo
curl -sS {gateway}/jobs -H "Authorization: Bearer $TOKEN"; echo

Logs and data are in {directory}. Ctrl-C stops everything; the next start goes on from there.
"""


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Returns the exit code.

    GATEWAY_PORT (8002), AUTH_PORT (8001) and STATE (.local) say where the system is. VIDEO names the video, OPTIONS has
    what is asked of its conversion, as in a query, and FORCE=1 replaces audio that is there. DATABASE_URL, MONGO_URI,
    MONGO_MP3_URI and AMQP_URL name servers to use in place of ours. The settings of the parts are in settings.py.
    """
    terminal.accept_everything()
    try:
        for number in _STOPPING:
            signal.signal(number, _interrupt)
        if len(arguments) > 1:
            return _refuse(USAGE)
        return run(arguments[0] if arguments else environ.get("VIDEO"), environ)
    except PartFailed as failure:
        print(f"\n{failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130  # as a shell reports a program that SIGINT has ended
    finally:
        _ignore_signals()


def run(video: str | None, environ: Mapping[str, str]) -> int:
    """Install what is missing; then convert the video or, without one, serve. Raises PartFailed."""
    # Where we are root, the parts run as another account, which must not be able to write to what we make.
    os.umask(os.umask(0o022) | 0o022)
    if video and not _is_there(Path(video)):
        return _refuse(f"there is no file {video}\n{USAGE}")
    if missing := packages.list_missing():
        print(f"installing {', '.join(missing)} …", flush=True)
        packages.install(missing)
    state = Path(environ.get("STATE") or ".local")
    return conversion.run(Path(video), state, environ) if video else serve(state, environ)


def serve(state: Path, environ: Mapping[str, str]) -> int:
    """Run the system until it is told to stop. Raises PartFailed."""
    ports = {name: _port(environ, name, default) for name, default in (("GATEWAY_PORT", 8002), ("AUTH_PORT", 8001))}
    environ = {"SWEEP_UNTIL": "57", **environ}  # the clock calls it every minute
    system = System(state, environ, port=ports["GATEWAY_PORT"], auth_port=ports["AUTH_PORT"], report=_print)
    try:
        with system:
            video = sample.make(state)
            _print(_TRY.format(gateway=system.gateway.url, mailbox=system.mailbox.url, video=video, directory=state))
            while True:
                system.watch()
                time.sleep(0.2)
    except KeyboardInterrupt:
        _print("stopped")
        return 0


def _port(environ: Mapping[str, str], name: str, default: int) -> int:
    text = environ.get(name) or str(default)
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
        raise PartFailed("gateway", f"{name} is {text!r}", "set it to a number from 1 to 65535")
    return int(text)


def _is_there(video: Path) -> bool:
    try:
        return video.is_file()
    except OSError:  # it lies in a folder that is closed to us; the conversion says so
        return True


def _refuse(why: str) -> int:
    print(why, file=sys.stderr)
    return 2


def _print(line: str) -> None:
    print(line, flush=True)


def _interrupt(_number: int, _frame: object) -> NoReturn:
    _ignore_signals()
    _print("\nstopping …")
    raise KeyboardInterrupt


def _ignore_signals() -> None:
    """Let nothing interrupt the stopping, or us while we end: a second Ctrl-C is ignored."""
    for number in _STOPPING:
        signal.signal(number, signal.SIG_IGN)
