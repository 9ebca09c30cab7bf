"""What was kept for its time and is removed: jobs, their files, and keys of requests."""

from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

from functions.model.files import FileStore
from functions.runtime.wiring import Services

_SIDE_BY_SIDE = 4  # files that are removed at once


def expire(services: Services, batch: int) -> tuple[dict[str, int], bool]:
    """What was done to at most so many rows of a kind, and whether there may be more of one.

    A row stops naming a file before the file is removed (stores/expiry.sql).
    """
    settings, expiry = services.settings, services.expiry
    expired, keys = expiry.expire_jobs(settings.result_seconds, batch), expiry.forget_keys(batch)
    deleted_videos, deleted_audios = expiry.remove_deleted(settings.transfer_seconds, batch)
    old_videos = expiry.take_old_videos(settings.source_seconds, batch)
    old_audios = expiry.take_expired_audios(settings.transfer_seconds, batch)
    videos = expiry.orphans(deleted_videos + old_videos)  # jobs may share one, and the last of them lets it go
    audios = deleted_audios + old_audios
    _delete(services.videos, videos)
    _delete(services.audios, audios)
    taken = (expired, keys, len(deleted_videos), len(deleted_audios), len(old_videos), len(old_audios))
    removed = {"videos_removed": len(videos), "audios_removed": len(audios)}
    return {"expired": expired, "keys_forgotten": keys, **removed}, max(taken) >= batch


def _delete(store: FileStore, files: list[UUID]) -> None:
    with ThreadPoolExecutor(_SIDE_BY_SIDE) as deleting:
        list(deleting.map(store.delete, files))
