"""What docker compose starts first: passwords and keys are made, kept, and each service is given those it may see.

`python -m functions.secrets.distribution OWN KEPT READERS POSTGRES`: OWN is .secrets/ of the checkout, where there is
one; KEPT is a volume that nobody else sees; below READERS lies a volume for each service under the service's name;
POSTGRES holds the data of Postgres. It may run at any time, also beside a running system.
"""

import sys
from collections.abc import Mapping
from pathlib import Path

from events import catalogue
from functions.secrets import passwords

# Beside the functions, whose secrets stand in template.yml.
OTHERS = {
    "bridge": ("amqp-url",),
    "migrate": ("database-url",),
    "postgres": ("postgres-password",),
    "mongo": ("mongo-password",),
    "rabbitmq": ("rabbitmq.conf",),
}


class Forgotten(Exception):
    """A store has data, and nobody knows its password any more; the message says what to do."""


def main(own: Path, kept: Path, readers: Path, postgres: Path) -> None:
    try:
        aside = take(own, kept)
        made = make(kept, postgres)
        hand_out(kept, readers, {each.name: each.secrets for each in catalogue.load()} | OTHERS)
    except (Forgotten, OSError) as error:
        sys.exit(f"secrets: {error}")
    if aside:
        sys.stdout.write(f"secrets: not taken from .secrets/, as the stores began with others: {', '.join(aside)}\n")
    sys.stdout.write(f"secrets: made {', '.join(made) or 'nothing'}\n")


def take(own: Path, kept: Path) -> list[str]:
    """Keep what the operator has set; give the names of what was left alone.

    That is a password other than the one the store was first started with, and whatever it stands in: `make secrets`
    after the first start makes such, and they would lock everybody out.
    """
    found = {name: (own / name).read_text(encoding="utf-8") for name in passwords.NAMES if _is_file(own / name)}
    wrong = {
        name: passwords.read(own / name)
        for name in passwords.OF_STORES
        if name in found and _is_file(kept / name) and passwords.read(own / name) != passwords.read(kept / name)
    }
    aside = [
        name
        for name, text in found.items()
        if name in wrong or any(each and (each in text or each.encoded in text) for each in wrong.values())
    ]
    for name, text in found.items():
        if name not in aside:
            passwords.write(kept / name, text)
    return aside


def make(kept: Path, postgres: Path) -> list[str]:
    """Make what is missing; give the names of it. Raises Forgotten."""
    if _is_file(postgres / "PG_VERSION") and not _is_file(kept / "postgres-password"):
        raise Forgotten(
            "the stores have data, but their passwords are not known: put the .secrets/ they were first started with "
            "beside docker-compose.yml, or remove the data by `docker compose down -v`"
        )
    return passwords.make(kept)


def hand_out(kept: Path, readers: Path, wanted: Mapping[str, tuple[str, ...]]) -> None:
    """Each folder has afterwards what its service may see, and nothing else."""
    for folder in sorted(readers.iterdir()):
        for name in wanted[folder.name]:
            # Services run as users of their own.
            passwords.write(folder / name, (kept / name).read_text(encoding="utf-8"), mode=0o444)
        for left in folder.iterdir():
            if left.name not in wanted[folder.name]:
                left.unlink()


def _is_file(path: Path) -> bool:
    """Raises PermissionError rather than taking for missing what may not be seen: passwords would be made anew."""
    try:
        path.stat()
    except FileNotFoundError:
        return False
    return True


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
