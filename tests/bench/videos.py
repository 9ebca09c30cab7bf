"""Videos to measure with: made in seconds by repeating a short one without encoding it again."""

import subprocess
from pathlib import Path

from functions.convert.transcode import binary

CLIP = 10  # seconds
HOUR = 3600


def talk(directory: Path, minutes: int) -> Path:
    """Minutes of stereo sound and a small picture."""
    sound = "aevalsrc=0.3*sin(880*PI*t)+0.1*random(0)|0.3*sin(660*PI*t)+0.1*random(1):s=44100"
    return _loop(directory / f"talk-{minutes}.mp4", minutes * 60, sound, "160x120", "-c:v", "libx264", "-c:a", "aac")


def huge(directory: Path, megabytes: int) -> Path:
    """An hour whose picture is not compressed at all, so that the video is that large."""
    height = 120
    width = round(megabytes * 2**20 / (HOUR * 10 * 1.5 * height)) // 2 * 2  # 10 pictures a second, 1.5 bytes a pixel
    words = ("-pix_fmt", "yuv420p", "-c:v", "rawvideo", "-c:a", "aac", "-ac", "1")
    return _loop(directory / f"huge-{megabytes}.mkv", HOUR, "sine=440:r=22050", f"{width}x{height}", *words)


def _loop(path: Path, length: int, sound: str, size: str, *words: str) -> Path:
    clip = path.with_stem(f"{path.stem}-clip")
    picture = f"testsrc=s={size}:r=10"
    _ffmpeg("-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", sound, "-t", str(CLIP), *words, str(clip))
    _ffmpeg("-stream_loop", "-1", "-i", str(clip), "-t", str(length), "-c", "copy", str(path))
    clip.unlink()
    return path


def _ffmpeg(*words: str) -> None:
    subprocess.run([binary(), "-nostdin", "-v", "error", "-y", *words], check=True)
