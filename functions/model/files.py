"""What the functions need of a store of files: one keeps the videos, one the audio.

stores/gridfs.py is such a store. Another one has to hold the same promises, each of which is tested there.
"""

from collections.abc import Generator, Iterable, Iterator
from typing import Protocol
from uuid import UUID


class FileStore(Protocol):
    """Files by id, each written once and by one writer. Every method raises Unavailable while the store is away.

    A file is either finished or not there for whoever reads. Bytes that a writer left unfinished are found by age.
    """

    def ping(self) -> None:
        """Asks the store whether it is there."""

    def write(self, file_id: UUID, pieces: Iterable[bytes]) -> int:
        """Stores a whole file and gives its size in bytes. Before any error leaves, what was stored is removed."""

    def append(self, file_id: UUID, pieces: Iterable[bytes], offset: int = 0) -> int:
        """Stores a part of a file that begins at `offset` bytes, and gives the file's size with it.

        What a writer that died has left behind that offset goes. Where the pieces raise, what lies before the offset
        stays, and how much of the rest does is not known: whoever wants to keep all that came before a connection broke
        lets the pieces end there instead. Raises Missing where fewer than `offset` bytes are there, as far as the store
        can tell without reading them all; read() tells the rest.
        """

    def finish(self, file_id: UUID, size: int) -> None:
        """Makes the `size` bytes that were appended a file that can be read."""

    def abort(self, file_id: UUID) -> None:
        """Removes what was appended. It raises nothing: what it cannot remove is found by its age."""

    def read(self, file_id: UUID, start: int = 0, length: int | None = None) -> Generator[bytes]:
        """The bytes of a finished file from `start` on, all or at most `length`.

        Whoever stops before their end has to close it, for it may hold a connection.
        Raises Missing where there is no such file, before it returns, and where the file ends too soon, in place of its
        end.
        """

    def delete(self, file_id: UUID) -> None:
        """Removes a file, finished or not. One that is not there is no error."""

    def files_older_than(self, seconds: int) -> Iterator[list[UUID]]:
        """The ids of files that were finished longer ago than that, in batches."""

    def unfinished_older_than(self, seconds: int) -> Iterator[UUID]:
        """The ids of unfinished files that grew last longer ago than that."""
