"""The formats that audio can have, each with all that other modules need to know about it.

ffmpeg needs its codec and muxer, a download its MIME type and suffix, and the disk's reservation its largest size.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

from functions.model import mpeg_audio


@dataclass(frozen=True)
class Encoding:
    """One format of audio."""

    name: str  # as people write it
    suffix: str  # of a file's name, with its dot
    mime_type: str
    codec: str  # ffmpeg's encoder
    muxer: str  # ffmpeg's writer of the file around it
    muxer_arguments: tuple[str, ...]
    max_sample_rate: int  # Hz; sound of a higher sample rate is resampled to this one
    max_bytes_per_second: int  # not counting tags and cover
    measure: Callable[[BinaryIO], float]  # seconds that a finished file plays; raises ValueError where it has no length


MP3 = Encoding(
    name="MP3",
    suffix=".mp3",
    mime_type="audio/mpeg",  # RFC 3003
    codec="libmp3lame",
    muxer="mp3",
    muxer_arguments=("-id3v2_version", "3", "-write_xing", "1"),  # ID3v2.3: old players know no newer one
    max_sample_rate=48_000,
    max_bytes_per_second=320_000 // 8,
    measure=mpeg_audio.measure,
)
