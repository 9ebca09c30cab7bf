"""What template.yml says of a function holds in the cluster: image, limits, secrets, probes, disk, schedule."""

import re
from collections.abc import Iterator

from functions.runtime.settings import Settings
from tests.k8s.manifests import KNATIVE, Manifests, Pod
from tests.k8s.rules import CATALOGUE, functions_of, rule, secrets_made

UNITS = {"Mi": 2**20, "Gi": 2**30}


@rule
def functions_are_those_of_the_catalogue(built: Manifests) -> Iterator[str]:
    pods = functions_of(built)
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
    for name, pod in functions_of(built).items():
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
    for name, pod in functions_of(built).items():
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
def functions_can_be_asked_how_they_are(built: Manifests) -> Iterator[str]:
    for name, pod in functions_of(built).items():
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
def sweep_is_woken(built: Manifests) -> Iterator[str]:
    schedules = [each["spec"]["schedule"] for each in (*built.of("PingSource"), *built.of("CronJob"))]
    if schedules != [CATALOGUE["sweep"].schedule]:
        yield f"sweep runs at {schedules}"


def _concurrency(pod: Pod) -> set[str]:
    return {str(pod.spec["containerConcurrency"])} if pod.owner["apiVersion"] == KNATIVE else set()


def _bytes(quantity: str) -> int:
    return int(quantity[:-2]) * UNITS[quantity[-2:]]
