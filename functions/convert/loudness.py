"""Loudness by EBU R 128: measured first, then reached by a constant gain, and its true peak held below -1 dBTP.

The gain is the same for all of the sound, so its dynamics stay as they are. Only where it would lift a peak above the
limit does a limiter hold that peak, on four times the samples, as ITU-R BS.1770 measures true peaks. What an encoder
makes of it is measured on the finished file: at low bitrates it peaks up to 4 dB higher than what it was given, and is
up to 2 LU quieter (measured), which a second attempt makes good.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import inf, log10

from functions.convert import ffmpeg
from functions.convert.ffmpeg import Run
from functions.convert.jail import Jail, open_by
from functions.convert.sound import Sound
from functions.model.media import MediaError
from functions.model.options import SPOKEN, Options

PEAK = -1.0  # dBTP, at most (EBU R 128)
ATTEMPTS = 3  # at most; the second reaches it nearly always
_MONO_PODCAST = -19.0  # LUFS: one channel that two speakers play is as loud as two at -16
_HEADROOM = 0.6  # dB below PEAK for the limiter: fewer samples have higher peaks between them, and so has what is lossy
_MARGIN = 0.2  # dB by which a correction goes further than what it corrects
_NEAR = 0.4  # LU off what is wanted are near enough
_HARD = 3.0  # dB that a limiter takes off; where it has to take more, more gain makes nothing louder but its distortion
_QUIETEST, _LOUDEST = -69.0, 100.0  # LUFS; BS.1770's absolute gate is at -70; beyond the other no number is a sound's
_GATE = 10.0  # LU below the mean, where BS.1770 no longer counts what is quiet
_OVERSAMPLED = 192_000  # Hz
_SUMMARY = re.compile(r"Integrated loudness:\s+I:\s+(\S+) LUFS.*?True peak:\s+Peak:\s+(\S+) dBFS", re.DOTALL)
# What ffmpeg says beside warnings, and the further lines of it: a video's tags, for the most part.
_TALK = re.compile(r"^(?:\s|(?:\[[^\]]*\] )?\[info\]).*\n?", re.MULTILINE)
QUIET = ("-loglevel", "level+info", "-nostats", "-progress", "pipe:1", "-stats_period", "0.5")


@dataclass(frozen=True)
class Measured:
    """Integrated loudness in LUFS and true peak in dBTP; None where the sound is too short or too quiet for one."""

    lufs: float | None
    dbtp: float | None


NOTHING = Measured(None, None)


@dataclass(frozen=True)
class Change:
    """What is done to the sound: a gain, and where that lifts peaks above the ceiling, a limiter that holds them."""

    gain: float  # dB
    ceiling: float  # dBTP
    peak: float  # dBTP of the sound once it has the gain, if nothing held it

    def filters(self, sound: Sound) -> tuple[str, ...]:
        """The filters that do it."""
        gain = f"volume={self.gain:.2f}dB:precision=float"
        if self.peak <= self.ceiling:
            return (gain,)
        # Without `latency` it would come out 5 ms later, and end as much too soon.
        limiter = f"alimiter=level=disabled:attack=5:release=50:latency=1:limit={_amplitude(self.ceiling):.6f}"
        return (gain, f"aresample={_OVERSAMPLED}", limiter, f"aresample={sound.sample_rate}")

    def corrected(self, after: Measured, wanted: float) -> "Change | None":
        """The change to make instead, where this one has led to `after`; None where that is as it should be."""
        excess = -inf if after.dbtp is None else after.dbtp - PEAK
        missing = 0.0 if after.lufs is None else wanted - after.lufs
        if self.peak > self.ceiling + _HARD or abs(missing) <= _NEAR:
            missing = 0.0
        if excess <= 0 and not missing:
            return None
        ceiling = min(self.ceiling, self.peak) - excess - _MARGIN if excess > 0 else self.ceiling
        return Change(self.gain + missing, max(ceiling, _LOWEST_CEILING), self.peak + missing)


_LOWEST_CEILING = -24.0  # dBTP, as low as ffmpeg's limiter goes


def target(options: Options, sound: Sound) -> float | None:
    """The loudness that is asked for, in LUFS; None for that of the source."""
    if isinstance(options.loudness, float | int):
        return float(options.loudness)
    if options.loudness == "podcast" and sound.channels == 1:
        return _MONO_PODCAST
    return SPOKEN[options.loudness]


def chain(filters: Iterable[str]) -> str:
    """A chain of filters that measures what comes out of these."""
    return ",".join((*filters, "ebur128=peak=true:framelog=quiet"))


def read(run: Run) -> Measured:
    """What a run has measured.

    ffmpeg measures last of all, so that nothing in a video's tags, which it shows before, can be taken for it.
    """
    found = _SUMMARY.search(run.messages.rpartition("Summary:")[2])
    return Measured(*map(_level, found.groups())) if found else NOTHING


def troubles(run: Run) -> Run:
    """The run with its warnings and errors alone, as one that measures nothing has them."""
    return replace(run, messages=_TALK.sub("", run.messages))


def change(before: Measured, wanted: float) -> Change | None:
    """What makes sound as loud as is wanted; None where it has no loudness."""
    if before.lufs is None:
        return None
    gain = wanted - before.lufs
    return Change(gain, PEAK - _HEADROOM, -inf if before.dbtp is None else before.dbtp + gain)


def together(parts: Sequence[tuple[Measured, float]]) -> Measured:
    """Of parts and the seconds that each plays: their mean by power, without those that are far below, and the peak.

    The gates of BS.1770 are for blocks of 0.4 s; within a part its own loudness has applied them.
    """
    heard = [(each.lufs, seconds) for each, seconds in parts if each.lufs is not None]
    peak = max((each.dbtp for each, _ in parts if each.dbtp is not None), default=None)
    if not heard:
        return Measured(None, peak)
    mean = _mean(heard)
    return Measured(round(_mean([each for each in heard if each[0] > mean - _GATE]), 1), peak)


def measure_file(jail: Jail, name: str, demuxer: str, duration: float) -> Measured:
    """How loud a finished file is; nothing where it cannot be read, which is no reason to lose it.

    Raises ffmpeg.Interrupted, and OSError where this machine fails.
    """
    words = ["-map", "0:a:0", "-vn", "-sn", "-dn", "-af", chain(()), "-f", "null", "-"]
    run = jail.run([*QUIET, *open_by(name, demuxer), *words], duration)
    if run.status:
        error = ffmpeg.explain(troubles(run))
        if not isinstance(error, MediaError):
            raise error
    return read(run)


def _mean(parts: Sequence[tuple[float, float]]) -> float:
    power = sum(10 ** (level / 10) * seconds for level, seconds in parts) / sum(seconds for _, seconds in parts)
    return 10 * log10(power)


def _level(text: str) -> float | None:
    """A number of the report; None for "-inf", "nan" and the like."""
    level = float(text)
    return level if _QUIETEST < level < _LOUDEST else None


def _amplitude(decibels: float) -> float:
    return float(10 ** (decibels / 20))
