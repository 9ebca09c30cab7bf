"""Room for videos and their MP3s: asked for before a byte is fetched, and never promised to two conversions at once."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

from functions.model.errors import Unavailable
from functions.model.media import MediaError, Reason
from functions.runtime import metrics

_OWN = 64  # one part in so many the file system may take for itself: inodes, directories, its journal


class NoRoom(Unavailable):
    """The disk could hold it, but others have filled it: try again later."""


class Disk:
    """The disk that conversions of this process work on; they take `quota` bytes of it at most, or all (0)."""

    def __init__(self, quota: int) -> None:
        self._quota = quota
        self._rooms: dict[Path, Room] = {}
        self._counting = Lock()

    @contextmanager
    def room(self, folder: Path, video: int) -> Iterator["Room"]:
        """Room for a video of that many bytes below `folder`. Raises MediaError where the disk could never hold it."""
        usage = shutil.disk_usage(folder)
        capacity = usage.used + usage.free  # less than its total where some is kept for root
        capacity -= capacity // _OWN
        room = Room(self, folder, video, min(capacity, self._quota or capacity))
        if video >= room.capacity:
            raise MediaError(Reason.DISK_TOO_SMALL, f"{video} bytes on a disk that holds {room.capacity}")
        try:
            yield room
        finally:
            with self._counting:
                self._rooms.pop(folder, None)

    def keep(self, room: "Room", needed: int) -> None:
        """Raises NoRoom where that many bytes are not free, or are promised to others who have not written them yet."""
        with self._counting:
            others = [each for each in self._rooms.values() if each is not room]
            free = shutil.disk_usage(room.folder).free + room.written - sum(each.unwritten for each in others)
            if self._quota:
                free = min(free, self._quota - sum(each.written + each.unwritten for each in others))
            if needed > free:
                metrics.count_no_room()
                raise NoRoom(f"{needed} bytes of disk are needed and {max(0, free)} are free")
            room.kept = needed
            self._rooms[room.folder] = room


class Room:
    """What one conversion may fill."""

    def __init__(self, disk: Disk, folder: Path, video: int, capacity: int) -> None:
        self.folder = folder
        self.capacity = capacity
        self.kept = 0
        self._disk = disk
        self._video = video

    @property
    def largest_audio(self) -> int:
        """Bytes: no MP3 beyond this could ever stand beside its video."""
        return self.capacity - self._video

    @property
    def written(self) -> int:
        try:
            with os.scandir(self.folder) as files:
                return sum(file.stat().st_size for file in files)
        except FileNotFoundError:  # removed while we count: its conversion has just ended
            return 0

    @property
    def unwritten(self) -> int:
        return max(0, self.kept - self.written)

    def keep(self, audio: int) -> None:
        """Promises this conversion room for its video and an MP3 of that many bytes. Raises NoRoom.

        An expected MP3 for which even an empty disk were too small is not waited for: the real one may be smaller.
        """
        self._disk.keep(self, self._video + (audio if audio <= self.largest_audio else 0))
