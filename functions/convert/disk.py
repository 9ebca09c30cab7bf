"""The disk that conversions work on.

A conversion reserves what it will write before it fetches a byte, and no two are promised the same bytes. Otherwise two
large videos that arrive together would both fill the disk and both fail.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

from functions.model.errors import Unavailable
from functions.model.media import MediaError, Reason
from functions.runtime import metrics

_OVERHEAD = 64  # the file system may take one byte in so many for itself: inodes, directories, its journal


class DiskFull(Unavailable):
    """An empty disk would do, but others have filled this one for now: try again later."""


class Disk:
    """What the conversions of this process share: `quota` bytes of the disk at most, or all of it (0)."""

    def __init__(self, quota: int) -> None:
        self._quota = quota
        self._reservations: dict[Path, Reservation] = {}
        self._lock = Lock()

    @contextmanager
    def reservation(self, folder: Path, video_size: int) -> Iterator["Reservation"]:
        """A conversion's share of the disk, as long as the block lasts; nothing is reserved before extend() is called.

        The conversion writes a video of `video_size` bytes into `folder`, and its audio beside it. Raises MediaError
        (disk_too_small) where even an empty disk could not hold the video.
        """
        usage = shutil.disk_usage(folder)
        capacity = usage.used + usage.free  # that is less than `total` where the file system keeps some for root
        capacity -= capacity // _OVERHEAD
        reservation = Reservation(self, folder, video_size, min(capacity, self._quota or capacity))
        if video_size >= reservation.capacity:
            raise MediaError(Reason.DISK_TOO_SMALL, f"{video_size} bytes on a disk that holds {reservation.capacity}")
        try:
            yield reservation
        finally:
            with self._lock:
                self._reservations.pop(folder, None)

    def reserve(self, reservation: "Reservation", size: int) -> None:
        """Makes a reservation one of `size` bytes, what it has written included.

        Raises DiskFull where so many are not free, or are promised to others who have not written them yet.
        """
        with self._lock:
            others = [each for each in self._reservations.values() if each is not reservation]
            free = shutil.disk_usage(reservation.folder).free + reservation.written
            free -= sum(each.unwritten for each in others)
            if self._quota:
                free = min(free, self._quota - sum(each.written + each.unwritten for each in others))
            if size > free:
                metrics.count_no_room()
                raise DiskFull(f"{size} bytes of disk are needed and {max(0, free)} are free")
            reservation.size = size
            self._reservations[reservation.folder] = reservation


class Reservation:
    """What one conversion may write into its folder, in bytes."""

    def __init__(self, disk: Disk, folder: Path, video_size: int, capacity: int) -> None:
        self.folder = folder
        self.capacity = capacity  # of the empty disk
        self.size = 0
        self._disk = disk
        self._video_size = video_size

    @property
    def largest_audio(self) -> int:
        """Bytes of the largest audio that an empty disk could hold beside the video."""
        return self.capacity - self._video_size

    @property
    def written(self) -> int:
        try:
            with os.scandir(self.folder) as files:
                return sum(file.stat().st_size for file in files)
        except FileNotFoundError:  # removed while we count: its conversion has just ended
            return 0

    @property
    def unwritten(self) -> int:
        return max(0, self.size - self.written)

    def extend(self, audio_size: int) -> None:
        """Reserves the video's bytes and `audio_size` more. Raises DiskFull.

        While audio of that size is only expected, it may be more than an empty disk could hold beside the video. Then
        the video's bytes alone are reserved, for the real audio may be smaller.
        """
        self._disk.reserve(self, self._video_size + (audio_size if audio_size <= self.largest_audio else 0))
