"""GridFS: streams in, streams out, one file per writer. The only user of pymongo.

The documents are those of the GridFS specification; reading and writing them is ours, to stay small: the driver's
writer keeps 48 MB before it sends and its reader takes 16 MB at once (field notes, 6), these a few chunks.
"""

import queue
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any
from uuid import UUID

import pymongo
from bson import Binary
from pymongo.errors import BulkWriteError, OperationFailure, PyMongoError

from functions.model.errors import Missing, Unavailable

CHUNK = 1024 * 1024  # bytes; larger than the driver's 255 KiB: a quarter of the documents, well below MongoDB's 16 MB
BATCH = 4  # chunks in one insert
AHEAD = 1  # batches read while one is being sent
CONNECT: dict[str, Any] = {
    "serverSelectionTimeoutMS": 3000,
    "connectTimeoutMS": 3000,
    "socketTimeoutMS": 20000,
    "uuidRepresentation": "standard",
    "appname": "video-to-mp3",
}


class Bucket:
    """One database's GridFS. Every method raises Unavailable where MongoDB is away or its disk is full."""

    def __init__(self, uri: str) -> None:
        self._uri = uri

    @cached_property
    def _database(self) -> Any:
        return pymongo.MongoClient(self._uri, **CONNECT).get_default_database()

    @cached_property
    def _chunks(self) -> Any:
        """The chunks collection, with the specification's indexes made before the first write."""
        with _translated():
            self._database["fs.files"].create_index([("filename", 1), ("uploadDate", 1)])
            self._database["fs.chunks"].create_index([("files_id", 1), ("n", 1)], unique=True)
        return self._database["fs.chunks"]

    def ping(self) -> None:
        with _translated():
            self._database.client.admin.command("ping")

    def write(self, file_id: UUID, pieces: Iterable[bytes]) -> int:
        """Stores what arrives under that id and returns its size; its chunks are removed before an error leaves."""
        batches = _Ahead(self._chunks)
        try:
            size = count = 0
            for batch in _batches(pieces):
                batches.send(
                    [{"files_id": file_id, "n": count + i, "data": Binary(data)} for i, data in enumerate(batch)]
                )
                count += len(batch)
                size += sum(map(len, batch))
            batches.finish()
            with _translated():
                self._database["fs.files"].insert_one(
                    {
                        "_id": file_id,
                        "length": size,
                        "chunkSize": CHUNK,
                        "uploadDate": datetime.now(UTC),
                        "filename": str(file_id),
                    }
                )
        except BaseException:
            batches.abandon()
            self._abort(file_id)
            raise
        return size

    def read(self, file_id: UUID, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        """The file's bytes from `start` on. Raises Missing before the first byte, or where the file ends too soon."""
        with _translated():
            found = self._database["fs.files"].find_one({"_id": file_id})
            if found is None:
                raise Missing("the file is no longer kept")
        end = found["length"] if length is None else min(found["length"], start + length)
        return self._pieces(file_id, found["chunkSize"], start, end)

    def _pieces(self, file_id: UUID, chunk_size: int, start: int, end: int) -> Iterator[bytes]:
        if start >= end:
            return
        first, last = start // chunk_size, (end - 1) // chunk_size
        wanted = {"files_id": file_id, "n": {"$gte": first, "$lte": last}}
        with (
            _translated(),
            self._database["fs.chunks"].find(wanted, {"data": 1, "n": 1}, batch_size=BATCH).sort("n") as cursor,
        ):
            n = first
            for chunk in cursor:
                if chunk["n"] != n:
                    break
                offset = n * chunk_size
                yield bytes(chunk["data"][max(0, start - offset) : end - offset])
                n += 1
        if n <= last:
            raise Missing(f"the file ends before its chunk {n}")

    def delete(self, file_id: UUID) -> None:
        """Removes the file; without one of that id, whatever chunks it left."""
        with _translated():
            self._database["fs.files"].delete_one({"_id": file_id})
            self._database["fs.chunks"].delete_many({"files_id": file_id})

    def files_older_than(self, seconds: int) -> Iterator[list[UUID]]:
        """Ids of whole files stored longer ago than that, in batches."""
        before = datetime.now(UTC) - timedelta(seconds=seconds)
        with _translated(), self._database["fs.files"].find({"uploadDate": {"$lt": before}}, {"_id": 1}) as cursor:
            yield from _groups((row["_id"] for row in cursor), 500)

    def unfinished_older_than(self, seconds: int) -> Iterator[UUID]:
        """Ids whose newest chunk was stored longer ago than that, and that no file document finishes."""
        before = datetime.now(UTC) - timedelta(seconds=seconds)
        with _translated():
            last = self._newest_chunk({})
            while last is not None:
                file_id = last["files_id"]
                if last["_id"].generation_time < before and not self._database["fs.files"].find_one(
                    {"_id": file_id}, {}
                ):
                    yield file_id
                last = self._newest_chunk({"files_id": {"$lt": file_id}})

    def _newest_chunk(self, wanted: dict[str, Any]) -> dict[str, Any] | None:
        """The last chunk of the last file: one step down the index (files_id, n), whatever lies in between."""
        found: dict[str, Any] | None = self._database["fs.chunks"].find_one(
            wanted, {"files_id": 1}, sort=[("files_id", -1), ("n", -1)]
        )
        return found

    def _abort(self, file_id: UUID) -> None:
        with suppress(Unavailable):  # then sweep removes them by age
            self.delete(file_id)


class _Ahead:
    """Sends batches of chunks from a thread of its own, so that reading the next overlaps with storing the last."""

    def __init__(self, chunks: Any) -> None:
        self._chunks = chunks
        self._queue: queue.Queue[list[dict[str, Any]] | None] = queue.Queue(AHEAD)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="gridfs-writer", daemon=True)
        self._thread.start()

    def send(self, batch: list[dict[str, Any]]) -> None:
        self._queue.put(batch)
        if self._error:
            raise self._error

    def finish(self) -> None:
        """Returns once all is stored."""
        self._queue.put(None)
        self._thread.join()
        if self._error:
            raise self._error

    def abandon(self) -> None:
        if self._thread.is_alive():
            self._error = self._error or Missing("given up")
            self._queue.put(None)
            self._thread.join()

    def _run(self) -> None:
        while (batch := self._queue.get()) is not None:
            if self._error is None:
                try:
                    with _translated():
                        self._chunks.insert_many(batch, ordered=True)
                except BaseException as error:
                    self._error = error


def _batches(pieces: Iterable[bytes]) -> Iterator[list[bytes]]:
    """Pieces of any length as lists of at most BATCH chunks of CHUNK bytes (the last one shorter)."""
    batch, chunk = [], bytearray()
    for piece in pieces:
        chunk += piece
        while len(chunk) >= CHUNK:
            batch.append(bytes(chunk[:CHUNK]))
            del chunk[:CHUNK]
            if len(batch) == BATCH:
                yield batch
                batch = []
    if chunk:
        batch.append(bytes(chunk))
    if batch:
        yield batch


def _groups(items: Iterable[UUID], size: int) -> Iterator[list[UUID]]:
    group: list[UUID] = []
    for item in items:
        group.append(item)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (OperationFailure, BulkWriteError) as error:
        raise Unavailable(f"the file store refused ({error.code}); try again soon") from error
    except PyMongoError as error:
        raise Unavailable("the file store cannot be reached; try again soon") from error
