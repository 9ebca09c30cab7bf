"""A film as it arrives: from a multipart form (field `file`) or as the raw body.

Piece by piece, never whole in memory or on disk.
"""

import hashlib
import time
from collections.abc import Iterator

from flask import Request
from werkzeug.exceptions import HTTPException
from werkzeug.http import parse_options_header
from werkzeug.sansio.multipart import Data, Epilogue, File, MultipartDecoder, NeedData

from functions import web
from functions.model import media
from functions.model.errors import BadRequest, RequestTimeout, TooLarge, Unprocessable, UnsupportedMedia

PIECE = 256 * 1024  # bytes read at once
OVERHEAD = 64 * 1024  # what a form may hold around the file: field headers, boundaries, small fields before it
FIELD = "file"


class Film:
    """What is being uploaded. `size` and `sha256` are right once `pieces()` has been read to its end."""

    def __init__(self, filename: str, pieces: Iterator[bytes], limit: int, seconds: int) -> None:
        self.filename = media.film_name(filename)
        self.size = 0
        self._sha256 = hashlib.sha256()
        self._limit = limit
        self._until = time.monotonic() + seconds
        self._pieces = pieces
        self._head = self._first(media.SNIFF_BYTES)
        if not self._head:
            raise Unprocessable("the file is empty; choose a video", field=FIELD)
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
        """The bytes in order. Raises TooLarge once they pass the limit, BadRequest where a form breaks off."""
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
        if time.monotonic() > self._until:
            raise RequestTimeout("the upload took too long; try a faster connection or a smaller file")
        self._sha256.update(piece)
        return piece


def film(request: Request, limit: int, seconds: int) -> Film:
    """The film of this request, its first bytes read and judged.

    Raises TooLarge (unread, where the length is declared), Unprocessable for an empty one, UnsupportedMedia for what
    is no media, BadRequest for a form without a file, and RequestTimeout where it takes longer than `seconds`.
    """
    if (request.content_length or 0) > limit + OVERHEAD:
        raise too_large(limit)
    if request.mimetype == "multipart/form-data":
        boundary = request.mimetype_params.get("boundary")
        if not boundary:
            raise BadRequest("the form has no boundary: let your client set Content-Type itself", field=FIELD)
        return Film(*_from_form(request, boundary.encode()), limit, seconds)
    named = parse_options_header(request.headers.get("Content-Disposition"))[1].get("filename")
    return Film(request.args.get("filename") or named or "", _body(request), limit, seconds)


def too_large(limit: int) -> TooLarge:
    return TooLarge(f"the file must not be larger than {limit:,} bytes", field=FIELD)


def _body(request: Request) -> Iterator[bytes]:
    """Raises BadRequest where the client hangs up early: gunicorn then just ends the stream."""
    missing = request.content_length or 0
    while piece := web.read(request, PIECE):
        missing -= len(piece)
        yield piece
    if missing > 0:
        raise BadRequest("the request ended before its body did; send it again")


def _from_form(request: Request, boundary: bytes) -> tuple[str, Iterator[bytes]]:
    """The file's name and its bytes; fields before it are passed over, those behind it are not read."""
    decoder = MultipartDecoder(boundary, max_form_memory_size=2 * PIECE, max_parts=16)
    events = _events(request, decoder)
    passed = 0
    try:
        for event in events:
            if isinstance(event, File) and event.name == FIELD:
                return event.filename, (part.data for part in _until_last(events))
            passed += len(event.data) if isinstance(event, Data) else 0
            if passed > OVERHEAD:
                raise BadRequest(f"the form holds too much before its field `{FIELD}`; send that first", field=FIELD)
    except (ValueError, HTTPException) as error:
        raise BadRequest("the form cannot be read: send multipart/form-data", field=FIELD) from error
    raise BadRequest(f"the form has no field `{FIELD}` with a file", field=FIELD)


def _events(request: Request, decoder: MultipartDecoder) -> Iterator[object]:
    while True:
        event = decoder.next_event()
        if isinstance(event, NeedData):
            # An empty read is the body's end; the decoder then says whether the form may end here.
            decoder.receive_data(web.read(request, PIECE) or None)
        elif isinstance(event, Epilogue):
            return
        else:
            yield event


def _until_last(events: Iterator[object]) -> Iterator[Data]:
    try:
        for event in events:
            if isinstance(event, Data):
                yield event
                if not event.more_data:
                    return
    except ValueError as error:
        raise BadRequest("the form ends before its file does", field=FIELD) from error
