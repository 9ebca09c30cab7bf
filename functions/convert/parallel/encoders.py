"""One MP3 by several encoders side by side: what each of them is given, and whether that pays.

Each reads the video from its front and passes its sound through all filters; then what is not its own is dropped. So
whatever the state of a decoder, of a resampler or of a limiter is, it has come about as in a single run, and the last
piece, behind which nothing is dropped, has seen all that a single run would have seen. Decoding takes about a twelfth
of the time, so the pieces grow shorter towards the end: all are done at the same time.
"""

import logging
from dataclasses import dataclass
from pathlib import Path

from functions.convert import ffmpeg
from functions.convert.parallel import joints
from functions.convert.sound import Sound
from functions.model.media import MediaError, Reason
from functions.model.options import Format, Options
from functions.runtime import metrics

_MOST = 8
_SHORTEST = 60.0  # seconds of sound for each piece: below that they gain less than they cost
_RATIO = 0.8  # the length of each piece to the one before
_MPEG1 = 32_000  # Hz; below that a frame has half as many samples (ISO/IEC 13818-3, 2.4.2.3)


@dataclass(frozen=True)
class Piece:
    """What one encoder is given."""

    name: str  # of its file
    frame: int  # the first, in frames of the whole
    begin: float  # and in seconds
    filter: str  # of ffmpeg: drops all other sound


def count(options: Options, seconds: float | None, cores: int) -> int:
    """How many pieces sound of so many seconds is to have on so many cores.

    It has one with a constant bitrate: no frame may grow then, and both reservoirs would have to be equally full.
    """
    if options.format is not Format.MP3 or options.vbr is None:
        return 1
    return max(1, min(cores, _MOST, int((seconds or 0.0) / _SHORTEST)))


def plan(name: str, sound: Sound, seconds: float, count: int) -> list[Piece]:
    """The pieces of a file of that name, each _RATIO times as long as the one before."""
    samples = 1152 if sound.sample_rate >= _MPEG1 else 576  # of a frame
    frames = seconds * sound.sample_rate / samples
    shares = ((1 - _RATIO**at) / (1 - _RATIO**count) for at in range(1, count))
    return cut(name, [int(frames * share) for share in shares], samples, sound.sample_rate)


def cut(name: str, begins: list[int], samples: int, hertz: int) -> list[Piece]:
    """The pieces, of which all but the first begin to count with those frames, of so many samples each."""
    starts = [0, *(frame - joints.WARM_UP for frame in begins)]
    ends = [f":end_sample={(frame + joints.WINDOW + joints.TAIL) * samples}" for frame in begins]
    return [
        Piece(f"{name}.{at}", start, start * samples / hertz, f"atrim=start_sample={start * samples}{end}")
        for at, (start, end) in enumerate(zip(starts, [*ends, ""], strict=True))
    ]


def check_size(folder: Path, plan: list[Piece], size: int) -> None:
    """Raises MediaError (too_large) where what is written so far has more bytes than the whole may have."""
    files = (folder / piece.name for piece in plan)
    if sum(file.stat().st_size for file in files if file.exists()) > size:
        raise MediaError(Reason.TOO_LARGE, "the limit for the audio is reached")


def join(folder: Path, plan: list[Piece], name: str, runs: list[ffmpeg.Run]) -> bool:
    """Makes the file of that name of its pieces, whose encoders have ended so.

    Where that cannot be done nothing of the pieces is left, and a metric counts it. Raises what a run that failed says
    of this machine.
    """
    files = [folder / piece.name for piece in plan]
    try:
        for run in runs:
            if run.status:
                raise ffmpeg.explain(run)
        joints.join(files, [piece.frame for piece in plan])
    except (MediaError, joints.Unjoined) as error:
        outcome = "failed" if isinstance(error, MediaError) else "unjoined"
        logging.getLogger("functions").warning("the sound is encoded once more, in one piece: %s", error)
        for file in files:
            file.unlink(missing_ok=True)
    else:
        outcome = "joined"
        files[0].rename(folder / name)
    metrics.count_parallel(outcome)
    return outcome == "joined"
