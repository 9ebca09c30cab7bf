"""Bytes in and out of GridFS, by our functions and by the least that could do it: one server, one size of chunks.

What is uploaded is held against a bare writer of ours and not against the driver's, which sends 48 MB at once: the
emulator's server, once its cache (256 MB) is full, takes that badly, and it would flatter us.
"""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any
from uuid import uuid4

import pymongo
from gridfs import GridFSBucket

from functions.stores.gridfs import BATCH, CHUNK
from tests.bench.harness import Harness
from tests.bench.table import Row, in_turn, timed

MP4 = b"\0\0\0\x20ftypisom"  # what a video begins with; the rest may be anything, for nobody converts it
AT_ONCE = 4
Deed = Callable[[], object]


def rows(harness: Harness, directory: Path, megabytes: int, rounds: int) -> Iterator[Row]:
    """The bridge must be stopped: converting what is uploaded here would be in the way."""
    video, fetched = directory / "noise.mp4", directory / "fetched"
    with video.open("wb") as file:
        file.writelines([MP4, *(os.urandom(CHUNK) for _ in range(megabytes))])
    client: pymongo.MongoClient[dict[str, Any]] = pymongo.MongoClient(harness.mongo_uri, uuidRepresentation="standard")
    driver = GridFSBucket(client.get_default_database())
    kept = harness.offer(harness.upload(video))
    assert kept.video

    def driver_fetch(path: Path) -> None:
        with path.open("wb") as file:
            driver.download_to_stream(kept.audio, file)

    def fetch() -> None:  # as convert does it (functions/convert/conversion.py)
        with fetched.open("wb") as file:
            file.writelines(harness.files.read(kept.video))

    def store() -> None:
        with video.open("rb") as file:
            harness.files.write(uuid4(), iter(lambda: file.read(CHUNK), b""))

    bare = partial(_write, client.get_default_database(), video)
    copy = partial(_copy, video, directory / "copy")
    download, driver_download = partial(harness.download, kept), partial(driver_fetch, Path(os.devnull))
    upload = partial(harness.upload, video)
    for what, sent in {"upload (raw body)": upload, "upload (form)": partial(upload, as_form=True)}.items():
        against_bare, against_copy = _rates(rounds, sent, bare, copy)
        yield Row(f"{what}: rate against a bare writer", against_bare, at_least=0.95)
        yield Row(f"{what}: rate against cat and fsync", against_copy)
    compared: dict[str, tuple[Deed, Deed]] = {
        "download: rate against the driver": (download, driver_download),
        "convert, video out of GridFS: rate against the driver": (fetch, partial(driver_fetch, fetched)),
        "convert, MP3 into GridFS: rate against a bare writer": (store, bare),
    }
    for what, (ours, plain) in compared.items():
        (values,) = _rates(rounds, ours, plain)
        yield Row(what, values, at_least=0.95)
    costs = in_turn(rounds, partial(_at_once, download), partial(_at_once, driver_download))
    values = [max(plain) / max(mine) for mine, plain in costs]
    yield Row(f"{AT_ONCE} downloads at once: rate against the driver, {AT_ONCE} times", values, at_least=0.8)
    yield Row(
        f"{AT_ONCE} downloads at once: the slowest against the median",
        [max(mine) / median(mine) for mine, _ in costs],
        at_most=1.5,
    )


def _rates(rounds: int, ours: Deed, *plain: Deed) -> list[list[float]]:
    """How many times as fast ours is as each of the plain ones, round by round."""
    costs = in_turn(rounds, timed(ours), *map(timed, plain))
    return [[theirs[at] / mine for mine, *theirs in costs] for at in range(len(plain))]


def _at_once(deed: Deed) -> list[float]:
    """The seconds until each of several that begin together has ended."""
    began = time.perf_counter()

    def until_done(_: int) -> float:
        deed()
        return time.perf_counter() - began

    with ThreadPoolExecutor(AT_ONCE) as threads:
        return list(threads.map(until_done, range(AT_ONCE)))


def _write(database: Any, source: Path) -> None:
    """Reads the file and inserts its chunks, one batch after the other. Nothing less would be a file in GridFS."""
    file_id, n = uuid4(), 0
    with source.open("rb") as file:
        while batch := [chunk for _ in range(BATCH) if (chunk := file.read(CHUNK))]:
            documents = [{"files_id": file_id, "n": at, "data": chunk} for at, chunk in enumerate(batch, n)]
            database["fs.chunks"].insert_many(documents)
            n += len(batch)
    database["fs.files"].insert_one({"_id": file_id, "length": source.stat().st_size, "chunkSize": CHUNK})


def _copy(source: Path, target: Path) -> None:
    with target.open("wb") as file:
        subprocess.run(["cat", str(source)], stdout=file, check=True)
        os.fsync(file.fileno())
