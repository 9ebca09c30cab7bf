"""What a build's labels, selectors and NetworkPolicies must agree about."""

from collections.abc import Iterator
from typing import Any

from tests.k8s.manifests import Manifests
from tests.k8s.network import NAMESPACE_LABEL, NEIGHBOURS, STRANGER, Call, Network, matches, parts
from tests.k8s.rules import rule

OURS = "org.videotomp3/"
STORES = ("postgres", "mongo", "mail")


@rule
def selectors_select(built: Manifests) -> Iterator[str]:
    """Each label in each selector is one that a pod of the build has; a workload's is its own pods'."""
    network = Network(built)
    for who, selector in _selectors(built):
        for part in parts(selector):
            if not network.selected(part) and not _may_be_nobody(part, built):
                yield f"{who} selects nobody by {part}"
    for pod in built.pods():
        for inner in _label_selectors(pod.owner["spec"]):
            if not matches(inner, pod.labels):
                yield f"{pod.name} selects other pods than its own: {inner}"


@rule
def services_lead_to_their_namesakes(built: Manifests) -> Iterator[str]:
    """And to nobody else: a selector too wide would send a part of the calls astray."""
    network = Network(built)
    for service in built.of("Service", "v1"):
        name = service["metadata"]["name"]
        found = {peer.name.split()[1] for peer in network.selected({"matchLabels": service["spec"]["selector"]})}
        if found != {name}:
            yield f"Service {name} leads to {sorted(found)}"


@rule
def neighbours_are_known(built: Manifests) -> Iterator[str]:
    """A policy names other namespaces by the label that each namespace has by itself."""
    for policy in built.of("NetworkPolicy"):
        for named in _named(policy):
            for part in parts(named.get("namespaceSelector", {})):
                if not any(matches(part, {NAMESPACE_LABEL: namespace}) for namespace in NEIGHBOURS):
                    yield f"NetworkPolicy {policy['metadata']['name']} lets in whoever lives in {part}"


@rule
def what_is_needed_passes(built: Manifests) -> Iterator[str]:
    """Each connection that a pod's settings ask for is let out at its start and let in at its end."""
    network = Network(built)
    for call in network.calls():
        if not network.lets(call):
            yield f"policies stop {call}"


@rule
def strangers_stay_outside(built: Manifests) -> Iterator[str]:
    """A pod of another namespace reaches the gateway, and where an Ingress stands before it, nothing."""
    network = Network(built)
    for name, pod in network.pods.items():
        for port in (80, 5432, 5672, 8012, 8080, 27017):
            if network.lets(Call(STRANGER, pod, port)):
                yield f"anybody in the cluster reaches {name} at {port}"
    if any(built.of("Ingress")) and network.lets(Call(STRANGER, network.pods["Deployment gateway"], 8002)):
        yield "anybody in the cluster gets past the Ingress"


def _selectors(built: Manifests) -> Iterator[tuple[str, dict[str, Any]]]:
    for policy in built.of("NetworkPolicy"):
        name = f"NetworkPolicy {policy['metadata']['name']}"
        yield name, policy["spec"]["podSelector"]
        yield from ((name, named["podSelector"]) for named in _named(policy) if "podSelector" in named)
    for service in built.of("Service", "v1"):
        yield f"Service {service['metadata']['name']}", {"matchLabels": service["spec"]["selector"]}
    for budget in built.of("PodDisruptionBudget"):
        yield f"PodDisruptionBudget {budget['metadata']['name']}", budget["spec"]["selector"]


def _named(policy: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Whom a policy lets in or out."""
    for direction, side in (("ingress", "from"), ("egress", "to")):
        for each in policy["spec"].get(direction, ()):
            yield from each.get(side, ())


def _label_selectors(value: Any) -> Iterator[dict[str, Any]]:
    """A workload's own selector, and those in it about where its pods are put (topology, affinity), at any depth."""
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _label_selectors(inner)
    if isinstance(value, dict):
        yield from (value[field] for field in ("selector", "labelSelector") if field in value)


def _may_be_nobody(part: dict[str, Any], built: Manifests) -> bool:
    """Where a policy may name pods that this build has not."""
    text = str(part)
    no_functions = not any(pod.function for pod in built.pods())
    if no_functions and OURS in text:
        return True  # they run on OpenFaaS, whose pods lie in a namespace of their own
    # One policy for the stores, whichever of them are there.
    return "values" in text and any(f"['{store}']" in text and not built.has("Service", store) for store in STORES)
