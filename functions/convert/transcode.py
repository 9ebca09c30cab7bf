"""A video on disk in, its audio on disk out: ffprobe looks at the video and ffmpeg converts it."""

import re
from dataclasses import dataclass
from pathlib import Path

from functions.convert import arguments, description, ffmpeg, sound, tracks
from functions.convert.container import check_end
from functions.convert.description import Audio, Description
from functions.convert.jail import Jail, open_file
from functions.model import audio as model
from functions.model.media import Container, MediaError, Reason
from functions.model.options import Options

_CUT = {  # what ffmpeg says of a video that lost its end, only to exit with 0
    Container.MP4: "partial file|Packet corrupt",
    Container.MATROSKA: "File ended prematurely",
}


@dataclass(frozen=True)
class Result:
    """The finished audio."""

    size: int  # bytes
    facts: model.Audio


def describe(jail: Jail, source: str, container: Container) -> Description:
    """Looks at the video of that name in the jail's folder.

    Raises MediaError where the video's end is missing, nothing can be read, or it is too long; Interrupted; and OSError
    where this machine fails.
    """
    path = jail.folder / source
    with path.open("rb") as file:
        check_end(file, path.stat().st_size, container)
    seen = description.describe(jail, source, container)
    if (seen.duration or 0) > jail.limits.duration:
        raise MediaError(Reason.TOO_LONG, f"{seen.duration:.0f} s of at most {jail.limits.duration:.0f}")
    return seen


def transcode(jail: Jail, source: str, target: str, seen: Description, options: Options) -> Result:
    """Writes the video's sound to `target` beside it, as the options say.

    The jail's checkpoint is called from this thread at least every ffmpeg.BEAT seconds with the fraction that is done,
    or with 0.0 while the video's length is unknown. What it raises stops the work. Raises MediaError, Interrupted, and
    OSError where this machine fails (a full disk). Whatever is raised, nothing is left at `target`.
    """
    refusals = []
    for audio in tracks.candidates(seen, options):
        try:
            return _convert(jail, source, target, seen, audio, options)
        except MediaError as error:
            if error.reason is not Reason.NO_AUDIO:
                raise
            refusals.append(error)
    raise refusals[0]


def _convert(jail: Jail, source: str, target: str, seen: Description, audio: Audio, options: Options) -> Result:
    made = sound.shape(audio, options)
    path = Path(jail.folder, target)

    def tick(done: float) -> None:
        jail.checkpoint(min(done / seen.duration, 1.0) if seen.duration else 0.0)

    try:
        words = [*arguments.REPORTING, *arguments.TOLERATING, *open_file(source, seen.container)]
        words += arguments.encode(audio, made, options, jail.limits.duration + 2, target)
        run = jail.run(words, seen.duration, tick, size=jail.limits.size)
        seconds = _check(run, path, seen, options)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    size = path.stat().st_size
    kbits = round(size / seconds / 125) if seconds else 0
    return Result(size, model.Audio(seconds, kbits, made.channels, made.sample_rate, audio.index))


def _check(run: ffmpeg.Run, target: Path, seen: Description, options: Options) -> float:
    """The seconds that were written.

    Raises MediaError where they fall short of the video, or what ffmpeg.explain() says.
    """
    if run.status or (seen.container in _CUT and re.search(_CUT[seen.container], run.messages)):
        raise ffmpeg.explain(run)
    with target.open("rb") as file:
        try:
            seconds = options.encoding.measure(file)
        except ValueError as error:
            raise MediaError(Reason.DAMAGED, str(error)) from error
    length = seen.duration or 0.0
    if seen.container == Container.FLAC and run.done < length - 0.1:
        raise MediaError(Reason.TRUNCATED, f"it ends at {run.done:.2f} s of {length:.2f} s")
    # Missing sound alone is no damage: it may end before the picture, and some recorders write none while it is silent.
    due = max(run.done, length) if re.search(r"^\[in#0.*\[error\]", run.messages, re.MULTILINE) else run.done
    if seconds < (1 - arguments.ERROR_RATE) * due and re.search(r"\[error\]|Packet corrupt", run.messages):
        raise MediaError(Reason.DAMAGED, f"{seconds:.2f} s of {due:.2f} s: {run.messages[-500:]}")
    return seconds
