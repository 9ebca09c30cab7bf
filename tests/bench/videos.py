"""Long videos to measure with."""

import subprocess
from pathlib import Path

from functions.convert.jail import binary

CLIP = 10  # seconds
HOUR = 3600


def long(directory: Path, minutes: int) -> Path:
    """An MP4 of that many minutes: stereo AAC, which is what takes time, and a small picture."""
    path = directory / f"long-{minutes}.mp4"
    sound = "aevalsrc=0.3*sin(880*PI*t)+0.1*random(0)|0.3*sin(660*PI*t)+0.1*random(1):s=44100"
    words = ("-t", str(minutes * 60), "-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac")
    _ffmpeg("-f", "lavfi", "-i", "testsrc=s=160x120:r=10", "-f", "lavfi", "-i", sound, *words, str(path))
    return path


def huge(directory: Path, megabytes: int) -> Path:
    """A Matroska file of an hour and about that many MB: its picture is not compressed at all.

    It is a clip of ten seconds that is repeated without being encoded again.
    """
    path, clip = directory / f"huge-{megabytes}.mkv", directory / "clip.mkv"
    height = 120
    width = round(megabytes * 2**20 / (HOUR * 10 * 1.5 * height)) // 2 * 2  # 10 pictures a second, 1.5 bytes a pixel
    picture = ("-f", "lavfi", "-i", f"testsrc=s={width}x{height}:r=10", "-pix_fmt", "yuv420p", "-c:v", "rawvideo")
    sound = ("-f", "lavfi", "-i", "sine=440:r=22050", "-c:a", "aac", "-ac", "1")
    _ffmpeg(*picture[:4], *sound[:4], "-t", str(CLIP), *picture[4:], *sound[4:], str(clip))
    _ffmpeg("-stream_loop", "-1", "-i", str(clip), "-t", str(HOUR), "-c", "copy", str(path))
    clip.unlink()
    return path


def _ffmpeg(*words: str) -> None:
    subprocess.run([binary(), "-nostdin", "-v", "error", "-y", *words], check=True)
