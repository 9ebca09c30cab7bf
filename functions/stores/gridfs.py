"""GridFS: streams in, streams out, one file per writer. The only user of pymongo.

The documents are those of the GridFS specification; reading and writing them is ours, to stay small: the driver's
writer keeps 48 MB before it sends and its reader takes 16 MB at once (measured), these a few chunks.
"""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from itertools import chain
from threading import Lock
from typing import Any, TypeVar
from uuid import UUID

import pymongo
from bson import Binary
from pymongo.errors import BulkWriteError, OperationFailure, PyMongoError

from functions.model.errors import Missing, Unavailable

CHUNK = 1024 * 1024  # bytes; larger than the driver's 255 KiB: a quarter of the documents, well below MongoDB's 16 MB
BATCH = 4  # chunks in one insert
FETCH = 2  # chunks in one answer: more are slower, even one fetched while another is used (measured)
CONNECT: dict[str, Any] = {
    "serverSelectionTimeoutMS": 3000,
    "connectTimeoutMS": 3000,
    "socketTimeoutMS": 20000,
    "uuidRepresentation": "standard",
    "appname": "video-to-mp3",
}
T = TypeVar("T")


class Bucket:
    """One database's GridFS. Every method raises Unavailable where MongoDB is away or its disk is full."""

    def __init__(self, uri: str) -> None:
        # The driver would let these win over what the URI says.
        unsaid = {name: value for name, value in CONNECT.items() if f"{name}=".lower() not in uri.lower()}
        with _translated():
            self._database: Any = pymongo.MongoClient(uri, connect=False, **unsaid).get_default_database()
        self._indexing = Lock()
        self._indexed = False

    def ping(self) -> None:
        with _translated():
            self._database.client.admin.command("ping")

    def write(self, file_id: UUID, pieces: Iterable[bytes]) -> int:
        """Stores what arrives under that id and returns its size; its chunks are removed before an error leaves."""
        try:
            size = self._write_chunks(file_id, pieces)
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
            self._abort(file_id)
            raise
        return size

    def _write_chunks(self, file_id: UUID, pieces: Iterable[bytes]) -> int:
        """The size of all; while one batch is being stored the next arrives."""
        size = 0
        rows: Iterator[dict[str, Any]] = (
            {"files_id": file_id, "n": n, "data": Binary(chunk)} for n, chunk in enumerate(_chunked(pieces))
        )
        with ThreadPoolExecutor(1, "gridfs-writer") as writer:
            stored = writer.submit(self._insert, [])
            for batch in _groups(rows, BATCH):
                size += sum(len(row["data"]) for row in batch)
                stored.result()
                stored = writer.submit(self._insert, batch)
            stored.result()
        return size

    def _insert(self, batch: list[dict[str, Any]]) -> None:
        if batch:
            with _translated():
                self._make_indexes()
                self._database["fs.chunks"].insert_many(batch)

    def _make_indexes(self) -> None:
        """Those of the specification, before the first write."""
        with self._indexing:
            if not self._indexed:
                self._database["fs.files"].create_index([("filename", 1), ("uploadDate", 1)])
                self._database["fs.chunks"].create_index([("files_id", 1), ("n", 1)], unique=True)
                self._indexed = True

    def read(self, file_id: UUID, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        """The file's bytes from `start` on. Raises Missing where it ends too soon; what it can, before it returns."""
        with _translated():
            found = self._database["fs.files"].find_one({"_id": file_id})
            if found is None:
                raise Missing("the file is no longer kept")
        end = found["length"] if length is None else min(found["length"], start + length)
        pieces = self._pieces(file_id, found["chunkSize"], start, end)
        return chain([next(pieces, b"")], pieces)  # trouble with the first can still be answered, that with others not

    def _pieces(self, file_id: UUID, chunk_size: int, start: int, end: int) -> Iterator[bytes]:
        if start >= end:
            return
        first, last = start // chunk_size, (end - 1) // chunk_size
        wanted = {"files_id": file_id, "n": {"$gte": first, "$lte": last}}
        with (
            _translated(),
            self._database["fs.chunks"].find(wanted, {"data": 1, "n": 1}, batch_size=FETCH).sort("n") as cursor,
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
            # One walk along the index (MongoDB's DISTINCT_SCAN); its answer has room for half a million ids (16 MB).
            for ids in _groups(self._database["fs.chunks"].distinct("files_id"), 500):
                whole = {row["_id"] for row in self._database["fs.files"].find({"_id": {"$in": ids}}, {"_id": 1})}
                for file_id in ids:
                    if file_id not in whole and self._newest_chunk(file_id) < before:
                        yield file_id

    def _newest_chunk(self, file_id: UUID) -> datetime:
        """When it was stored; now, where somebody has just removed it."""
        found = self._database["fs.chunks"].find_one({"files_id": file_id}, {"_id": 1}, sort=[("n", -1)])
        stored: datetime = found["_id"].generation_time if found else datetime.now(UTC)
        return stored

    def _abort(self, file_id: UUID) -> None:
        with suppress(Unavailable):  # then sweep removes them by age
            self.delete(file_id)


def _chunked(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Pieces of any length as chunks of CHUNK bytes (the last one shorter)."""
    chunk = bytearray()
    for piece in pieces:
        chunk += piece
        while len(chunk) >= CHUNK:
            yield bytes(chunk[:CHUNK])
            del chunk[:CHUNK]
    if chunk:
        yield bytes(chunk)


def _groups(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of that many, the last one shorter."""
    group: list[T] = []
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
