"""A waveform: about 1,000 peaks of the real sound, in order, for a picture of it.

ffmpeg finds them while it converts, in an output of its own that nobody keeps: within the chain of the encoder the same
filters take a quarter of its time again, beside it they take none (measured).
"""

import re
from collections.abc import Iterator
from pathlib import Path

from functions.convert.sound import Sound

PEAKS = 1000  # at most
UNKNOWN = 0.1  # seconds to a peak while nobody knows how long the sound is
_FILE = "peaks"
_LEVEL = re.compile(r"^lavfi\.astats\.Overall\.Peak_level=(\S+)$", re.MULTILINE)
_SILENT = -120.0  # dBFS


def output(stream: str, sound: Sound, seconds: float | None, most: float) -> list[str]:
    """A second output of a run, which writes down the peaks of the sound that the encoder is given."""
    samples = max(1, round(sound.sample_rate * (seconds / PEAKS if seconds else UNKNOWN)))
    filters = (
        f"asetnsamples=n={samples}:p=0",
        "astats=metadata=1:reset=1:measure_perchannel=none:measure_overall=Peak_level",
        f"ametadata=mode=print:key=lavfi.astats.Overall.Peak_level:file={_FILE}",
    )
    chain = ",".join((*sound.filters, *filters))
    return ["-map", stream, "-vn", "-sn", "-dn", "-af", chain, "-t", str(most), "-f", "null", "-"]


def read(folder: Path) -> bytes:
    """The peaks that a run has written down: one byte each, 255 for full scale. At most PEAKS of them."""
    file = folder / _FILE
    levels = [_amplitude(text) for text in _LEVEL.findall(file.read_text(encoding="ascii"))] if file.exists() else []
    step = -(-len(levels) // PEAKS) or 1  # more than expected, where the length was not known or was a lie
    return bytes(_merged(levels, step))


def _merged(levels: list[int], step: int) -> Iterator[int]:
    for at in range(0, len(levels), step):
        yield max(levels[at : at + step])


def _amplitude(decibels: str) -> int:
    level = float(decibels)  # "-inf" for silence
    return min(255, round(255 * 10 ** (level / 20))) if level > _SILENT else 0
