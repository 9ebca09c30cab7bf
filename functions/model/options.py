"""What a person can ask of a conversion: one frozen value, made when the job is made and kept with it.

A new option is one more field of Options, with what it takes and what it means beside it, and the place where it
changes what ffmpeg is told (convert/arguments.py). Everything else follows from the fields: which names a request may
use, what is refused, what the row holds, what the job's document shows and what an Idempotency-Key covers.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Protocol, Self

from functions.model.encoding import MP3, Encoding
from functions.model.errors import SHOWN, Unprocessable
from functions.model.media import printable


class Kind(Protocol):
    """What an option takes. Its text completes the sentence "`name` must be …"."""

    def parse(self, text: str) -> Any:
        """The value that somebody wrote. Raises ValueError where it is none."""

    def __str__(self) -> str: ...


@dataclass(frozen=True)
class WholeNumber:
    """A whole number, its bounds included."""

    least: int
    most: int

    def parse(self, text: str) -> int:
        if not re.fullmatch("-?[0-9]{1,9}", text) or not self.least <= int(text) <= self.most:
            raise ValueError(text)
        return int(text)

    def __str__(self) -> str:
        return f"a whole number from {self.least} to {self.most}"


def _option(kind: Kind, default: Any, meaning: str) -> Any:
    return field(default=default, metadata={"kind": kind, "meaning": meaning})


@dataclass(frozen=True)
class Options:
    """Every option with its value. The defaults here are those of a job that was made before the option existed."""

    vbr: int = _option(
        WholeNumber(0, 9), 2, "LAME's -V, its variable bitrate: 0 is the best and largest, 9 the smallest"
    )

    @property
    def encoding(self) -> Encoding:
        """The format that comes out."""
        return MP3

    def changed(self, asked: Mapping[str, str]) -> Self:
        """These options, but for what was asked: text by name, of which names that are no option's are passed over.

        Raises Unprocessable, which names the option, for a value that it does not take.
        """
        return replace(
            self, **{each.name: _parsed(each, asked[each.name]) for each in fields(self) if each.name in asked}
        )

    def as_json(self) -> dict[str, Any]:
        """As a row keeps them and a job's document shows them."""
        return dict(vars(self))

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        """What as_json() wrote: an older version knew fewer options, a newer one may have written more."""
        return cls(**{name: row[name] for name in NAMES if name in row})


NAMES = tuple(each.name for each in fields(Options))


def _parsed(option: Any, text: str) -> Any:
    kind, meaning = option.metadata["kind"], option.metadata["meaning"]
    try:
        return kind.parse(text.strip())
    except ValueError as error:
        raise Unprocessable(
            f"`{option.name}` must be {kind}, not `{printable(text)[:SHOWN]}` ({meaning})", field=option.name
        ) from error
