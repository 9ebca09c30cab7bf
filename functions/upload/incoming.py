"""A video as it arrives, in a form or as the raw body: piece by piece, never whole in memory or on disk."""

import hashlib
import time
from collections.abc import Iterator

from flask import Request

from functions.model import media
from functions.model.errors import BadRequest, RequestTimeout, TooLarge, Unprocessable, UnsupportedMedia
from functions.runtime import web
from functions.upload import disposition, form

PIECE = 256 * 1024  # bytes read at once


class IncomingVideo:
    """A video of which the first bytes have arrived and look like one.

    `size` (bytes) and `sha256` (hex) are those of what pieces() has given so far, so of the whole once it has ended.
    """

    def __init__(self, filename: str, pieces: Iterator[bytes], limit: int) -> None:
        self.filename = media.video_name(filename)
        self.size = 0
        self._sha256 = hashlib.sha256()
        self._limit = limit
        self._pieces = pieces
        self._head = self._first(media.SNIFF_BYTES)
        if not self._head:
            raise Unprocessable("the file is empty; choose a video", field=form.FIELD)
        container = media.sniff(self._head)
        if container is None:
            raise UnsupportedMedia(
                "the file does not begin like a video or audio file; upload MP4, MKV, WebM, MOV or AVI"
            )
        self.container = container

    @property
    def sha256(self) -> str:
        return self._sha256.hexdigest()

    def pieces(self) -> Iterator[bytes]:
        """The bytes in order. Raises TooLarge where they pass the limit, and what the body raises as it is read."""
        yield self._counted(self._head)
        for piece in self._pieces:
            yield self._counted(piece)

    def _first(self, count: int) -> bytes:
        head = b""
        while len(head) < count and (piece := next(self._pieces, None)) is not None:
            head += piece
        return head

    def _counted(self, piece: bytes) -> bytes:
        self.size += len(piece)
        if self.size > self._limit:
            raise too_large(self._limit)
        self._sha256.update(piece)
        return piece


def receive(request: Request, named: str | None, limit: int, seconds: int) -> IncomingVideo:
    """The video of this request. `named` is its file name, unless that is empty: then the form or the header has it.

    Its first bytes are read and judged before this returns. Raises TooLarge for more than `limit` bytes (before any is
    read, where the length is declared), Unprocessable for an empty file, UnsupportedMedia for what is no media file,
    RequestTimeout where the body takes longer than `seconds`, BadRequest where it breaks off, and what form.video()
    raises. Each may come as late as from the last of pieces().
    """
    # The limit is that of the file; a form around it may be larger by what form.py takes beside the file.
    if (request.content_length or 0) > limit + form.ASIDE:
        raise too_large(limit)
    arriving = _arriving(request, seconds)
    if request.mimetype == "multipart/form-data":
        boundary = request.mimetype_params.get("boundary")
        if not boundary:
            raise BadRequest("the form has no boundary: let your client set Content-Type itself", field=form.FIELD)
        filename, pieces = form.video(arriving, boundary.encode())
    else:
        header = request.headers.get("Content-Disposition", "").encode("latin-1", "replace")
        filename, pieces = disposition.filename(media.text(header)) or "", arriving
    return IncomingVideo(named or filename, pieces, limit)


def too_large(limit: int) -> TooLarge:
    return TooLarge(f"the file must not be larger than {limit:,} bytes", field=form.FIELD)


def _arriving(request: Request, seconds: int) -> Iterator[bytes]:
    """The body, piece by piece.

    Raises RequestTimeout, and BadRequest where the client hangs up before the length that it declared: gunicorn ends
    the stream then as if all had come.
    """
    until = time.monotonic() + seconds
    missing = request.content_length or 0
    while piece := web.read(request, PIECE):
        if time.monotonic() > until:
            raise RequestTimeout("the upload took too long; try a faster connection or a smaller file")
        missing -= len(piece)
        yield piece
    if missing > 0:
        raise BadRequest("the request ended before its body did; send it again")
