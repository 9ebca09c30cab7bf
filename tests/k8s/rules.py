"""What a cluster would accept and we do not. Each rule reads one build and yields what is wrong with it."""

import math
import re
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from events import catalogue, contract
from functions.runtime.settings import NEEDS, Settings
from functions.secrets import passwords
from tests.k8s.manifests import KNATIVE, Manifests, Pod

CATALOGUE = {function.name: function for function in catalogue.load()}
PARALLELISM = "rabbitmq.eventing.knative.dev/parallelism"
MAX_SCALE = "autoscaling.knative.dev/max-scale"
PREFETCH = 100  # deliveries that Knative's dispatcher takes at once, however many it works on
FORM = 65536  # bytes around a video in a form
REACHES = "org.videotomp3/reaches-"
UNITS = {"Mi": 2**20, "Gi": 2**30}

Rule = Callable[[Manifests], Iterator[str]]
RULES: list[Rule] = []


def rule(check: Rule) -> Rule:
    RULES.append(check)
    return check


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
        for inner in _walk(each.get("spec", {})):
            if {"kind", "name", "namespace"} <= inner.keys() and inner["namespace"] not in home:
                yield f"{each['kind']} {each['metadata']['name']} points into namespace {inner['namespace']}"


@rule
def functions_are_those_of_the_catalogue(built: Manifests) -> Iterator[str]:
    pods = _functions(built)
    if pods and (missing := CATALOGUE.keys() - pods.keys()):
        yield f"missing: {sorted(missing)}"
    for name, pod in pods.items():
        if pod.owner["metadata"]["name"] != name:
            yield f"{pod.name} runs {name}"
        if re.split("[:@]", pod.container["image"])[0].split("/")[-1] != CATALOGUE[name].image:
            yield f"{pod.name} runs the image {pod.container['image']}"


@rule
def limits_are_those_of_the_catalogue(built: Manifests) -> Iterator[str]:
    """Time, concurrency and memory; a stopped instance drains for less than the platform waits."""
    for name, pod in _functions(built).items():
        if pod.container["resources"]["limits"]["memory"] != CATALOGUE[name].memory:
            yield f"{name}: memory"
        if pod.owner["kind"] == "JobSink":
            if int(pod.env["CONVERT_SECONDS"]) >= pod.owner["spec"]["job"]["spec"]["activeDeadlineSeconds"]:
                yield "convert's Job ends before its conversion does"
            continue
        seconds = pod.spec.get("timeoutSeconds") or pod.spec.get("terminationGracePeriodSeconds")
        if seconds != CATALOGUE[name].timeout:
            yield f"{name}: {seconds} s in place of {CATALOGUE[name].timeout}"
        if {str(CATALOGUE[name].concurrency)} != {pod.env["CONCURRENCY"], *_concurrency(pod)}:
            yield f"{name}: concurrency"
        if not 0 < int(pod.env["GRACE_SECONDS"]) < seconds:
            yield f"{name}: it drains for {pod.env['GRACE_SECONDS']} s and is killed after {seconds}"
        begins = pod.spec.get("responseStartTimeoutSeconds", 300)  # Knative's default
        if pod.owner["apiVersion"] == KNATIVE and seconds > 300 and begins != seconds:
            yield f"{name}: Knative waits {begins} s for the first byte of an answer"


@rule
def secrets_are_those_of_the_catalogue(built: Manifests) -> Iterator[str]:
    """convert opens strangers' files: it must not hold a key, and nobody holds more than it needs."""
    for name, pod in _functions(built).items():
        if pod.files != set(CATALOGUE[name].secrets):
            yield f"{name} sees {sorted(pod.files)}"
        mounts = [mount for mount in pod.container["volumeMounts"] if mount["mountPath"] == "/var/openfaas/secrets"]
        if [mount.get("readOnly") for mount in mounts] != [True] * bool(CATALOGUE[name].secrets):
            yield f"{name}: the secrets are not mounted once and read-only at /var/openfaas/secrets"


@rule
def secrets_can_be_made(built: Manifests) -> Iterator[str]:
    """`make secrets` makes each file that a container is to see, and none of them is kept here."""
    if any(built.of("Secret")):
        yield "a Secret is among the manifests"
    for pod in built.pods():
        if unknown := pod.files - secrets_made():
            yield f"{pod.name} wants {sorted(unknown)}, which `make secrets` does not make"


@rule
def every_event_has_its_trigger(built: Manifests) -> Iterator[str]:
    """One for each type and subscriber; RabbitMQ's Broker heeds no other filter than attributes.type."""
    wanted = {(kind, name) for name, function in CATALOGUE.items() for kind in function.events}
    found = Counter[tuple[str, str]]()
    for trigger in built.of("Trigger"):
        spec = trigger["spec"]
        if "filters" in spec or list(spec["filter"]["attributes"]) != ["type"]:
            yield f"Trigger {trigger['metadata']['name']} filters by something else than the type"
        found[spec["filter"]["attributes"].get("type"), spec["subscriber"]["ref"]["name"]] += 1
    if any(built.of("Broker")) and found != Counter(wanted):
        yield f"Triggers lead {sorted(found.elements())}"
    if unknown := {kind for kind, _ in found} - set(contract.TYPES):
        yield f"no event has the type {unknown}"


@rule
def no_event_is_dropped(built: Manifests) -> Iterator[str]:
    """A full delivery spec on each: a Trigger's own replaces the Broker's as a whole."""
    for each in (*built.of("Trigger"), *built.of("Broker")):
        delivery, name = each["spec"].get("delivery", {}), f"{each['kind']} {each['metadata']['name']}"
        if not CATALOGUE[delivery.get("deadLetterSink", {}).get("ref", {}).get("name", "ui")].dead_letter:
            yield f"{name} has no dead-letter sink"
        if not (
            delivery.get("retry") and delivery.get("backoffDelay") and delivery.get("backoffPolicy") == "exponential"
        ):
            yield f"{name} does not try again with exponential backoff"
        if each["kind"] == "Trigger":
            subscriber = CATALOGUE[each["spec"]["subscriber"]["ref"]["name"]]
            if _seconds(delivery.get("timeout", "PT0S")) <= subscriber.timeout:
                yield f"{name} gives up before {subscriber.name} does"


@rule
def parallelism_fits_the_scale(built: Manifests) -> Iterator[str]:
    """No function gets more events at once than its instances can take, the dead letters included."""
    load = Counter[str]()
    for trigger in built.of("Trigger"):
        parallelism = int(trigger["metadata"].get("annotations", {}).get(PARALLELISM, 1))
        for sink in (trigger["spec"]["subscriber"], trigger["spec"]["delivery"]["deadLetterSink"]):
            if sink["ref"]["kind"] == "Service":
                load[sink["ref"]["name"]] += parallelism
    for name, events in load.items():
        template = built.get("Service", name, KNATIVE)["spec"]["template"]
        room = int(template["metadata"]["annotations"][MAX_SCALE]) * template["spec"]["containerConcurrency"]
        if events > room:
            yield f"{name} gets {events} events at once and has room for {room}"
    for scaler in built.of("HorizontalPodAutoscaler"):
        name = scaler["spec"]["scaleTargetRef"]["name"]
        if CATALOGUE[name].events:
            parallelism = int(built.pod("Deployment bridge").env[f"{name.upper()}_PARALLELISM"])
            if parallelism > scaler["spec"]["minReplicas"] * CATALOGUE[name].concurrency:
                yield f"{name} gets {parallelism} events at once from the bridge"


@rule
def rabbitmq_waits_long_enough(built: Manifests) -> Iterator[str]:
    """The last of a prefetched batch waits for all before it, each tried to the end."""
    for cluster in built.of("RabbitmqCluster"):
        found = re.search(r"^consumer_timeout = (\d+)$", cluster["spec"]["rabbitmq"]["additionalConfig"], re.MULTILINE)
        given = int(found[1]) / 1000 if found else 1800
        for trigger in built.of("Trigger"):
            delivery = trigger["spec"]["delivery"]
            rounds = math.ceil(PREFETCH / int(trigger["metadata"]["annotations"][PARALLELISM]))
            if (wanted := rounds * (delivery["retry"] + 1) * _seconds(delivery["timeout"])) > given:
                yield f"a delivery of {trigger['metadata']['name']} may wait {wanted} s, RabbitMQ {given:.0f} s"


@rule
def knative_needs_no_feature_flag(built: Manifests) -> Iterator[str]:
    """Knative's own field masks (pkg/apis/serving/fieldmask.go), which its schema does not tell."""
    for pod in built.pods():
        if pod.owner["apiVersion"] != KNATIVE:
            continue
        for where, found, allowed in (
            ("pod", pod.spec, KNATIVE_POD),
            ("container", pod.container, KNATIVE_CONTAINER),
            ("securityContext", pod.container["securityContext"], KNATIVE_SECURITY),
            *(("volume", volume, KNATIVE_VOLUME) for volume in pod.spec["volumes"]),
            *((f"env {entry['name']}", entry.get("valueFrom", {}), KNATIVE_SOURCE) for entry in pod.container["env"]),
        ):
            if refused := found.keys() - allowed:
                yield f"{pod.name}: {where} has {sorted(refused)}"
        if reserved := pod.env.keys() & {"PORT", "K_SERVICE", "K_CONFIGURATION", "K_REVISION"}:
            yield f"{pod.name} sets {reserved}, which is Knative's to set"
        if len(pod.spec["containers"]) != 1 or len(pod.container["ports"]) != 1:
            yield f"{pod.name}: one container, one port"
    for trigger in built.of("Trigger"):
        if "retryAfterMax" in trigger["spec"]["delivery"]:
            yield f"Trigger {trigger['metadata']['name']}: retryAfterMax"


@rule
def volumes_are_mounted(built: Manifests) -> Iterator[str]:
    """Each of them, and read-only where it is no scratch space: Knative refuses anything else."""
    for pod in built.pods():
        if pod.owner["apiVersion"] == KNATIVE:
            disks = {volume["name"] for volume in pod.spec["volumes"] if "emptyDir" in volume}
            mounts = {mount["name"]: mount.get("readOnly", False) for mount in pod.container["volumeMounts"]}
            if mounts != {volume["name"]: volume["name"] not in disks for volume in pod.spec["volumes"]}:
                yield f"{pod.name} mounts {mounts}"


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
    for name, pod in _functions(built).items():
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
def functions_can_be_asked_how_they_are(built: Manifests) -> Iterator[str]:
    for name, pod in _functions(built).items():
        if pod.owner["kind"] == "JobSink":
            continue
        for probe, path in (("livenessProbe", "/_/health"), ("readinessProbe", "/_/ready")):
            if pod.container.get(probe, {}).get("httpGet", {}).get("path") != path:
                yield f"{name}: {probe}"
        if "startupProbe" in pod.container:
            yield f"{name}: a startup probe has a period, which a cold start waits for"


@rule
def scratch_space_is_disk(built: Manifests) -> Iterator[str]:
    """Bounded, never memory; convert's holds the largest video and its MP3 for each conversion at once."""
    for pod in built.pods():
        for volume in pod.spec.get("volumes", ()):
            if "emptyDir" not in volume:
                continue
            if volume["emptyDir"].get("medium") or "sizeLimit" not in volume["emptyDir"]:
                yield f"{pod.name}: {volume['name']} is memory, or has no end"
            elif pod.function == "convert":
                conversions = 1 if pod.owner["kind"] == "JobSink" else CATALOGUE["convert"].concurrency
                largest = int(built.settings()["MAX_UPLOAD_BYTES"]) + Settings().max_audio_bytes
                if _bytes(volume["emptyDir"]["sizeLimit"]) < conversions * largest:
                    yield f"{pod.name}: {conversions} x {largest} bytes are more than {volume['emptyDir']['sizeLimit']}"


@rule
def images_are_pinned(built: Manifests) -> Iterator[str]:
    images = [pod.container["image"] for pod in built.pods()]
    for image in images + [cluster["spec"]["image"] for cluster in built.of("RabbitmqCluster")]:
        if ":" not in image.rpartition("/")[2] or image.endswith(":latest"):
            yield f"whatever {image} is tomorrow"


@rule
def sweep_is_woken(built: Manifests) -> Iterator[str]:
    schedules = [each["spec"]["schedule"] for each in (*built.of("PingSource"), *built.of("CronJob"))]
    if schedules != [CATALOGUE["sweep"].schedule]:
        yield f"sweep runs at {schedules}"


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


KNATIVE_POD = {
    *("serviceAccountName", "containers", "volumes", "imagePullSecrets", "enableServiceLinks"),
    *("automountServiceAccountToken", "containerConcurrency", "timeoutSeconds", "responseStartTimeoutSeconds"),
    "idleTimeoutSeconds",
}
KNATIVE_CONTAINER = {
    *("name", "args", "command", "env", "workingDir", "envFrom", "image", "imagePullPolicy", "livenessProbe"),
    *("ports", "readinessProbe", "startupProbe", "resources", "securityContext", "volumeMounts"),
    *("terminationMessagePath", "terminationMessagePolicy"),
}
KNATIVE_SECURITY = {
    *("allowPrivilegeEscalation", "capabilities", "readOnlyRootFilesystem", "runAsGroup", "runAsNonRoot", "runAsUser"),
    "seccompProfile",
}
KNATIVE_VOLUME = {"name", "secret", "configMap", "projected", "emptyDir"}
KNATIVE_SOURCE = {"configMapKeyRef", "secretKeyRef"}
NAMING = {  # fields that name an object without saying its kind
    "broker": "Broker",
    "configMap": "ConfigMap",
    "configMapRef": "ConfigMap",
    "rabbitmqClusterReference": "RabbitmqCluster",
    "service": "Service",
    "serviceAccountName": "ServiceAccount",
}
SECURITY = {
    "runAsNonRoot": True,
    "readOnlyRootFilesystem": True,
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}


@cache
def secrets_made() -> set[str]:
    with TemporaryDirectory() as folder:
        return set(passwords.make(Path(folder, "secrets")))


def _functions(built: Manifests) -> dict[str, Pod]:
    return {pod.function: pod for pod in built.pods() if pod.function}


def _concurrency(pod: Pod) -> set[str]:
    return {str(pod.spec["containerConcurrency"])} if pod.owner["apiVersion"] == KNATIVE else set()


def _references(built: Manifests) -> Iterator[tuple[str, str, str, str]]:
    """Who names which kind, name and API."""
    for each in built:
        who, spec = f"{each['kind']} {each['metadata']['name']}", each.get("spec", {})
        for inner in _walk(spec):
            if {"apiVersion", "kind", "name"} <= inner.keys():
                yield who, inner["kind"], inner["name"], inner["apiVersion"]
            for field, kind in NAMING.items():
                if field in inner:
                    name = inner[field]["name"] if isinstance(inner[field], dict) else inner[field]
                    yield who, kind, name, ""


def _secrets(pod: Pod) -> Iterator[str]:
    for inner in _walk(pod.spec):
        for field in ("secretRef", "secretKeyRef", "secret"):
            if field in inner:
                yield inner[field].get("name") or inner[field]["secretName"]


def _walk(value: Any) -> Iterator[dict[str, Any]]:
    """Every mapping inside, at any depth."""
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _walk(inner)


def _seconds(duration: str) -> int:
    return int(duration.removeprefix("PT").removesuffix("S"))


def _bytes(quantity: str) -> int:
    return int(quantity[:-2]) * UNITS[quantity[-2:]]
