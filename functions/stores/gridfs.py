"""GridFS: files as documents of MongoDB, written and read as streams. The only user of pymongo.

The documents are those of the GridFS specification, so other tools can read them. They are written and read by code of
our own to need little memory: the driver's writer collects 48 MB before it sends and its reader takes 16 MB at once
(measured), these a few chunks.
"""

from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from itertools import chain
from threading import Lock
from typing import Any, TypeVar
from uuid import UUID

import pymongo
from bson import Binary
from pymongo import CursorType
from pymongo.errors import BulkWriteError, InvalidOperation, OperationFailure, PyMongoError

from functions.model.errors import Missing, Unavailable

CHUNK = 1024 * 1024  # bytes; the driver's 255 KiB would make four times the documents, and MongoDB allows 16 MB
BATCH = 4  # chunks in one insert
FETCH = 2  # chunks in one answer that is asked for: more are slower, even if fetched while others are used (measured)
STREAMED = CursorType.EXHAUST, 1  # a kind of cursor, and how many chunks its answers have
ASKED = CursorType.NON_TAILABLE, FETCH
CONNECT: dict[str, Any] = {
    "maxPoolSize": 0,  # no limit: whoever reads slowly keeps a connection, and must not keep others from getting one
    "serverSelectionTimeoutMS": 3000,
    "connectTimeoutMS": 3000,
    "socketTimeoutMS": 20000,
    "uuidRepresentation": "standard",
    "appname": "video-to-mp3",
}
T = TypeVar("T")


class Bucket:
    """The GridFS of one database, as a FileStore (model/files.py says what each method promises).

    Every method raises Unavailable where MongoDB is away or its disk is full.
    """

    def __init__(self, uri: str) -> None:
        # An argument wins over the same option in the URI, so only those that the URI does not set are passed.
        defaults = {name: value for name, value in CONNECT.items() if f"{name}=".lower() not in uri.lower()}
        with _translated():
            self._database: Any = pymongo.MongoClient(uri, connect=False, **defaults).get_default_database()
        self._indexing = Lock()
        self._indexed = False

    def ping(self) -> None:
        with _translated():
            self._database.client.admin.command("ping")

    def write(self, file_id: UUID, pieces: Iterable[bytes]) -> int:
        """Stores all pieces under an id that was never used, and gives their size in bytes.

        Whatever `pieces` raises leaves as it was raised, after the chunks that were stored are removed.
        """
        try:
            size = self._store(file_id, 0, _chunked(pieces))
            self.finish(file_id, size)
        except BaseException:
            self.abort(file_id)
            raise
        return size

    def append(self, file_id: UUID, pieces: Iterable[bytes], offset: int = 0) -> int:
        """Stores the pieces from that offset on, in place of whatever chunks lie there, and gives the size of all.

        Chunk n holds the bytes from n × CHUNK on. Where the offset lies within a chunk, that chunk is replaced by a
        longer one in a single step, so that its first bytes are there at any time. Raises Missing where the bytes
        between the border of that chunk and the offset are not there.
        """
        n, inside = divmod(offset, CHUNK)
        begun = self._chunk(file_id, n, inside) if inside else b""
        self._cut(file_id, n, keep=bool(inside))
        chunks = _chunked(chain([begun], pieces))
        if not inside:
            return offset + self._store(file_id, n, chunks)
        self._replace(file_id, n, first := next(chunks))
        return n * CHUNK + len(first) + self._store(file_id, n + 1, chunks)

    def finish(self, file_id: UUID, size: int) -> None:
        """Makes the chunks a file of `size` bytes."""
        file = {"_id": file_id, "length": size, "chunkSize": CHUNK, "filename": str(file_id)}
        with _translated():
            self._make_indexes()
            self._database["fs.files"].insert_one(file | {"uploadDate": datetime.now(UTC)})

    def abort(self, file_id: UUID) -> None:
        """Removes what was stored; what cannot be removed now is an orphan, which sweep removes by its age."""
        with suppress(Unavailable):
            self.delete(file_id)

    def _store(self, file_id: UUID, n: int, chunks: Iterable[bytes]) -> int:
        """Stores new chunks, numbered from n on, and gives their bytes. While one batch is stored the next arrives."""
        size = 0
        with ThreadPoolExecutor(1, "gridfs-writer") as writer:
            stored = writer.submit(self._insert, [])
            for batch in _groups(_documents(file_id, n, chunks), BATCH):
                size += sum(len(chunk["data"]) for chunk in batch)
                stored.result()
                stored = writer.submit(self._insert, batch)
            stored.result()
        return size

    def _chunk(self, file_id: UUID, n: int, size: int) -> bytes:
        """The first `size` bytes of a chunk. Raises Missing where it has fewer."""
        with _translated():
            found = self._database["fs.chunks"].find_one({"files_id": file_id, "n": n}, {"data": 1})
        if found is None or len(found["data"]) < size:
            raise Missing(f"less than {size} bytes of chunk {n} are stored")
        return bytes(found["data"][:size])

    def _cut(self, file_id: UUID, n: int, *, keep: bool) -> None:
        """Removes the chunks behind chunk n, and that one too unless it is to be kept."""
        with _translated():
            self._database["fs.chunks"].delete_many({"files_id": file_id, "n": {"$gt" if keep else "$gte": n}})

    def _replace(self, file_id: UUID, n: int, chunk: bytes) -> None:
        with _translated():
            self._database["fs.chunks"].update_one({"files_id": file_id, "n": n}, {"$set": {"data": Binary(chunk)}})

    def _insert(self, batch: list[dict[str, Any]]) -> None:
        if batch:
            with _translated():
                self._make_indexes()
                self._database["fs.chunks"].insert_many(batch)

    def _make_indexes(self) -> None:
        """Makes the indexes that the GridFS specification asks for, before the first write of this process."""
        with self._indexing:
            if not self._indexed:
                self._database["fs.files"].create_index([("filename", 1), ("uploadDate", 1)])
                self._database["fs.chunks"].create_index([("files_id", 1), ("n", 1)], unique=True)
                self._indexed = True

    def read(self, file_id: UUID, start: int = 0, length: int | None = None) -> Generator[bytes]:
        """The file's bytes from `start` on, all or at most `length`. Whoever stops before their end has to close it.

        Raises Missing where there is no such file, or where it ends too soon. The first piece is read before this
        returns, so that trouble with it can still be answered; trouble with a later one can only break the answer off.
        """
        with _translated():
            found = self._database["fs.files"].find_one({"_id": file_id})
            if found is None:
                raise Missing("the file is no longer kept")
        end = found["length"] if length is None else min(found["length"], start + length)
        pieces = self._pieces(file_id, found["chunkSize"], start, end)
        next(pieces)
        return pieces

    def _pieces(self, file_id: UUID, chunk_size: int, start: int, end: int) -> Generator[bytes]:
        """Nothing, as soon as the first piece is there, and then each piece."""
        if start >= end:
            yield b""
            return
        first, last = start // chunk_size, (end - 1) // chunk_size
        n = first
        with _translated(), closing(self._chunks(file_id, first, last)) as chunks:
            for chunk in chunks:
                if chunk["n"] != n:
                    break
                if n == first:
                    yield b""
                offset = n * chunk_size
                yield bytes(chunk["data"][max(0, start - offset) : end - offset])
                n += 1
        if n <= last:
            raise Missing(f"the file ends before its chunk {n}")

    def _chunks(self, file_id: UUID, n: int, last: int) -> Generator[dict[str, Any]]:
        """Those chunks, from n to `last`, that are stored.

        The server sends them one after the other, as fast as they are taken and without being asked for each. A reader
        that is closed before the end closes its connection: there is no other way to stop the server. Where a server
        refuses that (mongos before 7.1, and what only resembles MongoDB), and for a few chunks, they are asked for.
        """
        for kind, count in (STREAMED, ASKED) if last - n >= FETCH else (ASKED,):
            wanted = {"files_id": file_id, "n": {"$gte": n, "$lte": last}}
            found = self._database["fs.chunks"].find(wanted, {"data": 1, "n": 1}, cursor_type=kind, batch_size=count)
            try:
                with found.sort("n") as cursor:
                    for chunk in cursor:
                        yield chunk
                        n = chunk["n"] + 1
            except (InvalidOperation, OperationFailure):
                if kind == CursorType.NON_TAILABLE:
                    raise
            else:
                return

    def delete(self, file_id: UUID) -> None:
        """Removes the file and its chunks, or the chunks of one that was never finished."""
        with _translated():
            self._database["fs.files"].delete_one({"_id": file_id})
            self._database["fs.chunks"].delete_many({"files_id": file_id})

    def files_older_than(self, seconds: int) -> Iterator[list[UUID]]:
        """The ids of files that were finished longer ago than that, in batches."""
        before = datetime.now(UTC) - timedelta(seconds=seconds)
        with _translated(), self._database["fs.files"].find({"uploadDate": {"$lt": before}}, {"_id": 1}) as cursor:
            yield from _groups((row["_id"] for row in cursor), 500)

    def unfinished_older_than(self, seconds: int) -> Iterator[UUID]:
        """The ids of unfinished files whose newest chunk was stored longer ago than that."""
        before = datetime.now(UTC) - timedelta(seconds=seconds)
        with _translated():
            # One walk along the index (MongoDB's DISTINCT_SCAN). Its answer may have 16 MB, or half a million ids.
            for ids in _groups(self._database["fs.chunks"].distinct("files_id"), 500):
                whole = {row["_id"] for row in self._database["fs.files"].find({"_id": {"$in": ids}}, {"_id": 1})}
                for file_id in ids:
                    if file_id not in whole and self._newest_chunk(file_id) < before:
                        yield file_id

    def _newest_chunk(self, file_id: UUID) -> datetime:
        """When it was stored, which is a part of its id; or now, where somebody has just removed it."""
        found = self._database["fs.chunks"].find_one({"files_id": file_id}, {"_id": 1}, sort=[("n", -1)])
        stored: datetime = found["_id"].generation_time if found else datetime.now(UTC)
        return stored


def _chunked(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Pieces of any length as chunks of CHUNK bytes, the last one shorter."""
    chunk = bytearray()
    for piece in pieces:
        chunk += piece
        while len(chunk) >= CHUNK:
            yield bytes(chunk[:CHUNK])
            del chunk[:CHUNK]
    if chunk:
        yield bytes(chunk)


def _documents(file_id: UUID, n: int, chunks: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """The chunks as the specification writes them, numbered from n on."""
    return ({"files_id": file_id, "n": at, "data": Binary(chunk)} for at, chunk in enumerate(chunks, n))


def _groups(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of `size` items, the last one shorter."""
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
    """Every error of the driver as Unavailable."""
    try:
        yield
    except (OperationFailure, BulkWriteError) as error:
        raise Unavailable(f"the file store refused ({error.code}); try again soon") from error
    except PyMongoError as error:
        raise Unavailable("the file store cannot be reached; try again soon") from error
