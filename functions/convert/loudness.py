"""Loudness by EBU R 128: measured first, then reached by a constant gain, and its true peak held below -1 dBTP.

The gain is the same for all of the sound, so its dynamics stay as they are. Only where it would lift a peak above the
limit does a limiter hold that peak, on four times the samples, as ITU-R BS.1770 measures true peaks.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from functions.convert import ffmpeg
from functions.convert.jail import Jail, open_by
from functions.convert.sound import Sound
from functions.model.media import MediaError
from functions.model.options import SPOKEN, Options

PEAK = -1.0  # dBTP, at most (EBU R 128)
_MONO_PODCAST = -19.0  # LUFS: one channel that two speakers play is as loud as two at -16
_HEADROOM = 0.7  # dB below PEAK for the limiter: an encoder that loses something overshoots
_QUIETEST = -69.0  # LUFS; BS.1770's absolute gate is at -70, below which there is nothing to measure
_OVERSAMPLED = 192_000  # Hz
_SUMMARY = re.compile(r"Integrated loudness:\s+I:\s+(\S+) LUFS.*?True peak:\s+Peak:\s+(\S+) dBFS", re.DOTALL)
QUIET = ("-loglevel", "level+info", "-nostats", "-progress", "pipe:1", "-stats_period", "0.5")


@dataclass(frozen=True)
class Measured:
    """Integrated loudness in LUFS and true peak in dBTP; None where the sound is too short or too quiet for one."""

    lufs: float | None
    dbtp: float | None


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


def read(run: ffmpeg.Run) -> Measured:
    """What a run has measured. Raises what ffmpeg.explain() says of one that failed."""
    if run.status:
        raise ffmpeg.explain(run)
    found = _SUMMARY.findall(run.messages)
    lufs, dbtp = (float(text) for text in found[-1]) if found else (float("-inf"), float("-inf"))
    return Measured(lufs if lufs > _QUIETEST else None, dbtp if dbtp > _QUIETEST else None)


def filters(before: Measured, wanted: float, sound: Sound, excess: float = 0.0) -> tuple[str, ...]:
    """The filters that make sound as loud as is wanted; `excess` is by how many dB a first attempt peaked too high."""
    if before.lufs is None:
        return ()
    gain = wanted - before.lufs
    ceiling = PEAK - _HEADROOM - excess
    change = f"volume={gain:.2f}dB:precision=float"
    if before.dbtp is None or before.dbtp + gain <= ceiling:
        return (change,)
    limiter = f"alimiter=level=disabled:attack=5:release=50:limit={10 ** (ceiling / 20):.6f}"
    return (change, f"aresample={_OVERSAMPLED}", limiter, f"aresample={sound.sample_rate}")


def measure_file(jail: Jail, name: str, demuxer: str, duration: float) -> Measured:
    """How loud a finished file is; nothing where it cannot be read, which is no reason to lose it."""
    words = ["-map", "0:a:0", "-vn", "-sn", "-dn", "-af", chain(()), "-f", "null", "-"]
    run = jail.run([*QUIET, *open_by(name, demuxer), *words], duration)
    try:
        return read(run)
    except MediaError:
        return Measured(None, None)
