"""The cover: the video's own, a frame of it, or a picture that came with the request; a JPEG in any case.

A picture that cannot be read costs the cover, and not the sound.
"""

from collections.abc import Iterable

from functions.convert import ffmpeg, jpeg
from functions.convert.description import Description, Picture
from functions.convert.jail import Jail, open_by
from functions.model.containers import Container
from functions.model.media import MediaError
from functions.model.options import UPLOADED, Keep, Options

LARGEST = 1500  # pixels of the longer side
SECONDS = 20.0  # that one run of ffmpeg may take
_MOST_BYTES = 8 * 2**20  # of a cover
_MOST_FOUND = 32 * 2**20  # bytes of the picture that it is made of
_MOST_PIXELS = 100_000_000  # of which ffmpeg needs 0.5 GB of memory
_MOST_PICTURES = 3  # are tried
_FOUND, _MADE = "picture", "cover.jpg"
# Which way ffmpeg reads a picture is told by its first bytes: containers call many a PNG a JPEG.
_DEMUXERS = {
    b"\xff\xd8\xff": "jpeg_pipe",
    b"\x89PNG\r\n": "png_pipe",
    b"GIF8": "gif_pipe",
    b"RIFF....WEBP": "webp_pipe",
    b"BM": "bmp_pipe",
    b"II*\0": "tiff_pipe",
    b"MM\0*": "tiff_pipe",
}
# Never stretched (pixels that are no squares are made such) and never enlarged. JPEG has colours as in BT.601 (JFIF).
_SIZE = f"min(1,{LARGEST}/max(iw*sar,ih))"
_SCALED = f"scale=w='max(1,round({_SIZE}*iw*sar))':h='max(1,round({_SIZE}*ih))':out_color_matrix=bt601,setsar=1"
_WHITE = "drawbox=c=white:t=fill:replace=1"
_ON_WHITE = f"format=rgba,split[seen][under];[under]{_WHITE}[white];[white][seen]overlay=format=gbrp"
# Of several frames the last one stays, wherever a seek has ended.
_JPEG = ("-fps_mode", "passthrough", "-c:v", "mjpeg", "-q:v", "3", "-f", "image2", "-update", "1")
_STRICT = ("-err_detect", "explode")  # otherwise what is missing of a JPEG is grey
# Without an index a run-up is read before the frame, in seconds: frames are found in it only from a whole one on.
_INDEXED = (Container.MP4, Container.MATROSKA)
_RUN_UP = 12.0


class Unreadable(Exception):
    """There is a picture, or there was to be one, and it cannot be read."""


def make(jail: Jail, source: str, seen: Description, options: Options, given: bytes | None) -> bytes | None:
    """The cover as a JPEG; None where there is none or none is wanted. Raises Unreadable, and what stops the work."""
    if options.cover == UPLOADED and given is not None:
        (jail.folder / _FOUND).write_bytes(given)
        return _fitted(jail)
    if isinstance(options.cover, float | int):
        return _frame(jail, source, seen, float(options.cover))
    if options.cover == Keep.KEEP and seen.pictures:
        return _first_readable(jail, source, seen)
    return None


def _first_readable(jail: Jail, source: str, seen: Description) -> bytes:
    """The video's own cover or, where that cannot be read, another picture that it brings."""
    for picture in seen.pictures[:_MOST_PICTURES]:
        try:
            _take_out(jail, source, seen, picture)
            return _fitted(jail)
        except Unreadable:
            continue
    raise Unreadable


def _take_out(jail: Jail, source: str, seen: Description, picture: Picture) -> None:
    """Writes a picture as it is into a file of its own."""
    if picture.is_file:
        dump = (f"-dump_attachment:{picture.index}", f"file:{_FOUND}")
        _run(jail, [*dump, *seen.opened(source), "-t", "0", "-f", "null", "-"], _MOST_FOUND, _FOUND)
    else:
        taken = ("-map", f"0:{picture.index}", "-frames:v", "1", "-c:v", "copy", "-f", "image2", "-update", "1")
        _run(jail, [*seen.opened(source), *taken, f"file:{_FOUND}"], _MOST_FOUND, _FOUND)


def _fitted(jail: Jail) -> bytes:
    """The cover that is made of a picture. A JPEG that fits stays as it is, but for what is said about it.

    ffmpeg reads that one too, because a part of it may be missing.
    """
    data = (jail.folder / _FOUND).read_bytes()
    demuxer = next((name for sign, name in _DEMUXERS.items() if _begins(data, sign)), None)
    if demuxer is None:
        raise Unreadable
    is_jpeg = demuxer == "jpeg_pipe"
    careful = ("-threads", "1", "-max_pixels", str(_MOST_PIXELS), *(_STRICT if is_jpeg else ()))
    filters = _filters(() if is_jpeg else (_ON_WHITE,))
    made = _draw(jail, [*careful, *open_by(_FOUND, demuxer), "-frames:v", "1", "-vf", filters])
    own = jpeg.read(data) if is_jpeg else None
    fits = own and own.is_plain and not own.has_exif and max(own.width, own.height) <= LARGEST
    return own.data if own and fits and len(own.data) <= _MOST_BYTES else made


def _frame(jail: Jail, source: str, seen: Description, at: float) -> bytes:
    """The frame that the video shows at that time, or its last one."""
    if seen.video is None:
        raise Unreadable
    at = min(at, seen.duration) if seen.duration else at
    seek = at if seen.container in _INDEXED else max(0.0, at - _RUN_UP)
    sought = ("-noaccurate_seek", "-ss", f"{seek:.6f}") if seek else ()  # a FLV has a front that no seek finds
    shown = f"fps=fps=1:start_time={at - seek:.6f}:round=up"  # the last frame that begins before
    for before, filters, after in (
        (sought, (shown,), ("-frames:v", "1")),
        (sought, (), ()),
        (("-skip_frame", "nokey"), (), ()),  # the picture has ended long before the sound
    ):
        opened = ["-max_pixels", str(_MOST_PIXELS), *before, *seen.opened(source), "-map", f"0:{seen.video}"]
        try:
            return _draw(jail, [*opened, *after, "-vf", _filters(filters)])
        except Unreadable:
            continue
    raise Unreadable


def _filters(before: Iterable[str]) -> str:
    return ",".join((_SCALED, *before, "format=yuvj420p"))


def _begins(data: bytes, sign: bytes) -> bool:
    return all(wanted in (found, ord(".")) for found, wanted in zip(data, sign, strict=False)) and len(data) > len(sign)


def _draw(jail: Jail, words: list[str]) -> bytes:
    """Runs ffmpeg to make a JPEG."""
    _run(jail, [*words, *_JPEG, f"file:{_MADE}"], _MOST_BYTES, _MADE)
    return (jail.folder / _MADE).read_bytes()


def _run(jail: Jail, words: list[str], most: int, made: str) -> None:
    """Runs ffmpeg, which is to write that file of at most so many bytes. Raises Unreadable where it does not."""
    path = jail.folder / made
    path.unlink(missing_ok=True)
    try:
        run = jail.run(["-v", "error", "-y", *words], None, size=most, seconds=SECONDS)
    except MediaError as error:
        raise Unreadable from error
    refused = ffmpeg.explain(run) if run.status else None
    if refused is not None and not isinstance(refused, MediaError):
        raise refused
    if refused is not None or not path.exists() or path.stat().st_size == 0:
        raise Unreadable
