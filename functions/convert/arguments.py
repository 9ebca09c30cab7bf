"""What ffmpeg is told: argument lists made of values alone, and the jail that each of them begins with.

ffmpeg opens strangers' files, so it sees local files only, through the one demuxer that sniffing has found, and has
limits of time, memory and output.
"""

import os
import shutil
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Self

from functions.convert.description import Audio, Description
from functions.model.media import Container
from functions.model.options import Options

if TYPE_CHECKING:
    from functions.runtime.settings import Settings

LOOK_SECONDS = 60  # how long the look at a video may take
# Tags that describe the container and not the sound, and those of the place: people pass their audio on, and it must
# not tell where it was recorded.
_UNWANTED_TAGS = (
    *("major_brand", "minor_version", "compatible_brands", "creation_time"),
    *("location", "location-eng", "com.apple.quicktime.location.ISO6709"),
)
ERROR_RATE = 0.1  # the share of the sound that may be lost to damage


@dataclass(frozen=True)
class Limits:
    """What the conversion of one video may cost. What can be set has its default in the settings, and none here."""

    duration: float  # seconds that the video plays
    size: int  # bytes of the audio
    work: float  # seconds that ffmpeg works
    memory: int = 2**30  # bytes of ffmpeg's address space, which nobody has needed to set

    @classmethod
    def of(cls, settings: "Settings") -> Self:
        """The limits that an operator has set."""
        return cls(settings.max_duration_seconds, settings.max_audio_bytes, settings.convert_seconds)


def allowed_seconds(description: Description, limits: Limits) -> float:
    """How long one conversion may take: half the video's length and a minute, but no longer than the limit.

    So a stuck ffmpeg is not waited for longer than its video deserves.
    """
    return min(limits.work, 60 + description.duration / 2) if description.duration else limits.work


def look(path: Path, container: Container, limits: Limits) -> list[str]:
    """The argument list that makes ffmpeg report what a file holds."""
    return [*_jail(limits, LOOK_SECONDS, 0), *_open(path, container)]


def convert(
    source: Path, target: Path, description: Description, audio: Audio, limits: Limits, options: Options
) -> list[str]:
    """The argument list that converts one audio stream, and keeps its tags, chapters, cover and sample rate.

    The cover is mapped by its index and copied, for a plain -vn would drop it.
    """
    cover, encoding = description.cover, options.encoding
    return [
        *_jail(limits, allowed_seconds(description, limits), limits.size),
        *("-loglevel", "level+warning", "-nostats", "-progress", "pipe:1", "-stats_period", "0.5"),
        *("-max_error_rate", str(ERROR_RATE)),
        *_open(source, description.container),
        *("-map", f"0:{audio.index}", "-sn", "-dn"),
        *(("-vn",) if cover is None else ("-map", f"0:{cover}", "-c:v", "copy", "-disposition:v", "attached_pic")),
        *("-map_metadata", "0", "-map_chapters", "0"),
        *(("-map_metadata", f"0:s:{audio.index}") if description.container == Container.OGG else ()),  # its only tags
        *(word for tag in _UNWANTED_TAGS for word in ("-metadata", f"{tag}=")),
        *("-c:a", encoding.codec, "-q:a", str(options.vbr)),
        *(("-ar", str(encoding.highest_rate)) if (audio.hertz or 0) > encoding.highest_rate else ()),
        *("-t", str(limits.duration + 2)),  # whatever length the header claims
        *("-af", "asetpts=PTS-STARTPTS"),  # so that out_time is where the sound ends, counted from where it begins
        *("-f", encoding.muxer, *encoding.muxer_arguments, "-y", f"file:{target}"),
    ]


@cache
def binary() -> str:
    """Path of the ffmpeg that MoviePy uses.

    imageio-ffmpeg names it, which is where MoviePy asks too: importing moviepy.config would load all of MoviePy.
    """
    from imageio_ffmpeg import get_ffmpeg_exe

    return shutil.which(path := str(get_ffmpeg_exe())) or path


def _jail(limits: Limits, seconds: float, size: int) -> list[str]:
    """The front of every command: stay within limits, die with our thread, have no rights and gain none.

    The rights are dropped last, because a process that needs one to get through a closed directory
    (emulator/privileges.py) has to find ffmpeg with it. `size` is the largest file that may be written, in bytes.
    """
    cpu = int(seconds * (os.cpu_count() or 1)) + 1
    return [
        *("prlimit", f"--as={limits.memory}", f"--cpu={cpu}:{cpu + 5}", f"--fsize={size}", "--core=0", "--nofile=32"),
        *("--", "setpriv", "--pdeathsig", "KILL", "--no-new-privs", "--inh-caps=-all"),
        *("--", binary(), "-nostdin", "-hide_banner"),
    ]


def _open(path: Path, container: Container) -> list[str]:
    return [
        *("-protocol_whitelist", "file", "-format_whitelist", container.value, "-f", container.value),
        *("-i", f"file:{path}"),
    ]
