"""The cover: the video's own, a frame of it, or a picture that came with the request; a JPEG in any case.

A picture that cannot be read costs the cover, and not the sound.
"""

from functions.convert import ffmpeg
from functions.convert.description import Description, Picture
from functions.convert.jail import Jail, open_by, open_file
from functions.model.media import MediaError
from functions.model.options import UPLOADED, Keep, Options

LARGEST = 1500  # pixels of the longer side
MOST_BYTES = 8 * 2**20
SECONDS = 20.0  # that ffmpeg may take
_MADE, _GIVEN = "cover.jpg", "given"
_MOST_PIXELS = 100_000_000
# Never stretched (pixels that are no squares are made such) and never enlarged. What is transparent becomes white.
_SIZE = f"min(1,{LARGEST}/max(iw*sar,ih))"
_SCALED = f"scale=w='max(1,{_SIZE}*iw*sar)':h='max(1,{_SIZE}*ih)',setsar=1,format=yuvj420p"
_ON_WHITE = "format=rgba,split[a][b];[a]drawbox=c=white:t=fill:replace=1[w];[w][b]overlay=format=gbrp"
_DEMUXERS = {b"\xff\xd8\xff": "jpeg_pipe", b"\x89PNG": "png_pipe"}


class Unreadable(Exception):
    """There is a picture, or there was to be one, and it cannot be read."""


def make(jail: Jail, source: str, seen: Description, options: Options, given: bytes | None) -> bytes | None:
    """The cover as a JPEG; None where there is none or none is wanted. Raises Unreadable, and what stops the work."""
    if options.cover == UPLOADED and given is not None:
        return _given(jail, given)
    if isinstance(options.cover, float | int):
        return _frame(jail, source, seen, float(options.cover))
    if options.cover == Keep.KEEP and seen.pictures:
        return _picture(jail, source, seen, seen.pictures[0])
    return None


def _picture(jail: Jail, source: str, seen: Description, picture: Picture) -> bytes:
    """The picture that the video brings. A JPEG of a fitting size is taken as it is."""
    taken = ["-map", f"0:{picture.index}", "-frames:v", "1"]
    if picture.codec == "mjpeg" and 0 < max(picture.width, picture.height) <= LARGEST:
        return _run(jail, [*open_file(source, seen.extent), *taken, "-c:v", "copy"])
    if not picture.codec or not picture.width:
        raise Unreadable
    return _run(jail, [*_careful(), *open_file(source, seen.extent), *taken, "-vf", _filters(picture.codec)])


def _frame(jail: Jail, source: str, seen: Description, at: float) -> bytes:
    """A frame of the video at that time, or its last one."""
    if seen.video is None:
        raise Unreadable
    taken = ["-map", f"0:{seen.video}", "-an", "-frames:v", "1", "-vf", _SCALED]
    latest = max(0.0, (seen.duration or at) - 1)
    for second in dict.fromkeys((at, min(at, latest), 0.0)):
        try:
            return _run(jail, [*_careful(), "-ss", f"{second:.3f}", *open_file(source, seen.extent), *taken])
        except Unreadable:
            continue
    raise Unreadable


def _given(jail: Jail, given: bytes) -> bytes:
    demuxer = next((demuxer for sign, demuxer in _DEMUXERS.items() if given.startswith(sign)), None)
    if demuxer is None:
        raise Unreadable
    (jail.folder / _GIVEN).write_bytes(given)
    return _run(
        jail, [*_careful(), *open_by(_GIVEN, demuxer), "-frames:v", "1", "-vf", _filters(demuxer.removesuffix("_pipe"))]
    )


def _careful() -> tuple[str, ...]:
    return ("-max_pixels", str(_MOST_PIXELS))


def _filters(codec: str) -> str:
    return _SCALED if codec in ("mjpeg", "jpeg") else f"{_ON_WHITE},{_SCALED}"


def _run(jail: Jail, words: list[str]) -> bytes:
    made = jail.folder / _MADE
    made.unlink(missing_ok=True)
    output = ["-c:v", "mjpeg", "-q:v", "3"] if "copy" not in words else []
    command = ["-v", "error", *words, *output, "-f", "mjpeg", "-y", f"file:{_MADE}"]
    try:
        run = jail.run(command, None, size=MOST_BYTES, seconds=SECONDS)
    except MediaError as error:
        raise Unreadable from error
    refused = ffmpeg.explain(run) if run.status else None
    if refused is not None and not isinstance(refused, MediaError):
        raise refused
    if refused is not None or not made.exists() or made.stat().st_size == 0:
        raise Unreadable
    return made.read_bytes()
