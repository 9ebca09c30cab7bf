"""Whether a conversion has lost too much of the sound: ffmpeg exits with 0 for most damaged videos."""

import re
from collections.abc import Callable
from typing import BinaryIO

from functions.convert import ffmpeg, tracks
from functions.convert.arguments import ERROR_RATE
from functions.convert.description import Description
from functions.convert.ffmpeg import Run
from functions.convert.sound import Span
from functions.convert.window import End
from functions.model.containers import Container
from functions.model.media import MediaError, Reason

_CUT = {  # what ffmpeg says of a video that lost its end, only to exit with 0
    Container.MP4: "partial file|Packet corrupt",
    Container.MATROSKA: "File ended prematurely",
}
# The containers that count their samples, so that they know exactly how long they are.
_COUNTED = {Container.FLAC, Container.WAVPACK, Container.TTA, Container.APE, Container.TAK, Container.MUSEPACK_8}
_NOTHING = "received no packets|nothing was encoded|does not contain any stream|matches no streams"
_OUTPUT = rf"{_NOTHING}|before EOF|^\[(?:aost|out|fc)#|^\[graph_"
_GAP = 0.1  # seconds
_LAST = 0.5  # seconds that may be broken at the end of a recording that was interrupted
_SLACK = 1.0  # seconds by which the sound may end later than the video says
_ERROR = re.compile(r"\[(?:error|fatal)\]|Packet corrupt")
_INPUT_ERROR = re.compile(r"^\[in#0.*\[error\]", re.MULTILINE)


def check_run(run: Run, seen: Description) -> None:
    """Raises tracks.Soundless where nothing came out, and what ffmpeg.explain() says of a run that failed."""
    if run.status and re.search(_NOTHING, run.messages) and not _ERROR.search(_without(run.messages, _OUTPUT)):
        raise tracks.Soundless
    if run.status or (is_cut(run, seen) and not is_interrupted(run, seen)):
        error = ffmpeg.explain(run)
        if seen.end is End.WHOLE and isinstance(error, MediaError) and error.reason is Reason.TRUNCATED:
            raise MediaError(Reason.DAMAGED, error.detail)  # nothing is missing: its index leads astray
        raise error


def is_cut(run: Run, seen: Description) -> bool:
    """Whether ffmpeg says that the video ends too soon."""
    return seen.container in _CUT and re.search(_CUT[seen.container], run.messages) is not None


def is_interrupted(run: Run, seen: Description) -> bool:
    """Whether the video is a recording that was stopped by force: it ends too soon, and announces no length.

    A Matroska that announces one is refused before it is converted (container.py).
    """
    if seen.container is Container.MATROSKA and seen.end is not End.WHOLE and is_cut(run, seen):
        return True
    return seen.end is End.INCOMPLETE


def measured(measure: Callable[[BinaryIO], float], file: BinaryIO) -> float:
    """The seconds that a file plays. Raises MediaError (damaged) where it does not say."""
    try:
        return measure(file)
    except ValueError as error:
        raise MediaError(Reason.DAMAGED, str(error)) from error


def check_length(run: Run, seconds: float, seen: Description, span: Span) -> None:
    """Raises MediaError where `seconds` fall too short of what was to come, tracks.Soundless where there are none.

    Missing sound alone is no damage: it may end before the picture, and some recorders write none while it is silent.
    """
    said = run.messages
    if seconds <= 0:
        if _ERROR.search(_without(said, _OUTPUT)):
            raise tracks.Soundless(Reason.DAMAGED, said[-500:])
        raise tracks.Soundless
    length = span.length(seen.duration) or 0.0
    if seen.container in _COUNTED and span == Span() and run.done < length - 0.1:
        raise MediaError(Reason.TRUNCATED, f"it ends at {run.done:.2f} s of {length:.2f} s")
    due, lost = run.done, 0.0
    if is_interrupted(run, seen):
        lost = _LAST
    elif _INPUT_ERROR.search(said):
        _check_demuxer(seen, said)
        due = max(due, length)
    if seconds < (1 - ERROR_RATE) * due - lost and _ERROR.search(said):
        raise MediaError(Reason.DAMAGED, f"{seconds:.2f} s of {due:.2f} s: {said[-500:]}")


def _check_demuxer(seen: Description, said: str) -> None:
    """A demuxer that gives up leaves all that is behind. Raises MediaError where no length tells how much that is."""
    if seen.container is Container.OGG and "Not yet implemented" in said:
        raise MediaError(
            Reason.UNSUPPORTED,
            said[-500:],
            say="The file holds several recordings of different kinds, one behind the other. Upload each by itself.",
        )
    if seen.duration is None:
        raise MediaError(Reason.DAMAGED, said[-500:])


def has_gaps(run: Run, seconds: float, seen: Description, span: Span) -> bool:
    """Whether the sound ends later, by the times of its frames, than it is long, and within what the file says."""
    length = span.length(seen.duration)
    return length is not None and seconds + _GAP < run.done <= length + _SLACK


def _without(messages: str, words: str) -> str:
    """The messages without the lines that have those words."""
    return "\n".join(line for line in messages.splitlines() if not re.search(words, line))
