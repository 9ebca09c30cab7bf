"""Settings as a process is given them: in environment variables and, where they are secrets, also in files."""

from collections.abc import Collection, Mapping
from pathlib import Path

SECRETS_DIR = "/var/openfaas/secrets"  # where OpenFaaS mounts secrets; $SECRETS_DIR names another folder
SHOWN = 40  # characters of a wrong value that are repeated in the complaint


class SettingsError(Exception):
    """Something in the environment is missing, malformed or weak; the message names all of it and says what to set."""


class Environment:
    """Reads one setting after the other and remembers what is wrong, so that one start names every mistake.

    A variable that is set but empty counts as not set. Where a value is wrong the default is returned, so that reading
    can go on; `complain` then raises. The value of a secret never stands in a complaint.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._folder = Path(environ.get("SECRETS_DIR") or SECRETS_DIR)
        self._wrong: list[str] = []

    def text(self, name: str, default: str = "") -> str:
        return self._environ.get(name) or default

    def number(self, name: str, default: int, least: int = 0, most: int | None = None) -> int:
        """A whole number, its bounds included."""
        text = self.text(name, str(default))
        if text.isascii() and text.isdecimal() and int(text) >= least and (most is None or int(text) <= most):
            return int(text)
        bounds = f"from {least} to {most}" if most is not None else f"such as {default}"
        self.reject(f"{name} must be a whole number {bounds}, not {text[:SHOWN]!r}")
        return default

    def boolean(self, name: str, default: bool) -> bool:
        text = self.text(name, str(default)).lower()
        if text in ("true", "1"):
            return True
        if text in ("false", "0"):
            return False
        self.reject(f"{name} must be true or false, not {text[:SHOWN]!r}")
        return default

    def choice(self, name: str, default: str, known: Collection[str]) -> str:
        text = self.text(name, default)
        if text in known:
            return text
        self.reject(f"{name} must be {' or '.join(known)}, not {text[:SHOWN]!r}")
        return default

    def secret(self, name: str) -> str:
        """From the variable or, where that is not set, from the secret's file; empty where there is neither."""
        if value := self.text(name):
            return value
        try:
            return self.file(name).read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            return ""
        except (OSError, UnicodeError) as error:
            self.reject(f"{name} cannot be read from {self.file(name)} ({type(error).__name__})")
            return ""

    def file(self, name: str) -> Path:
        """Where the secret of that name may lie: JWT_SECRET in `jwt-secret`, as OpenFaaS and Kubernetes name files."""
        return self._folder / name.lower().replace("_", "-")

    def reject(self, complaint: str) -> None:
        """Remembers a fault that the caller has found. It must not hold the value of a secret."""
        self._wrong.append(complaint)

    def complain(self, who: str) -> None:
        """Raises SettingsError if anything that was read so far is wrong."""
        if self._wrong:
            raise SettingsError(f"{who} cannot start: {'; '.join(self._wrong)}")
