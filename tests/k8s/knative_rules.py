"""What Knative Serving refuses though its schema lets it pass."""

from collections.abc import Iterator

from tests.k8s.manifests import KNATIVE, Manifests
from tests.k8s.rules import rule

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
