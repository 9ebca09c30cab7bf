"""Orphans: files that no row names, and chunks of files that were never finished.

Only old ones are removed, for a running upload looks just like them.
"""

from collections.abc import Iterator
from typing import Protocol
from uuid import UUID


class Bucket(Protocol):
    def files_older_than(self, seconds: int) -> Iterator[list[UUID]]: ...

    def unfinished_older_than(self, seconds: int) -> Iterator[UUID]: ...

    def delete(self, file_id: UUID) -> None: ...


class Names(Protocol):
    def orphans(self, files: list[UUID]) -> list[UUID]:
        """Those of the files that no row names."""


def remove(bucket: Bucket, names: Names, age: int) -> int:
    """Removes what is older than `age` seconds and named by no row, and says how many files, finished or not."""
    removed = 0
    for files in bucket.files_older_than(age):
        for orphan in names.orphans(files):
            bucket.delete(orphan)
            removed += 1
    for unfinished in bucket.unfinished_older_than(age):
        bucket.delete(unfinished)
        removed += 1
    return removed
