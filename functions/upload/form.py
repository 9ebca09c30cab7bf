"""A form as it arrives: its field `file` is the video, and a form that holds anything else is refused.

What we do not know would otherwise be lost without a word: a second video, or an option whose name is misspelt.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from werkzeug.datastructures import Headers
from werkzeug.exceptions import HTTPException
from werkzeug.sansio.multipart import Data, Epilogue, Event, Field, File, MultipartDecoder, NeedData

from functions.model import media
from functions.model.errors import SHOWN, BadRequest, Problem, Unknown, Unprocessable
from functions.upload import disposition

FIELD = "file"
ASIDE = 64 * 1024  # bytes that a form may hold beside its file
BUFFER = 512 * 1024  # bytes that the decoder may keep: two pieces as they are read, or the head of a part
PARTS = 16  # at most: reading the head of each costs time


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
        return self.name == FIELD and self.filename == "" and self.is_empty

    @property
    def shown(self) -> str:
        return f"`{media.printable(self.name)[:SHOWN]}`" if self.name else "a part without a name"


def video(pieces: Iterator[bytes], boundary: bytes) -> tuple[str, Iterator[bytes]]:
    """The name of the form's file, and its bytes.

    The bytes come to their end only if the form was whole and held nothing else. Raises BadRequest for a form that
    cannot be read, holds no file, or holds a field that we do not know, and Unprocessable for one that holds a second
    file: at once where that stands before the file, and in place of the bytes' end where it stands behind.
    """
    parts = _parts(pieces, boundary)
    others: list[Part] = []
    unchosen = False
    left = ASIDE
    for part in parts:
        if part.is_unchosen:
            unchosen = True
        elif part.name == FIELD and part.filename is not None:
            if others:
                raise _not_taken(others[0])
            return part.filename, _to_the_end(part.content, parts)
        else:
            others.append(part)
            left = _skip(part.content, left)
            if left < 0:
                break
    if unchosen and not others:
        return "", iter(())
    raise _without_file(others, ", as far as it was read" if left < 0 else "")


def _to_the_end(content: Iterator[bytes], parts: Iterator[Part]) -> Iterator[bytes]:
    yield from content
    for part in parts:
        if not part.is_unchosen:
            raise _not_taken(part)


def _skip(content: Iterator[bytes], most: int) -> int:
    """Reads a part to its end, or until `most` bytes are passed; gives how many of them are left, below 0 if passed."""
    for piece in content:
        most -= len(piece)
        if most < 0:
            break
    return most


def _not_taken(part: Part) -> Problem:
    """The problem of a form that holds this part beside its file."""
    if part.filename is not None:
        file = media.printable(part.filename)[:SHOWN]
        return Unprocessable(
            f"an upload is one video, and the form has another file, `{file}` in {part.shown}; upload it by itself",
            field=part.name or FIELD,
        )
    if not part.name:
        return BadRequest("the form has a part without a name; send the field `file` alone", field=FIELD)
    if part.name == FIELD:
        return Unprocessable("the form has `file` twice, as a file and as text; send the file alone", field=FIELD)
    return Unknown("form field", part.name, (FIELD,))


def _without_file(others: list[Part], so_far: str) -> BadRequest:
    if any(part.name == FIELD for part in others):
        return BadRequest("the form's field `file` is text; send it as a file (curl: -F file=@video.mp4)", field=FIELD)
    has = ", ".join(part.shown for part in others)
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
            raise BadRequest(f"the form has more than {PARTS} parts; send the field `file` alone", field=FIELD)
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
    """Werkzeug's takes a part's head for UTF-8, and refuses the whole form of a client that writes Latin-1."""

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
