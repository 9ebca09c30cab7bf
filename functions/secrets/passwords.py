"""Makes passwords and keys where they are missing: `python -m functions.secrets.passwords` puts them into .secrets/.

What is there already stays, because a store keeps the password that it was first started with. This module needs
nothing but Python: it runs before anything is installed.
"""

import sys
from pathlib import Path
from secrets import token_hex
from urllib.parse import quote

KEY_BYTES = 32
OF_STORES = ("postgres-password", "mongo-password", "rabbitmq-password")
MADE = (*OF_STORES, "jwt-secret", "link-secret")
DERIVED = {  # made from the passwords of the stores, which a person may have chosen
    "database-url": "postgresql://video:{postgres.encoded}@postgres:5432/video",
    "mongo-uri": "mongodb://video:{mongo.encoded}@mongo:27017/videos?authSource=admin",
    "mongo-mp3-uri": "mongodb://video:{mongo.encoded}@mongo:27017/mp3s?authSource=admin",
    "amqp-url": "amqp://video:{rabbitmq.encoded}@rabbitmq:5672/%2F",
    "rabbitmq.conf": "default_user = video\ndefault_pass = {rabbitmq}\n",
    "smtp-password": "",  # the mail catcher of docker compose asks for none
}
NAMES = (*MADE, *DERIVED)


class Password(str):
    """The password of a store."""

    __slots__ = ()

    @property
    def encoded(self) -> str:
        """Percent-encoded, as it stands in a URL."""
        return quote(self, safe="")


def make(folder: Path) -> list[str]:
    """Makes what is missing in the folder and returns its names."""
    folder.mkdir(mode=0o700, exist_ok=True)
    missing = [name for name in NAMES if not (folder / name).exists()]
    for name in MADE:
        if name in missing:
            write(folder / name, token_hex(KEY_BYTES))
    passwords = {name.removesuffix("-password"): read(folder / name) for name in OF_STORES}
    for name, text in DERIVED.items():
        if name in missing:
            write(folder / name, text.format(**passwords))
    return missing


def read(path: Path) -> Password:
    return Password(path.read_text(encoding="utf-8").strip())


def write(path: Path, content: str, mode: int = 0o400) -> None:
    """Writes all of it or nothing, so that nobody ever reads half a secret, not even after a crash."""
    unfinished = path.with_name(f".{path.name}.new")
    unfinished.unlink(missing_ok=True)  # left by a crash, and perhaps read-only already
    unfinished.touch(mode=0o600)
    unfinished.write_text(content, encoding="utf-8")
    unfinished.chmod(mode)
    unfinished.replace(path)


if __name__ == "__main__":
    sys.stdout.write(f"secrets: {', '.join(make(Path('.secrets'))) or 'all there'}\n")
