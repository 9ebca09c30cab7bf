"""The whole system on free ports with one user logged in, and direct access to its stores.

Requests are made by http.client, for requests would add its own time to what is measured.
"""

import base64
import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection, HTTPResponse
from itertools import chain
from pathlib import Path
from typing import Any
from uuid import UUID

from emulator.parts import running
from emulator.servers.mongo import Mongo
from emulator.servers.postgres import Postgres
from emulator.system import System
from functions.model.jobs import Job
from functions.stores.gridfs import Bucket
from functions.stores.jobs import Jobs
from functions.stores.postgres import Database
from tests.jobs import finish, new_job
from tests.waiting import until

PIECE = 256 * 1024
PATIENCE = 900  # seconds: a loaded machine is slow, not broken
NAME, PASSWORD = "bench@example.org", "correct horse"
FORM = (
    b'--edge\r\nContent-Disposition: form-data; name="file"; filename="video.mkv"\r\n\r\n',
    b"\r\n--edge--\r\n",
)


class Harness:
    """Calls functions directly and not through the gateway, because they are what is measured."""

    def __init__(self, system: System, postgres: Postgres, mongo: Mongo, mongo_uri: str) -> None:
        self.system = system
        self.stores = postgres, mongo
        self.mongo_uri = mongo_uri
        self.files = Bucket(mongo_uri)
        self.jobs = Jobs(Database(postgres.url), lease_seconds=60, max_tries=3)
        person = json.dumps({"name": "Bench", "username": NAME, "password": PASSWORD})
        self._ask("register", person, Content_Type="application/json")
        basic = base64.b64encode(f"{NAME}:{PASSWORD}".encode()).decode()
        self.headers = {"Authorization": f"Bearer {self._ask('login', Authorization=f'Basic {basic}')['access_token']}"}

    def upload(self, video: Path, *, as_form: bool = False) -> Job:
        before, behind = FORM if as_form else (b"", b"")
        size = len(before) + video.stat().st_size + len(behind)
        kind = "multipart/form-data; boundary=edge" if as_form else "application/octet-stream"
        with video.open("rb") as file:
            body = chain([before], iter(lambda: file.read(PIECE), b""), [behind])
            headers = {"Content_Type": kind, "Content_Length": str(size)}
            answer = self._ask("upload", body, **headers, **self.headers)
        return self.find(UUID(answer["id"]))

    def download(self, job: Job) -> None:
        """Read the job's MP3 to its end, and keep nothing of it."""
        piece = bytearray(PIECE)
        with self._open("download", "GET", f"/?fid={job.fid}", **self.headers) as answer:
            size = sum(iter(lambda: answer.readinto(piece), 0))
        assert size == job.audio_size

    def offer(self, job: Job) -> Job:
        """A finished job whose MP3 is the video of another: something large to download (both buckets are one)."""
        made = self.jobs.add(new_job(job.owner, video=job.video, video_size=job.video_size))
        claimed = self.jobs.claim(made.id) if made else None
        assert claimed
        assert claimed.video
        done = finish(self.jobs, claimed, claimed.video_size, claimed.video)
        assert done
        return done

    def find(self, id_: UUID) -> Job:
        job = self.jobs.find(id_)
        assert job
        return job

    def await_done(self, job: Job) -> Job:
        until(lambda: self.find(job.id).finished_at, PATIENCE)
        done = self.find(job.id)
        assert done.state == "done", f"{done.reason}: {done.last_error}"
        return done

    def _ask(self, name: str, body: Any = None, **headers: str) -> dict[str, Any]:
        with self._open(name, "POST", "/", body, **headers) as answer:
            return dict(json.load(answer))

    @contextmanager
    def _open(self, name: str, method: str, path: str, body: Any = None, **headers: str) -> Iterator[HTTPResponse]:
        with closing(HTTPConnection(self.system.functions[name].address, timeout=PATIENCE)) as connection:
            connection.request(method, path, body, {key.replace("_", "-"): value for key, value in headers.items()})
            answer = connection.getresponse()
            assert answer.status < 400, answer.read()
            yield answer


@contextmanager
def harness(directory: Path) -> Iterator[Harness]:
    """A harness below that directory; videos and MP3s share one bucket."""
    postgres, mongo = Postgres(directory / "postgres"), Mongo(directory / "mongo")
    with running(postgres, mongo):
        uri = f"{mongo.url}videos"
        stores = {"DATABASE_URL": postgres.url, "MONGO_URI": uri, "MONGO_MP3_URI": uri}
        with System(directory, stores) as system:
            yield Harness(system, postgres, mongo, uri)
