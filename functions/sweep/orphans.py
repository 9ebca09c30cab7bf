"""Orphans: files that no row names, and chunks of files that were never finished.

Only old ones are removed, for a running upload looks just like them.
"""

from typing import Protocol
from uuid import UUID

from functions.model.files import FileStore


class Names(Protocol):
    def orphans(self, files: list[UUID]) -> list[UUID]:
        """Those of the files that no row names."""


def remove(store: FileStore, names: Names, age: int) -> int:
    """Removes what is older than `age` seconds and named by no row, and says how many files, finished or not."""
    removed = 0
    for files in store.files_older_than(age):
        for orphan in names.orphans(files):
            store.delete(orphan)
            removed += 1
    for unfinished in store.unfinished_older_than(age):
        store.delete(unfinished)
        removed += 1
    return removed
