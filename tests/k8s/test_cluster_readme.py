"""What k8s/README.md says is held against the manifests."""

import re

import pytest

from tests.k8s import rules
from tests.k8s.manifests import K8S, KNATIVE, Manifests, build
from tests.k8s.network import Call, Network, neighbour

README = (K8S / "README.md").read_text(encoding="utf-8")
SIZES = re.findall(r"^\| (\w+) \| ([\d.]+) \| ([\d.]+) GiB \|$", README, re.MULTILINE)
QUEUE_PROXY = 25  # thousandths of a processor that Knative adds to each pod
MEMORY = {"Mi": 1 / 1024, "Gi": 1}


def test_the_readme_names_what_there_is() -> None:
    """Every overlay, component and key of the Secret, and none that there is not."""
    named = re.findall(r"^\| `([^`]+)` \|", README, re.MULTILINE)
    parts = {str(path.parent.relative_to(K8S)) for path in K8S.glob("[co]*/*/kustomization.yaml")}
    assert sorted(named) == sorted(parts | rules.secrets_made())


def test_every_overlay_has_its_size() -> None:
    """One row for each."""
    assert {name for name, _, _ in SIZES} == {path.name for path in K8S.glob("overlays/*")}


@pytest.mark.parametrize(("overlay", "processors", "memory"), SIZES)
def test_what_it_needs_is_what_the_manifests_ask_for(overlay: str, processors: str, memory: str) -> None:
    """Rounded up, and by no more than a function or two."""
    asked = requests(build(K8S / "overlays" / overlay))
    assert asked[0] <= float(processors) <= asked[0] * 1.15 + 0.1
    assert asked[1] <= float(memory) <= asked[1] * 1.15 + 0.1


def test_removing_it_takes_as_long_as_the_readme_says() -> None:
    """The longest time that a pod may take to stop, and whose it is."""
    graces = {
        pod.owner["metadata"]["name"]: pod.spec.get("terminationGracePeriodSeconds", 30)
        for pod in build(K8S / "overlays" / "plain").pods()
    }
    longest = max(graces.values())
    assert f"waits up to {longest} s" in README
    assert {name for name, grace in graces.items() if grace == longest} == {"gateway", "bridge"}


def test_the_detour_around_the_gateway_is_told() -> None:
    """Break: any pod reaches any function through Knative's networking layer, which no policy of ours can close."""
    knative = behind_kourier(build(K8S / "overlays" / "local"))
    assert {"Service sweep", "Service convert", "Service login"} <= knative
    assert "Inside a cluster with Knative it is not" in README
    assert behind_kourier(build(K8S / "overlays" / "plain")) == set()


def behind_kourier(built: Manifests) -> set[str]:
    """What Knative's networking layer may call, at the queue-proxy's port or the function's own."""
    network, kourier = Network(built), neighbour("kourier-system")
    calls = [Call(kourier, pod, port) for pod in network.pods.values() for port in (8012, 8080)]
    return {call.target.name for call in calls if network.lets(call)}


def requests(built: Manifests) -> tuple[float, float]:
    """Processors and GiB of memory that the scheduler sets aside for what stays."""
    scalers = [each["spec"] for each in built.of("HorizontalPodAutoscaler")]
    least = {each["scaleTargetRef"]["name"]: each["minReplicas"] for each in scalers}
    stay = [pod for pod in built.pods() if pod.owner["kind"] not in ("Job", "CronJob")]
    counts = [least.get(pod.owner["metadata"]["name"], pod.owner["spec"].get("replicas", 1)) for pod in stay]
    asked = [(count, pod.container["resources"]) for count, pod in zip(counts, stay, strict=True)]
    asked += [(each["spec"]["replicas"], each["spec"]["resources"]) for each in built.of("RabbitmqCluster")]
    processors = sum(count * thousandths(each["requests"]["cpu"]) for count, each in asked)
    memory = sum(count * gibibytes(each["requests"]["memory"]) for count, each in asked)
    return (processors + QUEUE_PROXY * len(list(built.of("Service", KNATIVE)))) / 1000, memory


def thousandths(quantity: str) -> float:
    return float(quantity[:-1]) if quantity.endswith("m") else float(quantity) * 1000


def gibibytes(quantity: str) -> float:
    return float(quantity[:-2]) * MEMORY[quantity[-2:]]
