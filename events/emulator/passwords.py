"""`python -m events.emulator.passwords` writes what docker-compose.yml reads from .secrets/; what is there stays.

It stays because a store keeps the password it was first started with. Needs nothing but Python.
"""

import sys
from pathlib import Path
from secrets import token_hex

KEY_BYTES = 32


def write(folder: Path) -> list[str]:
    """Make what is missing; give the names of it."""
    made = []

    def keep(name: str, content: str) -> str:
        path = folder / name
        if not path.exists():
            path.write_text(content, encoding="utf-8")
            path.chmod(0o444)  # containers read it as users of their own; on the host the folder is closed to others
            made.append(name)
        return path.read_text(encoding="utf-8").strip()

    folder.mkdir(mode=0o700, exist_ok=True)
    stores = ("postgres", "mongo", "rabbitmq")
    postgres, mongo, rabbitmq = (keep(f"{store}-password", token_hex(KEY_BYTES)) for store in stores)
    keep("database-url", f"postgresql://video:{postgres}@postgres:5432/video")
    keep("mongo-uri", f"mongodb://video:{mongo}@mongo:27017/videos?authSource=admin")
    keep("mongo-mp3-uri", f"mongodb://video:{mongo}@mongo:27017/mp3s?authSource=admin")
    keep("amqp-url", f"amqp://video:{rabbitmq}@rabbitmq:5672/%2F")
    keep("rabbitmq.conf", f"default_user = video\ndefault_pass = {rabbitmq}\n")
    keep("jwt-secret", token_hex(KEY_BYTES))
    keep("link-secret", token_hex(KEY_BYTES))
    keep("smtp-password", "")  # the mail catcher asks for none
    return made


if __name__ == "__main__":
    sys.stdout.write(f"secrets: {', '.join(write(Path('.secrets'))) or 'all there'}\n")
