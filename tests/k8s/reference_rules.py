"""Names lead to something: every reference to what is in the same build, and nothing into another namespace."""

from collections.abc import Iterator

from tests.k8s.manifests import Manifests, Pod
from tests.k8s.rules import rule, walk

NAMING = {  # fields that name an object without saying its kind
    "broker": "Broker",
    "configMap": "ConfigMap",
    "configMapRef": "ConfigMap",
    "rabbitmqClusterReference": "RabbitmqCluster",
    "service": "Service",
    "serviceAccountName": "ServiceAccount",
}


@rule
def references_resolve(built: Manifests) -> Iterator[str]:
    """Whatever is named exists in the same build; the Secret is the one the README tells how to make."""
    for who, kind, name, api in _references(built):
        if not built.has(kind, name, api):
            yield f"{who} names {kind} {name}, which is not there"
    for pod in built.pods():
        for name in _secrets(pod):
            if name != "video-to-mp3":
                yield f"{pod.name} wants another Secret: {name}"


@rule
def namespaces_agree(built: Manifests) -> Iterator[str]:
    """A reference into another namespace would find another system, or nothing."""
    home = {each["metadata"].get("namespace") for each in built if each["kind"] != "Namespace"}
    if len(home) != 1:
        yield f"objects lie in {home}"
    for each in built:
        for inner in walk(each.get("spec", {})):
            if {"kind", "name", "namespace"} <= inner.keys() and inner["namespace"] not in home:
                yield f"{each['kind']} {each['metadata']['name']} points into namespace {inner['namespace']}"


@rule
def disruptions_are_few(built: Manifests) -> Iterator[str]:
    """maxUnavailable, for a minimum of one would never let the node of a single instance be drained."""
    for budget in built.of("PodDisruptionBudget"):
        if budget["spec"].get("maxUnavailable") != 1 or "minAvailable" in budget["spec"]:
            yield f"PodDisruptionBudget {budget['metadata']['name']}"
        selector = budget["spec"]["selector"]
        names = list(selector.get("matchLabels", {}).values())
        names += [name for each in selector.get("matchExpressions", ()) for name in each["values"]]
        owners = {pod.labels.get("app.kubernetes.io/name") for pod in built.pods()}
        owners |= {cluster["metadata"]["name"] for cluster in built.of("RabbitmqCluster")}
        if not set(names) <= owners:
            yield f"PodDisruptionBudget {budget['metadata']['name']} is for nobody"


def _references(built: Manifests) -> Iterator[tuple[str, str, str, str]]:
    """Who names which kind, name and API."""
    for each in built:
        who, spec = f"{each['kind']} {each['metadata']['name']}", each.get("spec", {})
        for inner in walk(spec):
            if {"apiVersion", "kind", "name"} <= inner.keys():
                yield who, inner["kind"], inner["name"], inner["apiVersion"]
            for field, kind in NAMING.items():
                if field in inner:
                    name = inner[field]["name"] if isinstance(inner[field], dict) else inner[field]
                    yield who, kind, name, ""


def _secrets(pod: Pod) -> Iterator[str]:
    for inner in walk(pod.spec):
        for field in ("secretRef", "secretKeyRef", "secret"):
            if field in inner:
                yield inner[field].get("name") or inner[field]["secretName"]
