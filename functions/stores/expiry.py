"""What is kept no longer: rows that expire, files that no row names, keys and passes of sweep."""

from uuid import UUID

from functions.stores.postgres import Database


class Expiry:
    """All raise Unavailable where Postgres is away. Every batch skips rows that another sweep has."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def expire_jobs(self, result_age: int, batch: int) -> int:
        """How many ended longer than `result_age` seconds ago: their MP3s can no longer be downloaded."""
        return len(self._database.all("expire_jobs", result_age=result_age, batch=batch))

    def take_old_videos(self, source_age: int, batch: int) -> list[UUID]:
        """Videos that no row names any more, `source_age` seconds after their job ended."""
        return [row["file"] for row in self._database.all("take_old_videos", source_age=source_age, batch=batch)]

    def take_expired_audios(self, transfer: int, batch: int) -> list[UUID]:
        """MP3s of jobs that expired at least `transfer` seconds ago."""
        return [row["file"] for row in self._database.all("take_expired_audios", transfer=transfer, batch=batch)]

    def remove_deleted(self, transfer: int, batch: int) -> tuple[list[UUID], list[UUID]]:
        """Videos and MP3s of jobs that their owner deleted at least `transfer` seconds ago; the rows are gone."""
        rows = self._database.all("remove_deleted_jobs", transfer=transfer, batch=batch)
        return [row["video"] for row in rows if row["video"]], [row["audio"] for row in rows if row["audio"]]

    def forget_keys(self) -> int:
        """How many idempotency keys were older than a day."""
        row = self._database.one("forget_keys")
        return int(row["count"]) if row else 0

    def orphans(self, files: list[UUID]) -> list[UUID]:
        """Those of the files that no row names."""
        return [row["file"] for row in self._database.all("find_orphans", files=files)]

    def begin_pass(self, name: str, every: int) -> bool:
        """Whether that pass is due: at most one sweep in `every` seconds is told so."""
        return self._database.one("begin_pass", name=name, every=every) is not None
