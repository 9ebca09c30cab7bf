"""After the faults: has each upload ended as it must, is each audio whole, each owner told, and nothing left over?"""

import hashlib
import zipfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from functions.model.errors import Problem
from tests import videos
from tests.faults.harness import Harness, message_id
from tests.soak.clients import Accepted, Record

ROWS = "SELECT j.*, u.email IS NOT NULL AS mailed FROM jobs j JOIN users u ON u.id = j.owner"
ENDED = ("done", "failed", "cancelled")


@dataclass
class Findings:
    """Each list must be empty."""

    states: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    orphans: list[str] = field(default_factory=list)
    untold: list[str] = field(default_factory=list)
    surprises: list[str] = field(default_factory=list)
    repeated_mails: int = 0  # same Message-ID: allowed, and said in the README

    @property
    def wrong(self) -> list[str]:
        return [
            f"{kind}: {what}"
            for kind in ("lost", "doubled", "orphans", "untold", "surprises")
            for what in getattr(self, kind)
        ]


def audit(harness: Harness, record: Record, directory: Path) -> Findings:
    found = Findings(surprises=list(record.surprises))
    rows = {str(row["id"]): row for row in harness.sql(ROWS)}
    mails = Counter(harness.message_ids())
    played: dict[str, float] = {}
    for id_, row in rows.items():
        found.states[f"{row['state']} {row['reason'] or ''}".strip()] += 1
        if row["state"] not in ENDED:
            found.lost.append(f"{id_} is still {row['state']}: {row['last_error']}")
        if row["state"] == "done":
            seconds = _play(harness, row, directory, played)
            accepted = record.accepted.get(id_)
            if seconds is None or (accepted and abs(seconds - accepted.seconds) > 0.3):
                found.lost.append(f"the audio of {id_} plays {seconds} s: {row['options']}")
        ended = row["state"] in ("done", "failed") and not row["deleted_at"]
        if ended and row["mailed"] != bool(mails[message_id(row)]):
            told = "was not told" if row["mailed"] else "has no address and was told"
            found.untold.append(f"the owner of {id_}, {row['state']} {row['generation']}, {told}")
    for id_, accepted in record.accepted.items():
        if wrong := _misses(accepted, rows.get(id_)):
            found.lost.append(f"{id_} {wrong}")
        elif id_ not in rows:
            found.states["deleted by its owner"] += 1
    uploaded = [row for row in rows.values() if row["origin"] is None]  # the others share their origin's video
    for column, named_by in (("audio", rows.values()), ("video", uploaded), ("fid", rows.values())):
        named = Counter(row[column] for row in named_by if row[column])
        found.doubled += [f"{times} jobs have {column} {id_}" for id_, times in named.items() if times > 1]
    found.orphans += map(str, harness.orphans())
    found.repeated_mails = sum(mails.values()) - len(mails)
    return found


def _misses(accepted: Accepted, row: dict[str, Any] | None) -> str | None:
    """What is wrong with how that upload ended; None where nothing is."""
    if row is None:
        return None if accepted.deleted else "is gone"
    if row["deleted_at"] and not accepted.deleted:
        return "was deleted by nobody"
    expected = "done" if accepted.sample.seconds else "failed"
    if row["state"] == "cancelled" and accepted.cancelled:
        return None
    if (row["state"], row["reason"]) != (expected, accepted.sample.reason):
        return f"({accepted.sample.path.name}) ended {row['state']} {row['reason']}: {row['last_error']}"
    return None


def _play(harness: Harness, row: dict[str, Any], directory: Path, played: dict[str, float]) -> float | None:
    """Seconds of its audio, or of all parts of a zip, decoded; None where it is not whole. The same is played once."""
    try:
        content = b"".join(harness.audios.read(row["audio"]))
    except Problem:
        return None
    if len(content) != row["audio_size"]:
        return None
    digest = hashlib.sha256(content).hexdigest()
    if digest not in played:
        path = directory / digest
        path.write_bytes(content)
        played[digest] = sum(videos.play(each) for each in _files(path))
    return played[digest]


def _files(path: Path) -> list[Path]:
    """The files of audio in what was made: itself, or those of a zip, which is whole."""
    if not zipfile.is_zipfile(path):
        return [path]
    folder = path.with_suffix(".parts")
    with zipfile.ZipFile(path) as archive:
        return [Path(archive.extract(each, folder)) for each in archive.infolist()]
