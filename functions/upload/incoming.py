"""A video as it arrives, in a form or as the raw body: piece by piece, never whole in memory or on disk."""

import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

from flask import Request

from functions.model import containers, media
from functions.model.errors import BadRequest, RequestTimeout, TooLarge, Twice, Unprocessable, UnsupportedMedia
from functions.model.options import NAMES, UPLOADED, Excluded, Options
from functions.runtime import web
from functions.upload import disposition
from functions.upload.form import COVER, COVER_BYTES, FIELD, OVERHEAD, Form

PIECE = 256 * 1024  # bytes read at once


@dataclass(frozen=True)
class Policy:
    """What this service takes."""

    defaults: Options  # of a request that asks for none
    most_bytes: int  # of a video
    seconds: int  # that its upload may take


class IncomingVideo:
    """A video of which the first bytes have arrived and look like one, and what is asked of its conversion.

    `size` (bytes) and `sha256` (hex) are those of what pieces() has yielded so far: of the whole video at its end.
    `options` and `cover` are final then too, because a form may have options behind the video.
    """

    def __init__(
        self, filename: str, pieces: Iterator[bytes], form: Form | None, query: dict[str, str], policy: Policy
    ) -> None:
        self.filename = media.video_name(filename)
        self.size = 0
        self._sha256 = hashlib.sha256()
        self._pieces, self._form, self._query, self._policy = pieces, form, query, policy
        self.options = self._asked_so_far()
        self._head = self._first(containers.SNIFF_BYTES)
        if not self._head:
            raise Unprocessable("the file is empty; choose a video", field=FIELD)
        container = containers.sniff(self._head)
        if container is None:
            raise UnsupportedMedia(
                "the file does not begin like a video or audio file that we can read; upload MP4, MKV, WebM, MOV or AVI"
            )
        self.container = container

    @property
    def cover(self) -> bytes | None:
        """The picture that came with it."""
        return self._form.cover if self._form else None

    @property
    def sha256(self) -> str:
        """The digest of what pieces() has yielded so far, as 64 hexadecimal digits."""
        return self._sha256.hexdigest()

    def pieces(self) -> Iterator[bytes]:
        """The bytes in order.

        Raises TooLarge where they pass the limit, what the body raises as it is read, and at the end what is wrong with
        options behind them.
        """
        yield self._counted(self._head)
        for piece in self._pieces:
            yield self._counted(piece)
        self.options = self._asked()

    def _asked_so_far(self) -> Options:
        """The same, before the video is read: so that what is wrong for certain costs nobody the time of sending it.

        An option behind the video may make good what seems excluded now, as its format does for a bitrate.
        """
        try:
            return self._asked()
        except Excluded as excluded:
            if self._form is None or {*excluded.names} <= {*self._query, *self._form.texts}:
                raise
            return self._policy.defaults

    def _asked(self) -> Options:
        """The options of the query and of the form as far as it has arrived. Raises Unprocessable, and Twice."""
        texts = self._form.texts if self._form else {}
        if twice := [name for name in texts if name in self._query]:
            raise Twice("request", twice[0])
        asked = self._policy.defaults.asked({**self._query, **texts})
        if self.cover is None:
            return asked
        if COVER in {**self._query, **texts}:
            raise Unprocessable("`cover` is both a picture and an option; send one of them", field=COVER)
        return replace(asked, cover=UPLOADED)

    def _first(self, count: int) -> bytes:
        head = b""
        while len(head) < count and (piece := next(self._pieces, None)) is not None:
            head += piece
        return head

    def _counted(self, piece: bytes) -> bytes:
        self.size += len(piece)
        if self.size > self._policy.most_bytes:
            raise too_large(self._policy.most_bytes)
        self._sha256.update(piece)
        return piece


def receive(request: Request, query: dict[str, str], policy: Policy) -> IncomingVideo:
    """The video of this request; its name is the query's `filename`, or else the form's or the header's.

    Its first bytes are read and judged before this returns. Raises TooLarge for more bytes than the policy allows
    (before any is read, where the length is declared), Unprocessable for an empty file or for options that are not
    taken, UnsupportedMedia for what is no media file, RequestTimeout where the body takes too long, BadRequest where it
    breaks off, and what Form raises. Each may come as late as from the last of pieces().
    """
    # The limit is for the file; the form around it may add more.
    if (request.content_length or 0) > policy.most_bytes + OVERHEAD + COVER_BYTES:
        raise too_large(policy.most_bytes)
    arriving = _arriving(request, policy.seconds)
    if request.mimetype == "multipart/form-data":
        boundary = request.mimetype_params.get("boundary")
        if not boundary:
            raise BadRequest("the form has no boundary: let your client set Content-Type itself", field=FIELD)
        form = Form(arriving, boundary.encode(), NAMES)
        return IncomingVideo(query.get("filename") or form.filename, form.content(), form, query, policy)
    header = request.headers.get("Content-Disposition", "").encode("latin-1", "replace")
    named = query.get("filename") or disposition.filename(media.text(header)) or ""
    return IncomingVideo(named, arriving, None, query, policy)


def too_large(limit: int) -> TooLarge:
    """The problem of a video that has more than `limit` bytes."""
    return TooLarge(f"the file must not be larger than {limit:,} bytes", field=FIELD)


def _arriving(request: Request, seconds: int) -> Iterator[bytes]:
    """The body, piece by piece.

    Raises RequestTimeout, and BadRequest if the client hangs up before it has sent the length that it declared:
    gunicorn then ends the stream as if everything had arrived.
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
