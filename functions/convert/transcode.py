"""A video on disk in, its audio on disk out: ffmpeg runs once to look at the video and once to convert it."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from functions.convert import arguments, ffmpeg
from functions.convert.arguments import Limits
from functions.convert.container import check_end
from functions.convert.description import Audio, Description, read_description
from functions.model.media import Container, MediaError, Reason
from functions.model.options import Options

_CUT = {  # what ffmpeg says of a video that lost its end, only to exit with 0
    Container.MP4: "partial file|Packet corrupt",
    Container.MATROSKA: "File ended prematurely",
}


@dataclass(frozen=True)
class Result:
    """The finished audio."""

    duration: float  # seconds
    size: int  # bytes


def describe(
    path: Path, container: Container, limits: Limits, progress: Callable[[float], None] = lambda _: None
) -> Description:
    """Looks at a video.

    `progress` is called as by transcode(). Raises MediaError where the video's end is missing or nothing can be read,
    Interrupted, and OSError where this machine fails.
    """
    with path.open("rb") as file:
        check_end(file, path.stat().st_size, container)
    command = arguments.look(Path(path.name), container, limits)
    run = ffmpeg.run(command, path.parent, arguments.LOOK_SECONDS, lambda _: progress(0.0))
    if "\nInput #0" not in f"\n{run.messages}":
        raise ffmpeg.explain(run)
    return read_description(run.messages, container)


def transcode(
    source: Path,
    target: Path,
    description: Description,
    limits: Limits,
    progress: Callable[[float], None],
    options: Options,
) -> Result:
    """Writes the video's sound to `target`, as the options say.

    `progress` is called from this thread at least every ffmpeg.BEAT seconds with the fraction that is done, or with 0.0
    while the video's length is unknown. What it raises stops the work. Raises MediaError, Interrupted, and OSError
    where this machine fails (a full disk). Whatever is raised, nothing is left at `target`.
    """
    audio = choose(description, limits)

    def tick(done: float) -> None:
        if done > limits.duration + 1:  # the header lied
            raise MediaError(Reason.TOO_LONG, f"more than {limits.duration:.0f} s")
        progress(min(done / description.duration, 1.0) if description.duration else 0.0)

    try:
        written = Path(target.name) if target.parent == source.parent else target.absolute()
        command = arguments.convert(Path(source.name), written, description, audio, limits, options)
        run = ffmpeg.run(command, source.parent, arguments.allowed_seconds(description, limits), tick)
        result = _check(run, target, description, options)
        tick(run.done)
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    return result


def choose(description: Description, limits: Limits) -> Audio:
    """The stream to convert: the default one, else the first. Raises MediaError (no_audio, too_long)."""
    if not description.audio:
        raise MediaError(Reason.NO_AUDIO)
    if (description.duration or 0) > limits.duration:
        raise MediaError(Reason.TOO_LONG, f"{description.duration:.0f} s of at most {limits.duration:.0f}")
    return next((audio for audio in description.audio if audio.default), description.audio[0])


def _check(run: ffmpeg.Run, target: Path, description: Description, options: Options) -> Result:
    """Measures what was written. Raises MediaError where it falls short of the video, or what ffmpeg.explain() says."""
    if run.status or (description.container in _CUT and re.search(_CUT[description.container], run.messages)):
        raise ffmpeg.explain(run)
    with target.open("rb") as file:
        try:
            seconds = options.encoding.measure(file)
        except ValueError as error:
            raise MediaError(Reason.DAMAGED, str(error)) from error
    length = description.duration or 0.0
    if description.container == Container.FLAC and run.done < length - 0.1:
        raise MediaError(Reason.TRUNCATED, f"it ends at {run.done:.2f} s of {length:.2f} s")
    # Missing sound alone is no damage: it may end before the picture, and some recorders write none while it is silent.
    due = max(run.done, length) if re.search(r"^\[in#0.*\[error\]", run.messages, re.MULTILINE) else run.done
    if seconds < (1 - arguments.ERROR_RATE) * due and re.search(r"\[error\]|Packet corrupt", run.messages):
        raise MediaError(Reason.DAMAGED, f"{seconds:.2f} s of {due:.2f} s: {run.messages[-500:]}")
    return Result(seconds, target.stat().st_size)
