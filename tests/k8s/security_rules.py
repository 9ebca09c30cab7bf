"""How little a container can do, and who can reach it."""

from collections.abc import Iterator

from functions.runtime.settings import NEEDS
from tests.k8s.manifests import KNATIVE, Manifests
from tests.k8s.rules import CATALOGUE, functions_of, rule

FORM = 5_065_536  # bytes around a video in a form: texts and a cover
REACHES = "org.videotomp3/reaches-"
SECURITY = {
    "runAsNonRoot": True,
    "readOnlyRootFilesystem": True,
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}


@rule
def functions_have_no_door_of_their_own(built: Manifests) -> Iterator[str]:
    """From outside the gateway is the only way in, and it knows HTTP functions only."""
    for service in built.of("Service", KNATIVE):
        if service["metadata"]["labels"].get("networking.knative.dev/visibility") != "cluster-local":
            yield f"{service['metadata']['name']} has a host name outside the cluster"
    for service in built.of("Service", "v1"):
        if service["spec"].get("type", "ClusterIP") != "ClusterIP":
            yield f"{service['metadata']['name']} is open to the outside"
    for ingress in built.of("Ingress"):
        paths = [path for line in ingress["spec"]["rules"] for path in line["http"]["paths"]]
        if {path["backend"]["service"]["name"] for path in paths} != {"gateway"}:
            yield "the Ingress leads around the gateway"


@rule
def the_gateway_knows_http_functions_only(built: Manifests) -> Iterator[str]:
    if not built.has("Deployment", "gateway"):
        return
    env = built.pod("Deployment gateway").env
    known = {name.removesuffix("_ADDR").lower(): address for name, address in env.items() if name.endswith("_ADDR")}
    if known.keys() != {function.target for function in CATALOGUE.values() if function.path}:
        yield f"the gateway knows {sorted(known)}"
    if wrong := [name for name, address in known.items() if address != f"{name}.$(NAMESPACE)"]:
        yield f"the gateway calls {wrong} by names that Knative does not know"
    if int(env["MAX_BODY_BYTES"]) != int(built.settings()["MAX_UPLOAD_BYTES"]) + FORM:
        yield "the gateway and upload disagree about how large a video may be"


@rule
def doors_are_closed(built: Manifests) -> Iterator[str]:
    """Everything is refused that no policy names, and no policy but the gateway's is for everybody."""
    if not built.has("NetworkPolicy", "closed"):
        yield "nothing is closed"
    else:
        closed = built.get("NetworkPolicy", "closed")["spec"]
        if closed != {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}:
            yield "not everything is closed"
    for policy in built.of("NetworkPolicy"):
        open_to_all = any("from" not in door for door in policy["spec"].get("ingress", ()))
        if open_to_all and policy["metadata"]["name"] != "gateway":
            yield f"NetworkPolicy {policy['metadata']['name']} lets everybody in"


@rule
def labels_open_no_more_than_is_needed(built: Manifests) -> Iterator[str]:
    """What a function reaches is what its secrets are for; who calls it is what triggers it."""
    for name, pod in functions_of(built).items():
        function = CATALOGUE[name]
        wanted = {
            "postgres": "database-url" in function.secrets,
            "mongo": any(secret.startswith("mongo") for secret in function.secrets),
            "mail": "smtp-password" in function.secrets,
            "events": "k_sink" in NEEDS[function.target] or pod.owner["kind"] == "JobSink",
        }
        reached = {label.removeprefix(REACHES) for label in pod.labels if label.startswith(REACHES)}
        if reached != {store for store, needed in wanted.items() if needed}:
            yield f"{name} reaches {sorted(reached)}"
        caller = "gateway" if function.path else "clock" if function.schedule else "events"
        if pod.owner["kind"] != "JobSink" and pod.labels.get("org.videotomp3/called-by") != caller:
            yield f"{name} is called by {pod.labels.get('org.videotomp3/called-by')}"


@rule
def containers_can_do_little(built: Manifests) -> Iterator[str]:
    """Kubernetes' "restricted" standard, a read-only root, limits, and no token."""
    for account in built.of("ServiceAccount"):
        if account.get("automountServiceAccountToken") is not False:
            yield f"ServiceAccount {account['metadata']['name']} hands out a token"
    for pod in built.pods():
        security = pod.container.get("securityContext", {})
        for field, wanted in SECURITY.items():
            if security.get(field) != wanted:
                yield f"{pod.name}: {field} is {security.get(field)}"
        if not security.get("runAsUser"):
            yield f"{pod.name} runs as root, or as whom its image says"
        if pod.spec.get("automountServiceAccountToken") is not False or "serviceAccountName" not in pod.spec:
            yield f"{pod.name} has a token"
        if pod.spec.get("enableServiceLinks") is not False:
            yield f"{pod.name} finds variables about all Services in its environment"
        if not {"cpu", "memory"} <= pod.container["resources"].get("limits", {}).keys():
            yield f"{pod.name} has no limits"


@rule
def images_are_pinned(built: Manifests) -> Iterator[str]:
    images = [pod.container["image"] for pod in built.pods()]
    for image in images + [cluster["spec"]["image"] for cluster in built.of("RabbitmqCluster")]:
        if ":" not in image.rpartition("/")[2] or image.endswith(":latest"):
            yield f"whatever {image} is tomorrow"
