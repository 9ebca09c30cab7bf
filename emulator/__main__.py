"""`python -m emulator` runs the whole system until Ctrl-C; with a video it only takes that one through.

An entry point: it may read the environment. GATEWAY_PORT (8002), AUTH_PORT (8001) and STATE (.local) place it,
VIDEO names the video, and DATABASE_URL, MONGO_URI, MONGO_MP3_URI and AMQP_URL replace servers of ours.
"""

import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from emulator import journey, packages, sample, terminal
from emulator.processes import PartFailed
from emulator.system import System

_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
USAGE = "use: make run, or make run VIDEO=video.mp4"
_TRY = """
Everything is ready. Videos go in and MP3s come out at {gateway}/
The mails that are sent lie at {mailbox}/

Or paste these lines:

curl -sS {gateway}/register -H 'Content-Type: application/json' \\
    -d '{{"name": "You", "username": "you@example.org", "password": "correct horse"}}'; echo
TOKEN=$(curl -sS -X POST -u 'you@example.org:correct horse' {gateway}/login | cut -d '"' -f 4)
curl -sS {gateway}/upload -H "Authorization: Bearer $TOKEN" -F 'file=@{video}'; echo
curl -sS {gateway}/jobs -H "Authorization: Bearer $TOKEN"; echo

Logs and data are in {directory}. Ctrl-C stops everything; the next start goes on from there.
"""


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    for number in _STOPPING:
        signal.signal(number, _interrupt)
    os.umask(os.umask(0o022) | 0o022)  # where we are root, the parts write only to what is given to them
    video = arguments[0] if arguments else environ.get("VIDEO")
    if len(arguments) > 1 or (video and not _is_there(Path(video))):
        print(f"there is no file {video}\n{USAGE}" if len(arguments) < 2 else USAGE, file=sys.stderr)
        return 2
    state = Path(environ.get("STATE") or ".local")
    try:
        if missing := packages.list_missing():
            print(f"installing {', '.join(missing)} …", flush=True)
            packages.install(missing)
        return journey.run(Path(video), state, environ) if video else serve(state, environ)
    except PartFailed as failure:
        print(f"\n{failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def serve(state: Path, environ: Mapping[str, str]) -> int:
    """Run the system until it is told to stop. Raises PartFailed."""
    ports = {name: _port(environ, name, default) for name, default in (("GATEWAY_PORT", 8002), ("AUTH_PORT", 8001))}
    system = System(state, environ, port=ports["GATEWAY_PORT"], auth_port=ports["AUTH_PORT"], tell=_tell)
    try:
        with system:
            video = sample.make(state)
            _tell(_TRY.format(gateway=system.gateway.url, mailbox=system.mailbox.url, video=video, directory=state))
            while True:
                system.watch()
                time.sleep(0.2)
    except KeyboardInterrupt:
        _tell("stopped")
        return 0


def _port(environ: Mapping[str, str], name: str, default: int) -> int:
    text = environ.get(name) or str(default)
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
        raise PartFailed("gateway", f"{name} is {text!r}", "set it to a number from 1 to 65535")
    return int(text)


def _is_there(video: Path) -> bool:
    try:
        return video.is_file()
    except OSError:  # closed to us: the journey says so
        return True


def _tell(line: str) -> None:
    print(line, flush=True)


def _interrupt(_number: int, _frame: object) -> NoReturn:
    for number in _STOPPING:
        signal.signal(number, signal.SIG_IGN)  # once is enough, and stopping is not to be cut short
    _tell("\nstopping …")
    raise KeyboardInterrupt


if __name__ == "__main__":
    terminal.accept_everything()
    sys.exit(main(sys.argv[1:], os.environ))
