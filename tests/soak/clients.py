"""People who upload, look, cancel, delete, retry, convert again and download.

When the server breaks they do what HTTP allows.
"""

import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from threading import Event, Thread
from typing import Any
from uuid import uuid4

import requests

from tests import videos
from tests.acceptance.person import Person
from tests.bench.videos import long

PATIENCE = 90  # seconds somebody tries again
TRY_AGAIN = {408, 429, 503}
CHOICES = (
    *("leave", "leave", "again", "cancel", "cancel and retry", "delete", "delete early", "download"),
    *("convert again", "convert again and delete"),
)
# What people ask for; most ask for nothing.
WISHES: tuple[dict[str, Any], ...] = (
    *({},) * 8,
    *({"quality": quality} for quality in ("voice", "small", "high", "max")),
    *({"format": name} for name in ("m4a", "opus", "flac", "wav")),
    {"format": "opus", "quality": "voice"},
    {"bitrate": 96, "channels": "mono"},
    {"sample_rate": 22050, "channels": "stereo", "copy": "never"},
    {"start": 1, "end": 3},
    {"format": "m4a", "start": 0.5, "title": "A title", "tags": "strip"},
    {"loudness": "podcast"},
    {"format": "flac", "loudness": -20},
    {"split": "chapters"},
    {"format": "opus", "split": "chapters", "loudness": "broadcast"},
)
LONG = 60  # seconds; what takes long or much room is asked of nothing longer
LIGHT = WISHES[:12]


@dataclass(frozen=True)
class Sample:
    """A video and what must become of it: audio of so many seconds, a failure with a reason, or a refused upload."""

    path: Path
    seconds: float | None = None
    reason: str | None = None
    refused: int | None = None


@dataclass
class Accepted:
    """An upload that was answered 202, and what was asked for."""

    sample: Sample
    wish: dict[str, Any]
    cancelled: bool = False  # its owner has asked for that, even if no answer came
    deleted: bool = False

    @property
    def seconds(self) -> float:
        """How long its audio must play."""
        whole = self.sample.seconds or 0.0
        return min(self.wish.get("end", whole), whole) - self.wish.get("start", 0)


@dataclass
class Record:
    """What all clients together have seen."""

    accepted: dict[str, Accepted] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    surprises: list[str] = field(default_factory=list)


def make_samples(directory: Path) -> list[Sample]:
    """Small videos, so that many go through. Each good one is there three times, so that most uploads are good."""
    directory.mkdir(parents=True, exist_ok=True)
    made = (
        videos.plain(directory),
        videos.matroska(directory),
        videos.mp3(directory),
        videos.chaptered(directory),
        videos.long(directory, hours=1),
        long(directory, 3),
    )
    text, empty = directory / "text.mp4", directory / "empty.mp4"
    text.write_text("This is no video.\n" * 1000, encoding="utf-8")
    empty.write_bytes(b"")
    return [
        *[Sample(path, seconds=videos.play(path)) for path in (videos.bunny(), *made)] * 3,
        Sample(videos.silent(directory), reason="no_audio"),
        Sample(videos.cut(videos.streamable(directory)), reason="truncated"),
        Sample(text, refused=415),
        Sample(empty, refused=422),
    ]


class Client(Thread):
    """A user who uploads until `over`. What they do follows from the seed; only the time that things take does not."""

    def __init__(self, person: Person, samples: list[Sample], record: Record, over: Event, seed: str) -> None:
        super().__init__(name="client", daemon=True)
        self._person, self._samples, self._record, self._over = person, samples, record, over
        self._random = Random(seed)

    def run(self) -> None:
        while not self._over.wait(self._random.uniform(0, 1.5)):
            try:
                self._act()
            except Exception as error:
                self._record.surprises.append(f"{type(error).__name__}: {error}")

    def _act(self) -> None:
        sample = self._random.choice(self._samples)
        key = uuid4().hex if self._random.random() < 0.7 else None
        wish = self._wish(sample)
        job = self._upload(sample, key, wish)
        if job is None:
            return
        what = self._random.choice(CHOICES)
        self._record.counts[what] += 1
        self._go_on(what, job["id"], sample, key, wish)

    def _wish(self, sample: Sample) -> dict[str, Any]:
        return self._random.choice(WISHES if (sample.seconds or 0) <= LONG else LIGHT)

    def _go_on(self, what: str, id_: str, sample: Sample, key: str | None, wish: dict[str, Any]) -> None:
        match what:
            case "again":
                self._repeat(id_, sample, key, wish)
            case "cancel":
                self._cancel(id_)
            case "cancel and retry":
                self._cancel(id_)
                self._ask("POST", f"/jobs/{id_}/retry", expected=(202, 409))  # it may have ended by then
            case "delete":
                if self._await(id_):
                    self._record.accepted[id_].deleted = True
                    self._ask("DELETE", f"/jobs/{id_}", expected=(204, 404))
            case "delete early":
                self._over.wait(self._random.uniform(0, 3))
                self._discard(id_)
            case "download":
                self._download(id_)
            case "convert again":
                self._convert_again(id_, sample, key)
            case "convert again and delete":
                self._convert_again(id_, sample, key)
                self._discard(id_)

    def _repeat(self, id_: str, sample: Sample, key: str | None, wish: dict[str, Any]) -> None:
        """The same upload with the same key is the same job."""
        again = self._upload(sample, key, wish) if key else None
        if again and again["id"] != id_:
            self._record.surprises.append(f"one key made two jobs: {id_} and {again['id']}")

    def _cancel(self, id_: str) -> None:
        self._over.wait(self._random.uniform(0, 3))
        self._record.accepted[id_].cancelled = True
        self._ask("POST", f"/jobs/{id_}/cancel", expected=(200, 409))  # it may have ended by then

    def _discard(self, id_: str) -> None:
        """In whatever state it is by then."""
        accepted = self._record.accepted[id_]
        accepted.cancelled = accepted.deleted = True
        self._ask("DELETE", f"/jobs/{id_}", expected=(204, 404))

    def _upload(self, sample: Sample, key: str | None, wish: dict[str, Any]) -> dict[str, Any] | None:
        """The job, once accepted; without a key nobody knows whether to send it again, so nobody does."""
        headers = {"Idempotency-Key": key} if key else {}
        until = time.monotonic() + (PATIENCE if key else 0)
        expected = (sample.refused,) if sample.refused else (202,)
        params = {"filename": sample.path.name, **wish}
        options = {"data": sample.path.read_bytes(), "params": params, "headers": headers}
        answer = self._ask("POST", "/upload", expected=expected, until=until, **options)
        if answer is None:
            self._record.counts["unanswered"] += 1
        elif answer.status_code != 202:
            self._record.counts["refused"] += 1
        else:
            job = dict(answer.json())
            self._record.accepted.setdefault(job["id"], Accepted(sample, wish))
            return job
        return None

    def _convert_again(self, id_: str, sample: Sample, key: str | None) -> None:
        """Another job of its video, with other wishes, which ends as if it came first, whatever becomes of that one."""
        wish = self._wish(sample)
        headers = {"Idempotency-Key": f"{key} again"} if key else {}
        until = time.monotonic() + (PATIENCE if key else 0)
        answer = self._ask("POST", "/jobs", expected=(202,), until=until, json={"source": id_, **wish}, headers=headers)
        if answer is None:
            self._record.counts["unanswered"] += 1
        else:
            self._record.accepted.setdefault(answer.json()["id"], Accepted(sample, wish))

    def _await(self, id_: str) -> dict[str, Any] | None:
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until and not self._over.wait(0.3):
            answer = self._ask("GET", f"/jobs/{id_}", expected=(200,))
            if answer and (job := answer.json())["state"] not in ("queued", "converting"):
                return dict(job)
        return None

    def _download(self, id_: str) -> None:
        job = self._await(id_)
        if job and job["state"] == "done":
            size = job["audio"]["size_bytes"]
            answer = self._ask("GET", job["audio"]["url"], expected=(200,))
            if answer and len(answer.content) != size:
                self._record.surprises.append(f"{len(answer.content)} of {size} bytes came of job {id_}")

    def _ask(
        self, method: str, path: str, *, expected: tuple[int, ...], until: float | None = None, **options: Any
    ) -> requests.Response | None:
        """The answer, asked for again as long as the server says so or says nothing; None where it never came."""
        until = time.monotonic() + PATIENCE if until is None else until
        while True:
            try:
                answer = self._person.ask(method, path, **options)
                if answer.status_code in expected:
                    return answer
                if answer.status_code not in TRY_AGAIN:
                    self._record.surprises.append(
                        f"{method} {path} was answered {answer.status_code}: {answer.text[:200]}"
                    )
                    return None
                if "Retry-After" not in answer.headers:
                    self._record.surprises.append(
                        f"{method} {path} was answered {answer.status_code} with no Retry-After"
                    )
            except requests.RequestException:
                pass
            if time.monotonic() > until:
                return None
            time.sleep(0.5)
