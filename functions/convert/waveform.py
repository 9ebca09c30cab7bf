"""A waveform: about 1,000 peaks of the real sound, in order, for a picture of it.

ffmpeg finds them while it converts, in a branch beside the encoder. In the encoder's own chain the same filters make a
conversion last a quarter longer; in an output of their own they hang ffmpeg 9.0.2 in 3 of 100 runs on a busy machine;
in a branch they cost 3 % more CPU and no time (measured). Each peak costs 0.035 ms, for astats clears its histograms
after it: a thousand of them were a fifth of the CPU that a clip of 3 s cost.

How many samples make a peak has to be said before anybody knows how long the sound is. So it follows from what the
file says, and where that was nothing, or a lie, the waveform is drawn once more.
"""

import re
from collections.abc import Iterable
from math import ceil
from pathlib import Path

PEAKS = 1000  # at most
SHORTEST = 0.01  # seconds to a peak; sound of less than ten seconds has fewer of them
UNKNOWN = 0.1  # seconds to a peak while nobody knows how long the sound is
_MOST = 10 * PEAKS  # that are written down, however long the sound turns out to be
FILE = "peaks"
_LINES = 2  # for each peak
_LEVEL = re.compile(r"^lavfi\.astats\.Overall\.Peak_level=(\S+)$", re.MULTILINE)
_SILENT = -120.0  # dBFS


def branch(
    filters: Iterable[str],
    sample_rate: int,
    seconds: float | None,
    *,
    last: str = "",
    file: str = FILE,
    skipped: int = 0,
) -> str:
    """A filter graph that passes sound through the filters to [audio], and writes down its peaks on the way.

    What is behind the filter `last`, if there is one, is not seen; nor are the first `skipped` peaks.
    """
    outputs = f"[all][seen];[all]{last}[audio]" if last else "[audio][seen]"
    return f"{','.join(filters)},asplit{outputs};[seen]{_peaks(sample_rate, seconds, file, skipped)},anullsink"


def sink(filters: Iterable[str], sample_rate: int, seconds: float | None) -> str:
    """A chain of filters that only writes down the peaks."""
    return ",".join((*filters, _peaks(sample_rate, seconds)))


def samples(sample_rate: int, seconds: float | None) -> int:
    """Of each peak of sound that is to be so long."""
    return ceil(sample_rate * (max(SHORTEST, seconds / PEAKS) if seconds else UNKNOWN))


def _peaks(sample_rate: int, seconds: float | None, file: str = FILE, skipped: int = 0) -> str:
    each = samples(sample_rate, seconds)
    return (
        f"atrim=start_sample={skipped * each}:end_sample={each * _MOST},asetnsamples=n={each}:p=0,"
        "astats=metadata=1:reset=1:measure_perchannel=none:measure_overall=Peak_level,"
        f"ametadata=mode=print:key=lavfi.astats.Overall.Peak_level:direct=1:file={file}"
    )


def append(folder: Path, file: str, skipped: int) -> None:
    """Puts the peaks of that file behind so many of those that were written down before it, and in place of others."""
    before, behind = folder / FILE, folder / file
    lines = before.read_text(encoding="ascii").splitlines(keepends=True)[: _LINES * skipped]
    before.write_text("".join(lines) + behind.read_text(encoding="ascii"), encoding="ascii")
    behind.unlink()


def read(folder: Path) -> bytes:
    """All the peaks that a run has written down: one byte each, 255 for full scale."""
    file = folder / FILE
    if not file.exists():
        return b""
    levels = bytes(map(_amplitude, _LEVEL.findall(file.read_text(encoding="ascii"))))
    file.unlink()
    return levels


def suits(levels: bytes, seconds: float) -> bool:
    """Whether what was written down shows sound of that length: all of it, and with the detail that it can have."""
    return min(PEAKS, seconds / SHORTEST) / 2 <= len(levels) < _MOST


def merge(levels: bytes) -> bytes:
    """The same, of at most PEAKS peaks that last equally long."""
    count = len(levels)
    if count <= PEAKS:
        return levels
    return bytes(max(levels[at * count // PEAKS : (at + 1) * count // PEAKS]) for at in range(PEAKS))


def _amplitude(decibels: str) -> int:
    level = float(decibels)  # "-inf" for silence, and "nan" or "inf" for samples that are no numbers
    if level >= 0:
        return 255
    return round(255 * 10 ** (level / 20)) if level > _SILENT else 0
