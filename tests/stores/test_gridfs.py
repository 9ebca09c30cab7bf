"""GridFS: bytes in are bytes out, whole or in parts, nothing half is left, and little is held in memory."""

import hashlib
import tracemalloc
from collections.abc import Callable, Iterator
from itertools import islice, repeat
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import gridfs
import pymongo
import pytest

from functions.model.errors import Missing, Unavailable
from functions.stores.gridfs import BATCH, CHUNK, Bucket
from tests.conftest import with_name
from tests.events.wire import Wire
from tests.stores import mongos

PATTERN = bytes(range(251)) * (3 * CHUNK // 251 + 1)  # 251 is prime, so no two chunks are alike
NOTHING = UUID(int=0)


@pytest.fixture
def raw(mongo_uri: str) -> Iterator[Any]:
    """The same database by the driver alone."""
    client: pymongo.MongoClient[dict[str, Any]] = pymongo.MongoClient(mongo_uri, uuidRepresentation="standard")
    with client:
        yield client.get_default_database()


def left(raw: Any) -> tuple[int, int]:
    """Files and chunks."""
    return raw["fs.files"].count_documents({}), raw["fs.chunks"].count_documents({})


def stored(bucket: Bucket, content: bytes) -> UUID:
    file_id = uuid4()
    bucket.write(file_id, [content])
    return file_id


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, BATCH * CHUNK, BATCH * CHUNK + 1])
@pytest.mark.parametrize("piece", [CHUNK // 3 + 1, 9 * CHUNK])
def test_bytes_in_are_bytes_out(size: int, piece: int, bucket: Bucket) -> None:
    """For sizes around the borders of chunks and batches, in pieces smaller and larger than a chunk."""
    content = (PATTERN * 2)[:size]
    file_id = uuid4()
    assert bucket.write(file_id, (content[at : at + piece] for at in range(0, size, piece))) == size
    assert b"".join(bucket.read(file_id)) == content


@pytest.mark.parametrize(
    ("start", "length"),
    [(0, 1), (5, 10), (CHUNK - 1, 2), (CHUNK, CHUNK), (CHUNK + 1, None), (2 * CHUNK + 7, 10**9), (0, 0), (10**9, 5)],
)
def test_a_range_is_read_from_the_chunks_it_lies_in(start: int, length: int | None, bucket: Bucket) -> None:
    """A player that jumps ahead need not wait for what it skips."""
    content = PATTERN[: 2 * CHUNK + 100]
    wanted = content[start:] if length is None else content[start : start + length]
    assert b"".join(bucket.read(stored(bucket, content), start, length)) == wanted


def test_the_driver_reads_what_we_write(bucket: Bucket, raw: Any) -> None:
    """The documents are those of the specification, so other tools can read them too."""
    file_id = stored(bucket, PATTERN)
    file = gridfs.GridFS(raw).get(file_id)
    assert (file.length, file.read()) == (len(PATTERN), PATTERN)


def test_we_read_what_the_driver_writes(bucket: Bucket, raw: Any) -> None:
    """Its chunks have another size than ours, which the file's document says."""
    file_id = uuid4()
    gridfs.GridFS(raw).put(PATTERN, _id=file_id)
    assert b"".join(bucket.read(file_id, 100, 10**6)) == PATTERN[100 : 100 + 10**6]


@pytest.mark.parametrize("trouble", [RuntimeError("the client hung up"), KeyboardInterrupt()])
def test_a_writer_that_breaks_off_leaves_nothing(trouble: BaseException, bucket: Bucket, raw: Any) -> None:
    """However much of the file was stored by then."""

    def pieces() -> Iterator[bytes]:
        yield PATTERN * 4
        raise trouble

    with pytest.raises(type(trouble)):
        bucket.write(uuid4(), pieces())
    assert left(raw) == (0, 0)


def test_a_writer_that_breaks_off_touches_no_other_file(bucket: Bucket) -> None:
    """Each has an id of its own."""
    kept = stored(bucket, b"kept")
    with pytest.raises(ZeroDivisionError):
        bucket.write(uuid4(), (bytes(1 // number) for number in (1, 0)))
    assert b"".join(bucket.read(kept)) == b"kept"


PARTS = {
    "within one chunk": [1, 0, 5, CHUNK - 7],
    "of whole chunks": [CHUNK, 2 * CHUNK, CHUNK],
    "of halves": [CHUNK // 2] * 5,
    "across batches": [3 * CHUNK + 7, 1, 2 * BATCH * CHUNK, CHUNK - 8],
    "around a border": [CHUNK - 1, 1, 1, CHUNK - 1],
    "of nothing": [0, 0],
}


@pytest.mark.parametrize("sizes", PARTS.values(), ids=PARTS)
def test_parts_become_the_file_that_the_whole_would_be(sizes: list[int], bucket: Bucket, raw: Any) -> None:
    """Wherever one ends and the next begins: the same bytes in the same chunks."""
    whole = (PATTERN * 5)[: sum(sizes)]
    file_id, offset = uuid4(), 0
    for size in sizes:
        assert bucket.append(file_id, [whole[offset : offset + size]], offset) == offset + size
        offset += size
    bucket.finish(file_id, offset)
    assert b"".join(bucket.read(file_id)) == whole
    assert left(raw) == (1, -(-len(whole) // CHUNK))
    assert gridfs.GridFS(raw).get(file_id).read() == whole


@pytest.mark.parametrize("offset", [0, 5, CHUNK - 1, CHUNK, 2 * CHUNK + 5, 3 * CHUNK])
def test_what_a_dead_writer_left_behind_the_offset_goes(offset: int, bucket: Bucket, raw: Any) -> None:
    """It stored more than it came to note: the next one begins where the note says."""
    file_id = uuid4()
    bucket.append(file_id, [PATTERN])
    bucket.append(file_id, [b"new"], offset)
    bucket.finish(file_id, offset + 3)
    assert b"".join(bucket.read(file_id)) == PATTERN[:offset] + b"new"
    assert left(raw) == (1, -(-(offset + 3) // CHUNK))


@pytest.mark.parametrize("begun", [0, 5, CHUNK, CHUNK + 5])
def test_a_part_that_breaks_off_keeps_what_was_before_it(begun: int, bucket: Bucket) -> None:
    """Whoever sent it goes on from there."""

    def pieces() -> Iterator[bytes]:
        yield PATTERN * 4
        raise RuntimeError("the client hung up")

    file_id = uuid4()
    bucket.append(file_id, [PATTERN[:begun]])
    with pytest.raises(RuntimeError):
        bucket.append(file_id, pieces(), begun)
    size = bucket.append(file_id, [PATTERN[begun:]], begun)
    bucket.finish(file_id, size)
    assert b"".join(bucket.read(file_id)) == PATTERN


@pytest.mark.parametrize("offset", [1, CHUNK + 6])
def test_a_part_whose_beginning_is_not_there_is_missing(offset: int, bucket: Bucket, raw: Any) -> None:
    """A hole in a file would only be found when somebody wants it; nothing is stored."""
    file_id = uuid4()
    bucket.append(file_id, [PATTERN[: offset - 1]])
    before = left(raw)
    with pytest.raises(Missing):
        bucket.append(file_id, [b"x"], offset)
    assert left(raw) == before


def test_what_is_not_finished_is_no_file_and_can_be_removed(bucket: Bucket, raw: Any) -> None:
    """Nobody can read it, sweep finds it by its age, and abort leaves nothing of it."""
    file_id, kept = uuid4(), stored(bucket, b"kept")
    bucket.append(file_id, [PATTERN])
    with pytest.raises(Missing):
        bucket.read(file_id)
    assert list(bucket.unfinished_older_than(-2)) == [file_id]
    bucket.abort(file_id)
    assert left(raw) == (1, 1)
    assert b"".join(bucket.read(kept)) == b"kept"


def test_to_abort_without_a_server_raises_nothing() -> None:
    """It follows an error, which must not be hidden by another one."""
    Bucket("mongodb://127.0.0.1:1/videos?serverSelectionTimeoutMS=300").abort(NOTHING)


def test_the_first_files_at_once_are_all_whole(
    mongo_uri: str, at_once: Callable[[Callable[[], Any]], list[Any]]
) -> None:
    """They all want to make the indexes, which must be made once."""
    bucket = Bucket(mongo_uri)
    for file_id in at_once(lambda: stored(bucket, b"video")):
        assert b"".join(bucket.read(file_id)) == b"video"


def test_no_file_is_missing_before_the_first_byte(bucket: Bucket) -> None:
    """So the answer can still be 404."""
    with pytest.raises(Missing):
        bucket.read(uuid4())


@pytest.mark.parametrize("lost", [0, 1, BATCH])
def test_a_lost_chunk_is_noticed(lost: int, bucket: Bucket, raw: Any) -> None:
    """Whoever reads gets an error instead of a file with a gap, or of a shorter one."""
    file_id = stored(bucket, PATTERN + PATTERN)
    raw["fs.chunks"].delete_one({"files_id": file_id, "n": lost})
    with pytest.raises(Missing):
        hashlib.sha256().update(b"".join(bucket.read(file_id)))


def test_deleting_removes_the_file_and_its_chunks_and_no_other(bucket: Bucket, raw: Any) -> None:
    """To delete what is not there is no error."""
    gone, kept = stored(bucket, PATTERN), stored(bucket, b"kept")
    bucket.delete(gone)
    bucket.delete(gone)
    assert left(raw) == (1, 1)
    assert b"".join(bucket.read(kept)) == b"kept"


def test_old_files_and_unfinished_chunks_are_found_by_age(bucket: Bucket, raw: Any) -> None:
    """A running upload looks just like what a crash has left, and only their age tells them apart."""
    finished = stored(bucket, PATTERN)
    unfinished = uuid4()
    raw["fs.chunks"].insert_many([{"files_id": unfinished, "n": n, "data": b"x"} for n in range(3)])
    assert list(bucket.files_older_than(3600)) == []
    assert list(bucket.unfinished_older_than(3600)) == []
    assert list(bucket.files_older_than(-2)) == [[finished]]
    assert list(bucket.unfinished_older_than(-2)) == [unfinished]


@pytest.mark.parametrize("begun", [0, CHUNK // 2], ids=["at once", "behind a part"])
def test_little_is_held_in_memory(begun: int, bucket: Bucket) -> None:
    """A few batches of chunks at most, however large the file is."""
    file_id, size = uuid4(), 64 * CHUNK
    bucket.append(file_id, [bytes(begun)])
    tracemalloc.start()
    try:
        assert bucket.append(file_id, repeat(bytes(256 * 1024), size // (256 * 1024)), begun) == begun + size
        bucket.finish(file_id, begun + size)
        assert sum(map(len, bucket.read(file_id))) == begun + size
        assert tracemalloc.get_traced_memory()[1] < 6 * BATCH * CHUNK
    finally:
        tracemalloc.stop()


ASK: dict[str, Callable[[Bucket], Any]] = {
    "ping": Bucket.ping,
    "write": lambda bucket: bucket.write(NOTHING, [b"x"]),
    "append": lambda bucket: bucket.append(NOTHING, [b"x"]),
    "append behind a part": lambda bucket: bucket.append(NOTHING, [b"x"], 1),
    "finish": lambda bucket: bucket.finish(NOTHING, 0),
    "read": lambda bucket: bucket.read(NOTHING),
}


@pytest.mark.parametrize("ask", ASK.values(), ids=ASK)
def test_no_server_is_unavailable_as_soon_as_the_uri_says(ask: Callable[[Bucket], Any]) -> None:
    """Whatever is asked for: an upload is refused then, and not lost."""
    with pytest.raises(Unavailable, match="try again") as trouble:
        ask(Bucket("mongodb://127.0.0.1:1/videos?serverSelectionTimeoutMS=300"))
    assert "Timeout: 0.3s" in str(trouble.value.__cause__)  # the driver's own words


@pytest.fixture
def wire(mongo_uri: str) -> Iterator[Wire]:
    server = urlsplit(mongo_uri)
    wire = Wire(str(server.hostname), server.port or 27017)
    yield wire
    wire.close()


@pytest.fixture
def wired(wire: Wire, mongo_uri: str) -> Bucket:
    """The bucket at the other end of the wire."""
    address = f"mongodb://127.0.0.1:{wire.port}?serverSelectionTimeoutMS=1000"
    return Bucket(with_name(address, urlsplit(mongo_uri).path.strip("/")))


def test_a_server_lost_within_a_file_is_unavailable_and_the_next_read_works(wire: Wire, wired: Bucket) -> None:
    """The driver connects anew."""
    file_id = stored(wired, PATTERN * 4)
    pieces = wired.read(file_id)
    next(pieces)
    wire.cut()
    with pytest.raises(Unavailable):
        list(pieces)
    wire.restore()
    assert sum(map(len, wired.read(file_id))) == len(PATTERN) * 4


@pytest.mark.parametrize("kind", [mongos.mongos, mongos.without_streams])
def test_a_server_that_streams_nothing_is_asked_for_each_chunk(
    kind: Callable[[bytes], bytes], wire: Wire, wired: Bucket
) -> None:
    """Whether the driver knows that before, or the server refuses in the middle."""
    altered = []

    def alter(data: bytes) -> bytes:
        if (passed := kind(data)) != data:
            altered.append(passed)
        return passed

    wire.altered = alter
    file_id = stored(wired, PATTERN * 4)
    assert b"".join(wired.read(file_id)) == PATTERN * 4
    assert altered


def test_those_who_read_slowly_keep_nobody_from_reading(bucket: Bucket) -> None:
    """Each has a connection of its own while it reads, more than a driver that is told nothing would open."""
    file_id = stored(bucket, PATTERN * 2)
    slow = [bucket.read(file_id) for _ in range(101)]
    assert b"".join(bucket.read(file_id)) == PATTERN * 2
    assert all(next(pieces) == PATTERN[:CHUNK] for pieces in slow)
    for pieces in slow:
        pieces.close()
    assert b"".join(bucket.read(file_id)) == PATTERN * 2


@pytest.mark.parametrize("pieces", [0, 1, 4])
def test_a_reader_that_is_closed_frees_its_connection(pieces: int, mongo_uri: str) -> None:
    """Before its first piece or behind any. Here there is one connection, for what the URI says counts."""
    bucket = Bucket(f"{mongo_uri}?maxPoolSize=1&waitQueueTimeoutMS=1000")
    file_id = stored(bucket, PATTERN * 2)
    reader = bucket.read(file_id)
    assert len(list(islice(reader, pieces))) == pieces
    with pytest.raises(Unavailable):
        bucket.read(file_id)
    reader.close()
    assert b"".join(bucket.read(file_id)) == PATTERN * 2
