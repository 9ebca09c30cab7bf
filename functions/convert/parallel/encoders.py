"""One MP3 by several encoders side by side: what each of them is given, and whether that pays.

Each reads the video from its front and passes its sound through all filters; then what is not its own is dropped. So
whatever the state of a decoder, of a resampler or of a limiter is, it has come about as in a single run, and the last
piece, behind which nothing is dropped, has heard all that a single run would have heard. Decoding takes about a twelfth
of the time, so the pieces grow shorter towards the end: all are done at the same time.

An encoder that is flushed does what its reservoir allows. Where the end is loud some tails are encoded too, each from
another frame on; only if they all end alike does it not matter what the reservoir held.
"""

import logging
from collections.abc import Callable
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
_TAIL_STEP = 31  # frames by which each tail begins earlier, so that its reservoir holds something else
_MPEG1 = 32_000  # Hz; below that a frame has half as many samples (ISO/IEC 13818-3, 2.4.2.3)


@dataclass(frozen=True)
class Piece:
    """What one encoder is given."""

    name: str  # of its file
    frame: int  # the first, in frames of the whole
    begin: float  # and in seconds
    filter: str  # of ffmpeg: drops all other sound
    hears_all: bool = False  # its waveform and its messages are those of the whole


Encode = Callable[[list[Piece]], list[ffmpeg.Run]]


class _Failed(Exception):
    """An encoder ended with an error."""


def count(options: Options, seconds: float | None, cores: int) -> int:
    """How many pieces sound of so many seconds is to have on so many cores.

    It has one with a constant bitrate: no frame may grow then, and both reservoirs would have to be equally full.
    """
    if options.format is not Format.MP3 or options.vbr is None:
        return 1
    return max(1, min(cores, _MOST, int((seconds or 0.0) / _SHORTEST)))


def encode(folder: Path, name: str, sound: Sound, seconds: float, count: int, encoded: Encode) -> ffmpeg.Run | None:
    """Makes the file of that name of so many pieces, each by `encoded`. Returns the run that heard all of the sound.

    None where they do not fit; a metric counts both. Nothing is left of the pieces. Raises what a run that failed says
    of this machine, and what `encoded` raises.
    """
    frames = seconds * sound.sample_rate / _samples(sound)
    shares = ((1 - _RATIO**at) / (1 - _RATIO**count) for at in range(1, count))
    pieces = cut(name, [int(frames * share) for share in shares], sound)
    files = [folder / piece.name for piece in pieces]
    tails: list[Piece] = []
    run, outcome = None, "joined"
    try:
        run = _ended(encoded(pieces))[-1]
        if joints.end_is_doubtful(files[-1]):
            tails = _tails(name, pieces[-1].frame + joints.count(files[-1]), count, sound)
            _ended(encoded(tails))
            joints.compare_ends(files[-1], [folder / tail.name for tail in tails])
        joints.join(files, [piece.frame for piece in pieces])
        files[0].rename(folder / name)
    except (_Failed, joints.Unjoined) as error:
        run, outcome = None, "failed" if isinstance(error, _Failed) else "unjoined"
        logging.getLogger("functions").warning("the sound is encoded once more, in one piece: %s", error)
    finally:
        for piece in (*pieces, *tails):
            (folder / piece.name).unlink(missing_ok=True)
    metrics.count_parallel(outcome)
    return run


def check_size(folder: Path, pieces: list[Piece], size: int) -> None:
    """Raises MediaError (too_large) where what is written so far has more bytes than the whole may have."""
    files = (folder / piece.name for piece in pieces)
    if sum(file.stat().st_size for file in files if file.exists()) > size:
        raise MediaError(Reason.TOO_LARGE, "the limit for the audio is reached")


def cut(name: str, begins: list[int], sound: Sound) -> list[Piece]:
    """The pieces, of which all but the first count from those frames on."""
    starts = [0, *(frame - joints.WARM_UP for frame in begins)]
    ends = [frame + joints.WINDOW + joints.TAIL for frame in begins]
    parts = [
        _piece(f"{name}.{at}", start, sound, end) for at, (start, end) in enumerate(zip(starts, ends, strict=False))
    ]
    return [*parts, _piece(f"{name}.{len(parts)}", starts[-1], sound, hears_all=True)]


def _tails(name: str, frames: int, count: int, sound: Sound) -> list[Piece]:
    starts = (frames - joints.WARM_UP - joints.WINDOW - _TAIL_STEP * at for at in range(max(2, min(count, 3))))
    return [_piece(f"{name}.end{at}", max(0, start), sound) for at, start in enumerate(starts)]


def _piece(name: str, frame: int, sound: Sound, end: int | None = None, *, hears_all: bool = False) -> Piece:
    samples = _samples(sound)
    ending = "" if end is None else f":end_sample={end * samples}"
    trim = f"atrim=start_sample={frame * samples}{ending}"
    return Piece(name, frame, frame * samples / sound.sample_rate, trim, hears_all)


def _samples(sound: Sound) -> int:
    """Of a frame."""
    return 1152 if sound.sample_rate >= _MPEG1 else 576


def _ended(runs: list[ffmpeg.Run]) -> list[ffmpeg.Run]:
    for run in runs:
        if run.status:
            error = ffmpeg.explain(run)
            raise _Failed(str(error)) if isinstance(error, MediaError) else error
    return runs
