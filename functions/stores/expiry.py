"""What is no longer kept: jobs that expire, files whose rows no longer name them, old idempotency keys."""

from uuid import UUID

from functions.stores.postgres import Database


class Expiry:
    """All methods raise Unavailable where Postgres is away.

    Ages are in seconds. No method touches more than `batch` rows at once, and two sweeps at once take different rows.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def expire_jobs(self, result_age: int, batch: int) -> int:
        """How many jobs expired: those that ended longer ago than that. Their audio can no longer be downloaded."""
        return len(self._database.all("expire_jobs", result_age=result_age, batch=batch))

    def take_old_videos(self, video_age: int, batch: int) -> list[UUID]:
        """The videos of jobs that ended longer ago than that, and now no longer name them.

        The caller removes those that are orphans, for other jobs may have been made from the same video.
        """
        return [row["file"] for row in self._database.all("take_old_videos", video_age=video_age, batch=batch)]

    def take_expired_audios(self, transfer: int, batch: int) -> list[UUID]:
        """The audio files of jobs that expired longer ago than that, for the caller to remove."""
        return [row["file"] for row in self._database.all("take_expired_audios", transfer=transfer, batch=batch)]

    def remove_deleted(self, transfer: int, batch: int) -> tuple[list[UUID], list[UUID]]:
        """The videos and the audio files of jobs that were deleted longer ago than that; their rows are removed.

        Of the videos, the caller removes those that are orphans.
        """
        rows = self._database.all("remove_deleted_jobs", transfer=transfer, batch=batch)
        return [row["video"] for row in rows if row["video"]], [row["audio"] for row in rows if row["audio"]]

    def forget_keys(self, batch: int) -> int:
        """How many idempotency keys were forgotten for being older than a day."""
        row = self._database.one("forget_keys", batch=batch)
        return int(row["count"]) if row else 0

    def add_up_counts(self) -> None:
        """Makes one row of all that counts a state, so that whoever asks for the counts reads a few."""
        self._database.all("add_up_counts")

    def orphans(self, files: list[UUID]) -> list[UUID]:
        """Those of the files that no row names, each once."""
        return [row["file"] for row in self._database.all("find_orphans", files=files)]

    def begin_pass(self, name: str, every: int) -> bool:
        """Whether the caller is to make that pass now: it is so for one sweep at most in `every` seconds."""
        return self._database.one("begin_pass", name=name, every=every) is not None
