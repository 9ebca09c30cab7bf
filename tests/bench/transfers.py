"""Bytes in and out of GridFS, by our functions and by the plain driver: one server, one size of chunks."""

import os
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pymongo
from gridfs import GridFSBucket

from functions.stores.gridfs import CHUNK
from tests.bench.harness import Harness
from tests.bench.table import Row, ratios, timed

MEGABYTE = 2**20
MP4 = b"\0\0\0\x20ftypisom"  # what a video begins with; the rest may be anything, for nobody converts it


def rows(harness: Harness, directory: Path, megabytes: int, rounds: int) -> Iterator[Row]:
    """The bridge must be stopped: converting what is uploaded here would be in the way.

    The driver sends 48 MB at once. The emulator's server, once its cache (256 MB) is full, takes that badly.
    """
    video, fetched = directory / "noise.mp4", directory / "fetched"
    with video.open("wb") as file:
        file.writelines([MP4, *(os.urandom(MEGABYTE) for _ in range(megabytes))])
    driver = GridFSBucket(pymongo.MongoClient(harness.mongo_uri, uuidRepresentation="standard").get_default_database())
    kept = harness.offer(harness.upload(video))
    assert kept.video

    def driver_store() -> None:
        with video.open("rb") as file:
            driver.upload_from_stream("noise", file, chunk_size_bytes=CHUNK)

    def driver_fetch(path: Path) -> None:
        with path.open("wb") as file:
            driver.download_to_stream(kept.audio, file)

    def store() -> None:  # as convert does it (functions/convert/conversion.py)
        with video.open("rb") as file:
            harness.files.write(uuid4(), iter(lambda: file.read(MEGABYTE), b""))

    def fetch() -> None:
        with fetched.open("wb") as file:
            file.writelines(harness.files.read(kept.video))

    compared = {
        "upload (raw body)": (driver_store, lambda: harness.upload(video)),
        "upload (form)": (driver_store, lambda: harness.upload(video, as_form=True)),
        "download": (lambda: driver_fetch(Path(os.devnull)), lambda: harness.download(kept)),
        "convert, video out of GridFS": (lambda: driver_fetch(fetched), fetch),
        "convert, MP3 into GridFS": (driver_store, store),
    }
    for what, (plain, ours) in compared.items():
        rates = [1 / ratio for ratio in ratios(rounds, timed(plain), timed(ours))]
        yield Row(f"{what}: rate against the plain driver", rates, at_least=0.8)
