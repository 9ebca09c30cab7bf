"""The conversion of one video by the whole system: `make run VIDEO=video.mp4` writes its audio beside it."""

import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from textwrap import indent

import urllib3

from emulator import audio
from emulator.client import Client, NotConverted
from emulator.processes import PartFailed
from emulator.state import StateInUse
from emulator.system import System


def run(video: Path, state: Path, environ: Mapping[str, str]) -> int:
    """Start a system, convert the video with it, and stop it.

    Returns the exit code: 0 if its audio lies beside the video, 1 after printing why it does not. Raises PartFailed.

    The system has a directory of its own below `state`, and free ports, so that it runs beside a `make run` and beside
    other conversions. What it keeps, such as the emails, is still there afterwards.
    """
    if refusal := _find_refusal(video):
        print(refusal, file=sys.stderr)
        return 1
    print(f"starting the system for {video}", flush=True)
    force = environ.get("FORCE", "0") not in ("", "0")
    system = _new_system(state, environ)
    client = Client(system)
    with ExitStack() as on_exit:
        # The broker takes longest to start, and registering does not need it, so it is done meanwhile.
        pool = on_exit.enter_context(ThreadPoolExecutor(1, "register"))
        on_exit.callback(system.stop)  # comes before the wait for the thread, for it makes that give up
        registering = pool.submit(client.register)
        system.start()
        try:
            registering.result()
            _convert(client, video, environ.get("OPTIONS", ""), force=force)
        except NotConverted as failure:
            print(f"{video} was not converted: {failure}", file=sys.stderr)
            return 1
        except urllib3.exceptions.HTTPError as error:
            raise PartFailed("gateway", f"no answer: {error}", f"read the logs in {system.directory}") from error
    return 0


def _convert(client: Client, video: Path, options: str, *, force: bool) -> None:
    """Raises NotConverted."""
    job = client.await_end(client.upload(video, options))
    email = client.find_email()
    print(f"email        {email['Subject']}\n             {email['path']}")
    if job["state"] != "done":
        reason = (job["error"] or {}).get("reason", job["state"])
        raise NotConverted(f"{reason}. The email says:\n\n{indent(email['Text'], '    ')}")
    written, made = client.download(job, video, force=force), job["audio"]
    parts = f"{len(made['parts'])} parts, " if made["parts"] else ""
    print(f"audio        {written}: {parts}{made['duration_seconds']:.2f} s, {made['size_bytes']:,} bytes")
    for note in made["notes"]:
        print(f"note         {note['says']}")


def _find_refusal(video: Path) -> str:
    """Why the conversion need not be begun, because it would fail in the end; empty where nothing speaks against it."""
    try:
        video.open("rb").close()
    except OSError as error:
        return f"{video} cannot be read: {error.strerror}"
    try:
        audio.require_room(video.parent)
    except OSError as error:
        return f"the audio of {video} cannot be written beside it: {error.strerror}"
    return ""


def _new_system(state: Path, environ: Mapping[str, str]) -> System:
    """On the first directory `conversion-<n>` that no other conversion is using. Raises PartFailed."""
    for number in count(1):
        try:
            return System(state / f"conversion-{number}", environ)
        except StateInUse:
            continue
    raise AssertionError
