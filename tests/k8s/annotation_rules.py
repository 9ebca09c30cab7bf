"""Annotations are free text to a cluster: a misspelt one does nothing, and a number out of range is accepted too."""

import re
from collections.abc import Callable, Iterator
from typing import Any

from tests.k8s.manifests import KNATIVE, Manifests
from tests.k8s.rules import MAX_SCALE, PARALLELISM, rule

AUTOSCALING = "autoscaling.knative.dev/"
NGINX = "nginx.ingress.kubernetes.io/"
Check = Callable[[str], bool]


def whole(least: int, most: int | None = None) -> Check:
    return lambda text: text.isdecimal() and least <= int(text) and (most is None or int(text) <= most)


def seconds(least: int, most: int) -> Check:
    """A duration as Go writes it, of one unit."""

    def check(text: str) -> bool:
        found = re.fullmatch(r"(\d+)([smh])", text)
        return bool(found) and least <= int(found[1]) * {"s": 1, "m": 60, "h": 3600}[found[2]] <= most

    return check


def one_of(*words: str) -> Check:
    return lambda text: text in words


# By kind, those of a Knative Service's template where Knative looks for them. The ranges are those of Knative Serving
# (pkg/apis/autoscaling) and eventing-rabbitmq. Knative also takes camel case (maxScale), which our rules do
# not read.
KNOWN: dict[str, dict[str, Check]] = {
    "Service template": {
        MAX_SCALE: whole(1),  # 0 would be without a bound
        AUTOSCALING + "min-scale": whole(0),
        AUTOSCALING + "initial-scale": whole(1),
        AUTOSCALING + "activation-scale": whole(1),
        AUTOSCALING + "metric": one_of("concurrency", "rps"),
        AUTOSCALING + "target": whole(1),
        AUTOSCALING + "target-utilization-percentage": whole(1, 100),
        AUTOSCALING + "scale-down-delay": seconds(0, 3600),
        AUTOSCALING + "scale-to-zero-pod-retention-period": seconds(0, 3600),
        AUTOSCALING + "window": seconds(6, 3600),
    },
    "Trigger": {PARALLELISM: whole(1, 1000)},
    "Broker": {"eventing.knative.dev/broker.class": one_of("RabbitMQBroker")},
    "Ingress": {
        NGINX + "proxy-body-size": one_of("0"),  # how much may be sent is the gateway's to say
        NGINX + "proxy-request-buffering": one_of("off"),
        NGINX + "proxy-buffering": one_of("off"),
        NGINX + "proxy-read-timeout": whole(600),
        NGINX + "proxy-send-timeout": whole(600),
        "cert-manager.io/cluster-issuer": bool,
    },
}


@rule
def annotations_are_known(built: Manifests) -> Iterator[str]:
    """Each by its name, where it is looked for, with a value in its range."""
    for each in built:
        kind, name = each["kind"], each["metadata"]["name"]
        yield from _wrong(f"{kind} {name}", kind, each["metadata"])
        template = each.get("spec", {}).get("template", {}) if isinstance(each.get("spec"), dict) else {}
        yield from _wrong(f"{kind} {name}'s pods", f"{kind} template", template.get("metadata", {}))


@rule
def every_scale_has_a_bound(built: Manifests) -> Iterator[str]:
    for service in built.of("Service", KNATIVE):
        annotations = service["spec"]["template"]["metadata"].get("annotations", {})
        least, most = int(annotations.get(AUTOSCALING + "min-scale", 0)), int(annotations.get(MAX_SCALE, 0))
        if not max(least, 1) <= most:
            yield f"{service['metadata']['name']} has between {least} and {most} instances"


def _wrong(who: str, kind: str, metadata: dict[str, Any]) -> Iterator[str]:
    known = KNOWN.get(kind, {})
    for name, value in (metadata.get("annotations") or {}).items():
        if name not in known:
            yield f"{who}: nobody knows the annotation {name}"
        elif not known[name](value):
            yield f"{who}: {name} cannot be {value!r}"
