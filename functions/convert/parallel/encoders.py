"""One MP3 by several encoders side by side: what each of them is given, and who of them makes it.

The first one is that of a plain conversion. When it comes to where the next piece begins it pauses, until the others
are done and all fit together. Where they do not it goes on, as if it had been alone: so little is lost by trying.

Each reads the video from its front and passes its sound through all filters; then what is not its own is dropped. So
whatever the state of a decoder, of a resampler or of a limiter is, it has come about as in a single run, and the last
piece, behind which nothing is dropped, has heard all that a single run would have heard. Decoding takes about a twelfth
of the time, so the pieces grow shorter towards the end: all are done at the same time.

An encoder that is flushed does what its reservoir allows. Where the end is loud some tails are encoded too, each from
another frame on; only if they all end alike does it not matter what the reservoir held.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from functions.convert import ffmpeg, waveform
from functions.convert.parallel import joints
from functions.convert.parallel.layer3 import Unreadable
from functions.convert.parallel.reservoir import Watch
from functions.convert.sound import Sound
from functions.model.options import Format, Options
from functions.runtime import metrics

BEAT = 0.05  # seconds from one look at the encoders to the next
_MOST = 8
_SHORTEST = 90.0  # seconds of sound for each piece: below that they gain less than they cost
_RATIO = 0.83  # the length of each piece to the one before
_TAILS = 2
_RUN_UP = 2  # seconds that are read before a tail, so that the decoder has found its way
_TAIL_STEP = 31  # frames by which each tail begins earlier, so that its reservoir holds something else
_MPEG1 = 32_000  # Hz; below that a frame has half as many samples (ISO/IEC 13818-3, 2.4.2.3)


@dataclass(frozen=True)
class Piece:
    """What one encoder is given."""

    name: str  # of its file
    frame: int  # the first, in frames of the whole
    begin: float  # and in seconds
    filter: str = ""  # of ffmpeg: drops all other sound
    peaks: str = ""  # the file for the waveform from there on
    skipped: int = 0  # whole seconds of the video that are not read


Steer = Callable[[list[ffmpeg.Running]], None]
Encode = Callable[[list[Piece], Steer], list[ffmpeg.Run]]


class _Failed(Exception):
    """Another encoder than the first ended with an error."""


def count(options: Options, seconds: float | None, cores: int) -> int:
    """How many pieces sound of so many seconds is to have on so many cores.

    It has one with a constant bitrate: no frame may grow then, and both reservoirs would have to be equally full.
    """
    if options.format is not Format.MP3 or options.vbr is None:
        return 1
    return max(1, min(cores, _MOST, int((seconds or 0.0) / _SHORTEST)))


def encode(
    folder: Path, name: str, sound: Sound, seconds: float, count: int, most: int, encoded: Encode, *, can_skip: bool
) -> tuple[ffmpeg.Run, list[Piece]]:
    """Makes the file of that name by `count` encoders, or by the first; a metric counts which. No piece is left.

    All together they write at most `most` bytes. `encoded` runs ffmpeg for each piece, and calls what steers them every
    BEAT seconds. `can_skip` says that what is read of the video from a whole second on is likely to have the same
    samples. Returns the run that heard all of the sound, and the pieces that are joined to the first, each with its
    part of the waveform. Raises what `encoded` raises.
    """
    frames = seconds * sound.sample_rate / _samples(sound)
    shares = ((1 - _RATIO**at) / (1 - _RATIO**count) for at in range(1, count))
    pieces = cut(name, [int(frames * share) for share in shares], sound)
    for file in {name for piece in pieces for name in (piece.name, piece.peaks)}:
        (folder / file).unlink(missing_ok=True)  # what an earlier attempt has left is none of their work
    race = _Race(folder, pieces, sound, most, encoded, can_skip)
    try:
        runs = encoded(pieces, race.steer)
    finally:
        race.close()
    metrics.count_parallel(race.outcome)
    return (runs[-1], pieces[1:]) if race.outcome == "joined" else (runs[0], [])


class _Race:
    """Between the first encoder and all of them together."""

    def __init__(
        self, folder: Path, pieces: list[Piece], sound: Sound, most: int, encoded: Encode, can_skip: bool
    ) -> None:
        self._folder, self._pieces, self._sound, self._encoded = folder, pieces, sound, encoded
        self._most, self._can_skip = most, can_skip
        self._paths = [folder / piece.name for piece in pieces]
        self._first = Watch(self._paths[0])
        self._watches = [Watch(path, joints.WARM_UP) for path in self._paths[1:]]
        self._enough = pieces[1].frame + joints.WARM_UP + joints.WINDOW  # frames that are wanted of the first
        self._is_decided = False
        self.outcome = "unjoined"

    def steer(self, running: list[ffmpeg.Running]) -> None:
        """Lets the first pause where the next begins, and decides who wins as soon as that can be known."""
        if self._is_decided:
            return
        first, *others = running
        try:
            self._look(first, others)
        except (_Failed, joints.Unjoined, Unreadable) as error:
            self._is_decided, self.outcome = True, "failed" if isinstance(error, _Failed) else "unjoined"
            logging.getLogger("functions").info("the sound is encoded in one piece: %s", error)
            for each in others:
                each.kill()
            self._remove(self._paths[1:])
            first.go_on()

    def _look(self, first: ffmpeg.Running, others: list[ffmpeg.Running]) -> None:
        if first.status is not None:
            raise joints.Unjoined("the first was done before the others")
        if any(each.status for each in others):
            raise _Failed("an encoder ended with an error")
        if any(watch.is_doubtful() for watch in self._watches):
            raise joints.Unjoined("loud sound may have been given other bits")
        if sum(path.stat().st_size for path in self._paths if path.exists()) > self._most:
            raise joints.Unjoined("together they may be too large")
        if self._first.count() >= self._enough:
            first.pause()
            if all(each.status == 0 for each in others):
                found = self._find_joints()
                first.kill()
                first.end()  # from here on nobody writes its file
                joints.join(self._paths, found)
                self._is_decided, self.outcome = True, "joined"

    def _find_joints(self) -> list[joints.Joint]:
        if any(watch.is_doubtful() for watch in self._watches):  # what has come since the encoder was seen at work
            raise joints.Unjoined("loud sound may have been given other bits")
        ways = (True, False) if self._can_skip else (False,)
        if joints.end_is_doubtful(self._paths[-1]) and not any(self._ends_alike(skip=skip) for skip in ways):
            raise joints.Unjoined("the end may have been given other bits")
        return joints.find(self._paths, [piece.frame for piece in self._pieces])

    def _ends_alike(self, *, skip: bool) -> bool:
        """Whether the end is encoded in the same way again; that it is not may be the fault of what was skipped."""
        last = self._pieces[-1]
        tails = _tails(last.name, last.frame + joints.count(self._paths[-1]), self._sound, skip=skip)
        paths = [self._folder / tail.name for tail in tails]
        try:
            runs = self._encoded(tails, lambda _: None)
            return all(run.status == 0 for run in runs) and joints.are_ends_alike(self._paths[-1], paths)
        finally:
            self._remove(paths)

    def close(self) -> None:
        """Leaves nothing of the other pieces but, where they are joined, their waveform."""
        for watch in (self._first, *self._watches):
            watch.close()
        self._remove(self._paths[1:])
        if self.outcome != "joined":
            self._remove([self._folder / piece.peaks for piece in self._pieces[1:]])

    def _remove(self, paths: list[Path]) -> None:
        for path in paths:
            path.unlink(missing_ok=True)


def cut(name: str, begins: list[int], sound: Sound) -> list[Piece]:
    """The pieces, of which all but the first count from those frames on; the first is the whole."""
    starts = [frame - joints.WARM_UP for frame in begins]
    ends = [*(frame + joints.WINDOW + joints.TAIL for frame in begins[1:]), None]
    parts = [
        replace(_piece(f"{name}.{at}", start, sound, end), peaks=f"{waveform.FILE}.{at}")
        for at, (start, end) in enumerate(zip(starts, ends, strict=True), start=1)
    ]
    return [Piece(name, 0, 0.0, peaks=waveform.FILE), *parts]


def _tails(name: str, frames: int, sound: Sound, *, skip: bool) -> list[Piece]:
    starts = [max(0, frames - joints.WARM_UP - joints.WINDOW - _TAIL_STEP * at) for at in range(_TAILS)]
    skipped = max(0, starts[-1] * _samples(sound) // sound.sample_rate - _RUN_UP) if skip else 0
    return [_piece(f"{name}.end{at}", start, sound, skipped=skipped) for at, start in enumerate(starts)]


def _piece(name: str, frame: int, sound: Sound, end: int | None = None, skipped: int = 0) -> Piece:
    samples = _samples(sound)
    ending = "" if end is None else f":end_sample={end * samples}"
    trim = f"atrim=start_sample={frame * samples - skipped * sound.sample_rate}{ending}"
    return Piece(name, frame, frame * samples / sound.sample_rate, trim, skipped=skipped)


def _samples(sound: Sound) -> int:
    """Of a frame."""
    return 1152 if sound.sample_rate >= _MPEG1 else 576
