"""A form as it arrives: its field `file` is the video, the others are options and a cover, before or behind it.

A form with anything else in it is refused. Otherwise a second video, or an option whose name is misspelt, would be
dropped silently.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import chain

from werkzeug.datastructures import Headers
from werkzeug.exceptions import HTTPException
from werkzeug.sansio.multipart import Data, Epilogue, Event, Field, File, MultipartDecoder, NeedData

from functions.model import media
from functions.model.errors import MAX_QUOTED, BadRequest, Problem, TooLarge, Twice, Unknown, Unprocessable
from functions.upload import disposition

FIELD = "file"
COVER = "cover"  # the name of an option too: text is a time or a word, and a file the picture itself
COVER_BYTES = 5_000_000
PICTURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")
OVERHEAD = 64 * 1024  # bytes that a form may hold besides its files
BUFFER = 512 * 1024  # bytes that the decoder may keep: two pieces as they are read, or the head of a part
PARTS = 64  # at most: reading the head of each costs time


@dataclass(frozen=True)
class Part:
    """One part of the form: a file or, where `filename` is None, text."""

    name: str
    filename: str | None
    content: Iterator[bytes]
    is_empty: bool

    @property
    def is_unchosen(self) -> bool:
        """Whether a browser sent it for a file input in which nobody has chosen a file."""
        return self.name in (FIELD, COVER) and self.filename == "" and self.is_empty

    @property
    def label(self) -> str:
        """The part as a problem names it."""
        return f"`{media.printable(self.name)[:MAX_QUOTED]}`" if self.name else "a part without a name"


class Form:
    """A form of which everything up to the file's first bytes has arrived.

    `texts` and `cover` have what has arrived so far: all of it when content() has come to its end, which it does only
    if the form was complete and had nothing else in it. Raises BadRequest for a form that cannot be read, has no file,
    or has a field that nobody knows or that comes twice, Unprocessable for one that has a second file, and TooLarge for
    a cover that is too large: at once if that comes before the file, and instead of the end of the bytes if it comes
    behind it.
    """

    def __init__(self, pieces: Iterator[bytes], boundary: bytes, known: Collection[str]) -> None:
        self.texts: dict[str, str] = {}
        self.cover: bytes | None = None
        self._known = known
        self._left = OVERHEAD
        self._parts = _parts(pieces, boundary)
        self.filename, self._content = self._find_file()

    def content(self) -> Iterator[bytes]:
        """The file's bytes in order; then what stands behind it is taken in too."""
        yield from self._content
        for part in self._parts:
            if part.name == FIELD and not part.is_unchosen:
                raise _not_taken(part, self._known)
            self._take(part)

    def _find_file(self) -> tuple[str, Iterator[bytes]]:
        others: list[Part] = []
        unchosen = False
        for part in self._parts:
            if part.is_unchosen:
                unchosen |= part.name == FIELD
            elif part.name == FIELD and part.filename is not None:
                if others:
                    raise _not_taken(others[0], self._known)
                return part.filename, part.content
            elif part.name in self._known or part.name == COVER:
                self._take(part)
            else:
                others.append(part)
                self._read(part)
                if self._left < 0:
                    break
        if unchosen and not others:
            return "", iter(())
        raise _without_file(others, ", as far as it was read" if self._left < 0 else "")

    def _take(self, part: Part) -> None:
        """Takes in a part that is no video."""
        if part.is_unchosen:
            return
        if part.name == COVER and part.filename is not None:
            if self.cover is not None:
                raise Twice("form", COVER)
            self.cover = _cover(part)
        elif part.name in self._known and part.filename is None:
            if part.name in self.texts:
                raise Twice("form", part.name)
            self.texts[part.name] = self._text(part)
        else:
            raise _not_taken(part, self._known)

    def _text(self, part: Part) -> str:
        sent = self._read(part)
        if self._left < 0:
            raise TooLarge(f"the form's texts must not have more than {OVERHEAD} bytes", field=part.name)
        return media.text(sent)

    def _read(self, part: Part) -> bytes:
        """A part to its end, but not much more than the form may have; fewer than no bytes are left if it has more."""
        sent = b""
        for piece in part.content:
            sent += piece
            self._left -= len(piece)
            if self._left < 0:
                break
        return sent


def _cover(part: Part) -> bytes:
    sent = b""
    for piece in part.content:
        sent += piece
        if len(sent) > COVER_BYTES:
            raise TooLarge(f"the cover must not have more than {COVER_BYTES:,} bytes", field=COVER)
    if not sent.startswith(PICTURES):
        raise Unprocessable("the cover must be a JPEG or PNG", field=COVER)
    return sent


def _not_taken(part: Part, known: Collection[str]) -> Problem:
    """The problem of a form that has this part besides its file."""
    if part.filename is not None:
        file = media.printable(part.filename)[:MAX_QUOTED]
        return Unprocessable(
            f"an upload is one video, and the form has another file, `{file}` in {part.label}; upload it by itself, or "
            f"a picture for the audio as `{COVER}`",
            field=part.name or FIELD,
        )
    if not part.name:
        return BadRequest("the form has a part without a name; give it one, or leave it out", field=FIELD)
    if part.name == FIELD:
        return Unprocessable("the form has `file` twice, as a file and as text; send the file alone", field=FIELD)
    return Unknown("form field", part.name, (FIELD, *known))


def _without_file(others: list[Part], so_far: str) -> BadRequest:
    if any(part.name == FIELD for part in others):
        return BadRequest("the form's field `file` is text; send it as a file (curl: -F file=@video.mp4)", field=FIELD)
    has = ", ".join(part.label for part in others)
    return BadRequest(
        f"the form has no field `file`{f'; it has {has}{so_far}' if has else ''}: send the video as `file`", field=FIELD
    )


def _parts(pieces: Iterator[bytes], boundary: bytes) -> Iterator[Part]:
    """The parts in order. Each one's content has to be read before the next part is asked for."""
    events = _events(pieces, _Decoder(boundary, max_form_memory_size=BUFFER))
    count = 0
    for event in events:
        if not isinstance(event, File | Field):
            continue
        count += 1
        if count > PARTS:
            raise BadRequest(f"the form has more than {PARTS} parts; send the file and the options", field=FIELD)
        head = event.headers["Content-Disposition"]
        name, filename = disposition.name(head), disposition.filename(head)
        if filename is None and isinstance(event, File):
            filename = event.filename  # in numbered pieces, as in mail (RFC 2231, 3), which the decoder has joined
        content = _content(events)
        first = next(content, b"")
        yield Part(name or "", filename, chain([first], content), not first)


def _content(events: Iterator[Event]) -> Iterator[bytes]:
    for event in events:
        if isinstance(event, Data):
            if event.data:
                yield event.data
            if not event.more_data:
                return


class _Decoder(MultipartDecoder):
    """Werkzeug's decoder reads a part's head as UTF-8, and refuses the whole form of a client that writes Latin-1."""

    def _parse_headers(self, data: bytes | bytearray) -> Headers:
        return super()._parse_headers(media.text(bytes(data)).encode())


def _events(pieces: Iterator[bytes], decoder: MultipartDecoder) -> Iterator[Event]:
    """What the decoder finds, until both the form and the body have ended. Raises BadRequest where that cannot be."""
    try:
        while not isinstance(event := decoder.next_event(), Epilogue):
            if isinstance(event, NeedData):
                decoder.receive_data(next(pieces, None))
            else:
                yield event
    except (ValueError, HTTPException) as error:
        wrong = "ends too early" if decoder.complete else "cannot be read"
        raise BadRequest(f"the form {wrong}: send multipart/form-data", field=FIELD) from error
