"""No event is lost on its way, and none comes sooner than there is somebody to take it."""

import math
import re
from collections import Counter
from collections.abc import Iterator

from events import contract
from tests.k8s.manifests import KNATIVE, Manifests
from tests.k8s.rules import CATALOGUE, MAX_SCALE, PARALLELISM, rule

PREFETCH = 100  # deliveries that Knative's dispatcher takes at once, however many it works on


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


def _seconds(duration: str) -> int:
    return int(duration.removeprefix("PT").removesuffix("S"))
