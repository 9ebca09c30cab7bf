"""Who may talk to whom in a build, as a network plugin that heeds NetworkPolicies would decide it.

What controllers make of our objects (RabbitMQ's pods, the Broker's, Knative's labels) is no part of a build, so it
is said here, as those controllers label it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

from events import catalogue
from functions.runtime.settings import NEEDS
from functions.secrets import passwords
from tests.k8s.manifests import KNATIVE, Manifests, Pod

# Other namespaces that the manifests may name, and who lives there.
NEIGHBOURS = {
    "ingress-nginx": "the Ingress controller",
    "knative-serving": "Knative's activator and autoscaler",
    "kourier-system": "Knative's networking layer",
    "kube-system": "DNS",
    "openfaas": "OpenFaaS' gateway",
    "openfaas-fn": "functions on OpenFaaS",
    "rabbitmq-system": "RabbitMQ's operators",
}
NAMESPACE_LABEL = "kubernetes.io/metadata.name"
BROKER_ROLE = "eventing.knative.dev/brokerRole"
HOME = "ours"
PORTS = {"http": 80, "postgresql": 5432, "mongodb": 27017, "amqp": 5672}
CATALOGUE = catalogue.load()
DELIVERED = [each.name for each in CATALOGUE if each.events or each.dead_letter]


@dataclass(frozen=True)
class Peer:
    """One end of a connection: a pod of ours, somebody in another namespace, or somebody outside the cluster."""

    name: str
    namespace: str | None
    labels: Mapping[str, str]


@dataclass(frozen=True)
class Call:
    """A connection that somebody needs."""

    source: Peer
    target: Peer
    port: int
    protocol: str = "TCP"

    def __str__(self) -> str:
        return f"{self.source.name} to {self.target.name} at {self.port}"


OUTSIDE = Peer("outside", None, {})
STRANGER = Peer("somebody else's pod", "elsewhere", {})


class Network:
    """The pods of a build, its policies, and the connections that its settings ask for."""

    def __init__(self, built: Manifests) -> None:
        self._built = built
        self._policies = [each["spec"] for each in built.of("NetworkPolicy")]
        self.pods = {pod.name: Peer(pod.name, HOME, pod.labels | _added(pod)) for pod in built.pods()}
        self.peers = [*self.pods.values(), *_made_by_controllers(built)]

    def lets(self, call: Call) -> bool:
        """Whether the source's policies let it out and the target's let it in."""
        return self._passes("egress", call.source, call.target, call) and self._passes(
            "ingress", call.target, call.source, call
        )

    def selected(self, selector: dict[str, Any]) -> list[Peer]:
        """Those pods of ours that it matches."""
        return [peer for peer in self.peers if matches(selector, peer.labels)]

    def calls(self) -> Iterator[Call]:
        """Every connection that is needed. Raises KeyError where a Service leads to nobody."""
        for pod in self._built.pods():
            for host, port in _configured(pod, self._built):
                for target, at in self._found(host, port):
                    yield Call(self.pods[pod.name], target, at)
        for peer in self.peers:
            yield Call(peer, neighbour("kube-system"), 53, "UDP")
        yield from self._through_the_edge()
        yield from self._through_knative()
        yield from self._from_openfaas()

    def _passes(self, direction: str, at: Peer, other: Peer, call: Call) -> bool:
        if at.namespace != HOME:
            return True
        kind = direction.capitalize()
        selecting = [each for each in self._policies if matches(each["podSelector"], at.labels)]
        selecting = [each for each in selecting if kind in each.get("policyTypes", ["Ingress"])]
        rules = [rule for each in selecting for rule in each.get(direction, ())]
        side = "to" if direction == "egress" else "from"
        return not selecting or any(_on_port(rule, call) and _among(rule.get(side), other) for rule in rules)

    def _found(self, host: str, port: int) -> Iterator[tuple[Peer, int]]:
        """Who answers at that name, and at which port of its own."""
        name, _, namespace = host.partition(".")
        if namespace in NEIGHBOURS:
            yield neighbour(namespace), port
        elif self._built.has("Service", name, KNATIVE):
            yield neighbour("kourier-system"), 8081
        elif self._built.has("Service", name, "v1"):
            yield from self._behind(self._built.get("Service", name, "v1"), port)
        elif name.endswith("-broker-ingress"):
            yield from ((peer, 8080) for peer in self._controllers(f"Broker {name.removesuffix('-broker-ingress')} in"))
        elif name not in {each.name for each in CATALOGUE}:
            yield OUTSIDE, port
        elif any(pod.function for pod in self._built.pods()):
            raise KeyError(f"nothing answers as {name}")

    def _behind(self, service: dict[str, Any], port: int) -> Iterator[tuple[Peer, int]]:
        entry = next(each for each in service["spec"]["ports"] if each["port"] == port)
        found = self.selected({"matchLabels": service["spec"]["selector"]})
        if not found:
            raise KeyError(f"Service {service['metadata']['name']} leads to nobody")
        for peer in found:
            target = entry.get("targetPort", port)
            if isinstance(target, str):
                ports = self._built.pod(peer.name).container["ports"]
                target = next(each["containerPort"] for each in ports if each.get("name") == target)
            yield peer, target

    def _through_the_edge(self) -> Iterator[Call]:
        ingresses = list(self._built.of("Ingress"))
        for ingress in ingresses:
            for path in ingress["spec"]["rules"][0]["http"]["paths"]:
                service = self._built.get("Service", path["backend"]["service"]["name"], "v1")
                wanted = path["backend"]["service"]["port"]["name"]
                port = next(each["port"] for each in service["spec"]["ports"] if each["name"] == wanted)
                for peer, at in self._behind(service, port):
                    yield Call(neighbour("ingress-nginx"), peer, at)
        if not ingresses and "Deployment gateway" in self.pods:
            for port in (8002, 8001):
                yield Call(OUTSIDE, self.pods["Deployment gateway"], port)

    def _through_knative(self) -> Iterator[Call]:
        for service in self._built.of("Service", KNATIVE):
            pod = self.pods[f"Service {service['metadata']['name']}"]
            for namespace in ("kourier-system", "knative-serving"):
                yield Call(neighbour(namespace), pod, 8012)  # the queue-proxy's port
            yield Call(neighbour("knative-serving"), pod, 9090)  # the autoscaler asks how much there is to do
        for cluster in self._controllers("RabbitmqCluster"):
            yield Call(cluster, cluster, 25672)  # nodes among themselves
            yield Call(neighbour("rabbitmq-system"), cluster, 15672)
            for broker in self._controllers("Broker"):
                yield Call(broker, cluster, 5672)
        for dispatcher in self._controllers("Trigger"):
            yield Call(dispatcher, neighbour("kourier-system"), 8081)
            for cluster in self._controllers("RabbitmqCluster"):
                yield Call(dispatcher, cluster, 5672)
            for ingress in self._controllers("Broker"):
                yield Call(dispatcher, ingress, 8080)  # replies

    def _from_openfaas(self) -> Iterator[Call]:
        """What functions on OpenFaaS call: the bridge and the stores, as Services of ours."""
        bridges = [pod for pod in self._built.pods() if "openfaas" in str(pod.env.get("FUNCTION_URL"))]
        for name in ("bridge", "postgres", "mongo", "mail") if bridges else ():
            if self._built.has("Service", name, "v1"):
                service = self._built.get("Service", name, "v1")
                for peer, at in self._behind(service, service["spec"]["ports"][0]["port"]):
                    yield Call(neighbour("openfaas-fn"), peer, at)

    def _controllers(self, whose: str) -> list[Peer]:
        return [peer for peer in self.peers if peer.name.startswith(whose) and peer.name not in self.pods]


def matches(selector: dict[str, Any], labels: Mapping[str, str]) -> bool:
    """As Kubernetes reads a label selector; an empty one matches everything."""
    for name, value in selector.get("matchLabels", {}).items():
        if labels.get(name) != value:
            return False
    for each in selector.get("matchExpressions", ()):
        value = labels.get(each["key"])
        wanted = {
            "In": value in each.get("values", ()),
            "NotIn": value not in each.get("values", ()),
            "Exists": value is not None,
            "DoesNotExist": value is None,
        }
        if not wanted[each["operator"]]:
            return False
    return True


def parts(selector: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The selectors that it is made of: one for each label, and for each value that a label may have."""
    for name, value in selector.get("matchLabels", {}).items():
        yield {"matchLabels": {name: value}}
    for each in selector.get("matchExpressions", ()):
        for value in each.get("values", ()):
            yield {"matchExpressions": [{**each, "values": [value]}]}
        if "values" not in each:
            yield {"matchExpressions": [each]}


def neighbour(namespace: str) -> Peer:
    return Peer(f"{NEIGHBOURS[namespace]} ({namespace})", namespace, {})


def _among(peers: list[dict[str, Any]] | None, other: Peer) -> bool:
    return not peers or any(_is(each, other) for each in peers)


def _is(named: dict[str, Any], other: Peer) -> bool:
    if "namespaceSelector" in named:
        labels = {NAMESPACE_LABEL: other.namespace or ""}
        in_namespace = other.namespace is not None and matches(named["namespaceSelector"], labels)
    else:
        in_namespace = other.namespace == HOME
    return in_namespace and matches(named.get("podSelector", {}), other.labels)


def _on_port(rule: dict[str, Any], call: Call) -> bool:
    ports = [(each["port"], each.get("protocol", "TCP")) for each in rule.get("ports", ())]
    return not ports or (call.port, call.protocol) in ports


def _added(pod: Pod) -> dict[str, str]:
    if pod.owner["apiVersion"] != KNATIVE:
        return {}
    return {"serving.knative.dev/service": pod.owner["metadata"]["name"]}


def _made_by_controllers(built: Manifests) -> Iterator[Peer]:
    """Pods that operators make: of a RabbitmqCluster, of a Broker, and one dispatcher for each Trigger."""
    for cluster in built.of("RabbitmqCluster"):
        name = cluster["metadata"]["name"]
        labels = {"app.kubernetes.io/name": name, "app.kubernetes.io/component": "rabbitmq"}
        yield Peer(f"RabbitmqCluster {name}", HOME, labels)
    for broker in built.of("Broker"):
        yield Peer(f"Broker {broker['metadata']['name']} in", HOME, {BROKER_ROLE: "ingress"})
    for trigger in built.of("Trigger"):
        yield Peer(f"Trigger {trigger['metadata']['name']}", HOME, {BROKER_ROLE: "dispatcher"})


def _configured(pod: Pod, built: Manifests) -> Iterator[tuple[str, int]]:
    """Host and port of everything that a pod is configured to reach: by secrets, environment and settings."""
    for key in pod.files:
        if "://" in _secrets()[key]:
            yield _host_and_port(_secrets()[key])
    for name, value in pod.env.items():
        if name.endswith("_ADDR"):
            yield value.replace(".$(NAMESPACE)", ""), 80
        elif name.endswith("_URL") and value:  # one that comes from the settings is for people
            yield from {_host_and_port(value.replace("{name}", each)) for each in DELIVERED}
    if pod.function:
        settings = built.settings()
        if pod.owner["kind"] == "JobSink" or "k_sink" in NEEDS[pod.env["FUNCTION_TARGET"]]:
            yield _host_and_port(settings["K_SINK"])
        if "smtp-password" in pod.files:
            yield settings.get("SMTP_HOST", "smtp.example.org"), int(settings.get("SMTP_PORT", 25))


def _host_and_port(url: str) -> tuple[str, int]:
    split = urlsplit(url)
    return split.hostname or "", split.port or PORTS[split.scheme]


@cache
def _secrets() -> dict[str, str]:
    """What `make secrets` makes, by key."""
    with TemporaryDirectory() as folder:
        passwords.make(Path(folder, "secrets"))
        return {path.name: path.read_text(encoding="utf-8") for path in Path(folder, "secrets").iterdir()}
