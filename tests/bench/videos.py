"""Long videos to measure with. Each is a clip of ten seconds that is repeated without being encoded again."""

import subprocess
from pathlib import Path

from functions.convert.jail import binary

CLIP = 10  # seconds
HOUR = 3600


def long(directory: Path, minutes: int) -> Path:
    """An MP4 of that many minutes: stereo AAC, which is what takes time, and a small picture."""
    sound = "aevalsrc=0.3*sin(880*PI*t)+0.1*random(0)|0.3*sin(660*PI*t)+0.1*random(1):s=44100"
    return _repeat(directory / f"long-{minutes}.mp4", minutes * 60, sound, "160x120", "-c:v", "libx264", "-c:a", "aac")


def huge(directory: Path, megabytes: int) -> Path:
    """A Matroska file of an hour and about that many MB: its picture is not compressed at all."""
    height = 120
    width = round(megabytes * 2**20 / (HOUR * 10 * 1.5 * height)) // 2 * 2  # 10 pictures a second, 1.5 bytes a pixel
    words = ("-pix_fmt", "yuv420p", "-c:v", "rawvideo", "-c:a", "aac", "-ac", "1")
    return _repeat(directory / f"huge-{megabytes}.mkv", HOUR, "sine=440:r=22050", f"{width}x{height}", *words)


def _repeat(path: Path, length: int, sound: str, size: str, *words: str) -> Path:
    clip = path.with_stem(f"{path.stem}-clip")
    picture = f"testsrc=s={size}:r=10"
    _ffmpeg("-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", sound, "-t", str(CLIP), *words, str(clip))
    _ffmpeg("-stream_loop", "-1", "-i", str(clip), "-t", str(length), "-c", "copy", str(path))
    clip.unlink()
    return path


def _ffmpeg(*words: str) -> None:
    subprocess.run([binary(), "-nostdin", "-v", "error", "-y", *words], check=True)
