"""Upgrades: while a release is rolled out, the one before runs on its schema. So a migration adds first, and takes away
a release later.
"""

import io
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest

from functions.stores.postgres import migrate
from tests.conftest import database_like

ROOT = Path(__file__).parents[2]
MIGRATIONS = sorted((ROOT / "functions/stores/migrations").glob("*.sql"))
RELEASES = re.findall(r"^## \[?v?(\d+\.\d+\.\d+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
# What takes something away from code that still runs.
CONTRACTS = re.compile(
    r"\b(DROP (TABLE|COLUMN|VIEW)|RENAME|SET NOT NULL|ALTER COLUMN \w+ (SET DATA )?TYPE)\b", re.IGNORECASE
)
# What a later release may do to the tables of this one.
EXPANSION = """
ALTER TABLE jobs ADD COLUMN later text NOT NULL DEFAULT 'new';
ALTER TABLE users ADD COLUMN later jsonb;
ALTER TABLE notifications ADD COLUMN later integer NOT NULL DEFAULT 1;
CREATE TABLE later (job uuid REFERENCES jobs ON DELETE CASCADE);
CREATE INDEX later_idx ON jobs (later);
"""
LIVING = ("functions", "events", "tests/jobs.py")  # what LIFE imports of a release
# Run in a process of its own, on the code of whatever release its PYTHONPATH names: one job from upload to its email.
LIFE = """
import sys
from uuid import uuid4
from functions.stores.jobs import Jobs
from functions.stores.notifications import Notifications
from functions.stores.postgres import Database
from tests.jobs import finish, new_job
database = Database(sys.argv[1])
jobs, notifications = Jobs(database, 60, 3), Notifications(database)
name = uuid4().hex + "@example.org"
user = database.one("add_user", username=name, name="Ada", email=name, password_hash="-")
job = jobs.add(new_job(user["id"], idempotency_key="k"))
claimed = jobs.claim(job.id)
assert jobs.renew(claimed, 0.5)
assert finish(jobs, claimed).state == "done"
owed = notifications.claim(job.id)
notifications.sent(owed)
assert jobs.find_own(job.id, user["id"]).state == "done"
assert jobs.delete(job.id, user["id"])
"""


@pytest.mark.parametrize("migration", MIGRATIONS[1:] or MIGRATIONS, ids=lambda path: path.name)
def test_a_migration_takes_nothing_away_unless_it_says_since_when_it_is_unused(migration: Path) -> None:
    """A file that contracts begins with `-- contracts: … unused since <version>`."""
    text = migration.read_text(encoding="utf-8")
    assert not CONTRACTS.search(text) or re.match(r"-- contracts: .+ unused since \d+\.\d+\.\d+\n", text)


def test_this_code_works_on_a_schema_that_has_grown(database_url: str, template: str) -> None:
    """The code of today will meet the schema of the next release."""
    with database_like(database_url, template) as url:
        with closing(psycopg2.connect(url)) as connection, connection:
            connection.cursor().execute(EXPANSION)
        live(ROOT, url)


@pytest.mark.parametrize("release", RELEASES[:1] or [None])
def test_the_release_before_works_on_the_schema_of_now(
    release: str | None, database_url: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """With its own code, from its tag. Before the first release, the code of the last commit stands in for it."""
    record_property("release", release or "HEAD")
    with database_like(database_url, "template1") as url:
        migrate(url)
        archive = ["git", "archive", "--format=zip", f"v{release}" if release else "HEAD", *LIVING]
        packed = subprocess.run(archive, cwd=ROOT, capture_output=True, check=True).stdout
        zipfile.ZipFile(io.BytesIO(packed)).extractall(tmp_path)
        live(tmp_path, url)


def live(code: Path, url: str) -> None:
    """Takes one job from upload to deletion with that code on that database."""
    environ = {"PYTHONPATH": str(code)}
    command = [sys.executable, "-c", LIFE, url]
    run = subprocess.run(command, env=environ, cwd=code, capture_output=True, encoding="utf-8")
    assert run.returncode == 0, run.stderr
