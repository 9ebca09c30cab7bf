"""Whether a file holds enough for so much sound.

An index may play the same frames again and again: an MP4 of 28 KB became 94 MB of MP3, one of 101 KB twelve hours. What
people have holds more for each second, and be it silence (docs/facts.md, Media).
"""

from functions.model.media import MediaError, Reason

_LEAST = 50  # bytes for each second, 0.4 kbit/s: silence has 0.5 as AAC of 8 kHz, 0.65 as AMR, 0.86 as FLAC of 8 kHz
_FREE = 300.0  # seconds that any file may play: they cost little, and lossless silence packs as small as anybody likes
_SLACK = 1.1  # of what was done while it runs: encoders that work side by side do some of it twice


def check(seconds: float, size: int) -> None:
    """Raises MediaError (too_sparse) where a file of `size` bytes cannot be a recording of so many seconds."""
    if seconds > _most(size):
        raise MediaError(Reason.TOO_SPARSE, f"{seconds:.0f} s of sound in {size} bytes")


def check_running(seconds: float, size: int) -> None:
    """The same of what a run has done so far, whatever length the file claims."""
    check(seconds / _SLACK, size)


def _most(size: int) -> float:
    return max(_FREE, size / _LEAST)
