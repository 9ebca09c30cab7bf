"""A video to try the system with: a few seconds of a test picture and a tone."""

from pathlib import Path

from imageio_ffmpeg import get_ffmpeg_exe

from emulator import privileges
from emulator.processes import Process

_PICTURE, _TONE = "testsrc2=size=320x180:rate=10:duration=5", "sine=frequency=440:duration=5"


def make(directory: Path) -> Path:
    """Make the video in `directory`, unless an earlier call has. Raises PartFailed."""
    folder, unfinished = directory / "sample", "unfinished.mp4"
    video = folder / "sample.mp4"
    if not video.exists():
        privileges.make_writable_directory(folder)
        inputs = ["-f", "lavfi", "-i", _PICTURE, "-f", "lavfi", "-i", _TONE]
        argv = [get_ffmpeg_exe(), "-nostdin", "-y", "-v", "error", *inputs, "-preset", "ultrafast", unfinished]
        Process("sample", argv, directory, cwd=folder).finish(seconds=60)
        (folder / unfinished).rename(video)
    return video
