"""What each platform gives to a process that runs on it: environment variables, and secrets as files."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from events import catalogue
from functions.secrets import distribution, passwords
from tests.k8s.manifests import Manifests, Pod

ROOT = Path(__file__).resolve().parents[2]
VARIABLE = re.compile(r"\$\{(\w+)(?::-([^${}]*))?\}")  # innermost first; compose and faas-cli know more


@dataclass(frozen=True)
class Given:
    """What one process is given. `files` are the names of its secrets."""

    environ: Mapping[str, str]
    files: frozenset[str]

    def within(self, folder: Path) -> dict[str, str]:
        """Its environment, with its secrets, and no others, in that folder."""
        passwords.make(folder / "all")
        for name in self.files:
            passwords.write(folder / name, (folder / "all" / name).read_text(encoding="utf-8"))
        return {**self.environ, "SECRETS_DIR": str(folder)}


def by_compose(service: str, environ: Mapping[str, str]) -> Given:
    """By docker-compose.yml. Secrets come from the volume that the `secrets` service fills, if it is mounted."""
    found = compose(environ)["services"][service]
    handed = {each.name: each.secrets for each in catalogue.load()} | distribution.SERVICE_SECRETS
    has_secrets = f"{service}-secrets:/run/secrets:ro" in found.get("volumes", ())
    assert found["environment"]["SECRETS_DIR"] == "/run/secrets"
    return Given(found["environment"], frozenset(handed[service]) if has_secrets else frozenset())


def by_openfaas(function: str, environ: Mapping[str, str]) -> Given:
    """By template.yml. faas-cli puts the variables of its environment into the text before it parses it."""
    stack = yaml.safe_load(substitute(catalogue.STACK_FILE.read_text(encoding="utf-8"), environ))
    entry = stack["functions"][function]
    return Given(entry["environment"], frozenset(entry.get("secrets", ())))


def by_kubernetes(pod: Pod, built: Manifests) -> Given:
    """By the manifest of a pod. What stands in `env` wins over what comes from a ConfigMap."""
    environ: dict[str, str] = {}
    for source in pod.container.get("envFrom", ()):
        environ |= built.get("ConfigMap", source["configMapRef"]["name"])["data"]
    return Given(environ | pod.env, frozenset(pod.files))


def compose(environ: Mapping[str, str]) -> dict[str, Any]:
    """docker-compose.yml as compose resolves it in that environment, which stands for `.env` too."""
    file = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    resolved: dict[str, Any] = _filled(file, environ)
    for service in resolved["services"].values():
        values = {
            name: environ.get(name) if value is None else str(value)
            for name, value in service.get("environment", {}).items()
        }
        service["environment"] = {name: value for name, value in values.items() if value is not None}
    return resolved


def substitute(text: str, environ: Mapping[str, str]) -> str:
    """`${NAME}` and `${NAME:-default}`, where empty is as good as not set."""
    while VARIABLE.search(text):
        text = VARIABLE.sub(lambda found: environ.get(found[1]) or found[2] or "", text)
    assert "${" not in text, f"only `${{NAME:-default}}` is understood here: {text}"
    return text


def _filled(value: Any, environ: Mapping[str, str]) -> Any:
    match value:
        case str():
            return substitute(value.replace("$$", "\0"), environ).replace("\0", "$")
        case list():
            return [_filled(each, environ) for each in value]
        case dict():
            return {key: _filled(each, environ) for key, each in value.items()}
    return value
