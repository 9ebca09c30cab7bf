"""What docker compose starts first: it makes passwords and keys, keeps them, and gives each service those it may see.

`python -m functions.secrets.distribution OWN KEPT READERS POSTGRES`: OWN is .secrets/ of the checkout, which need not
exist; KEPT is a volume that no other service mounts; READERS holds one volume for each service, by the service's name;
POSTGRES holds the data of Postgres. It may run at any time, also beside a running system.
"""

import sys
from collections.abc import Mapping
from pathlib import Path

from events import catalogue
from functions.secrets import passwords

# The secrets of services that are not functions; template.yml has those of the functions.
SERVICE_SECRETS = {
    "bridge": ("amqp-url",),
    "migrate": ("database-url",),
    "postgres": ("postgres-password",),
    "mongo": ("mongo-password",),
    "rabbitmq": ("rabbitmq.conf",),
}


class PasswordsLost(Exception):
    """A store has data, but its password is in no folder that we were given; the message says what to do."""


def main(own: Path, kept: Path, readers: Path, postgres: Path) -> None:
    try:
        rejected = take(own, kept)
        made = make(kept, postgres)
        hand_out(kept, readers, {each.name: each.secrets for each in catalogue.load()} | SERVICE_SECRETS)
    except (PasswordsLost, OSError) as error:
        sys.exit(f"secrets: {error}")
    if rejected:
        sys.stdout.write(f"secrets: not taken from .secrets/, as the stores began with others: {', '.join(rejected)}\n")
    sys.stdout.write(f"secrets: made {', '.join(made) or 'nothing'}\n")


def take(own: Path, kept: Path) -> list[str]:
    """Copies the operator's own secrets to `kept`, and returns the names of those that it rejected.

    It rejects a password other than the one that a store was first started with, and every address that contains such a
    password: `make secrets` after the first start makes new ones, which would lock every service out.
    """
    found = {name: (own / name).read_text(encoding="utf-8") for name in passwords.NAMES if _is_file(own / name)}
    wrong = {
        name: passwords.read(own / name)
        for name in passwords.OF_STORES
        if name in found and _is_file(kept / name) and passwords.read(own / name) != passwords.read(kept / name)
    }
    rejected = [
        name
        for name, text in found.items()
        if name in wrong or any(each and (each in text or each.encoded in text) for each in wrong.values())
    ]
    for name, text in found.items():
        if name not in rejected:
            passwords.write(kept / name, text)
    return rejected


def make(kept: Path, postgres: Path) -> list[str]:
    """Makes what is missing and returns its names. Raises PasswordsLost."""
    if _is_file(postgres / "PG_VERSION") and not _is_file(kept / "postgres-password"):
        raise PasswordsLost(
            "the stores have data, but their passwords are not known: put the .secrets/ they were first started with "
            "beside docker-compose.yml, or remove the data by `docker compose down -v`"
        )
    return passwords.make(kept)


def hand_out(kept: Path, readers: Path, wanted: Mapping[str, tuple[str, ...]]) -> None:
    """Puts into each service's folder below `readers` the secrets that it may see, and removes everything else."""
    for folder in sorted(readers.iterdir()):
        for name in wanted[folder.name]:
            # Readable by all: each service runs as a user of its own, and its volume is mounted nowhere else.
            passwords.write(folder / name, (kept / name).read_text(encoding="utf-8"), mode=0o444)
        for left in folder.iterdir():
            if left.name not in wanted[folder.name]:
                left.unlink()


def _is_file(path: Path) -> bool:
    """Raises PermissionError where Path.is_file() would say no: passwords would be made anew for one we may not see."""
    try:
        path.stat()
    except FileNotFoundError:
        return False
    return True


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
