"""The formats that a video's sound can become, each with all that somebody has to know of it.

ffmpeg is told its codec and its muxer, a download has its MIME type and its suffix, and the disk must hold its bytes.
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
    highest_rate: int  # Hz; sound of a higher sample rate is resampled to this one
    most_bytes: int  # a second: no file of this format is larger, tags and cover aside
    measure: Callable[[BinaryIO], float]  # seconds that a finished file plays; raises ValueError where it has no length


MP3 = Encoding(
    name="MP3",
    suffix=".mp3",
    mime_type="audio/mpeg",  # RFC 3003
    codec="libmp3lame",
    muxer="mp3",
    muxer_arguments=("-id3v2_version", "3", "-write_xing", "1"),  # ID3v2.3: old players know no newer one
    highest_rate=48_000,
    most_bytes=320_000 // 8,
    measure=mpeg_audio.measure,
)
