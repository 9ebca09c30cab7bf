import os
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from tests.k8s import (
    annotation_rules,
    catalogue_rules,
    event_rules,
    knative_rules,
    network_rules,
    reference_rules,
    security_rules,
)
from tests.k8s.manifests import K8S, KNATIVE, Manifests, build, combine
from tests.k8s.rules import RULES, Rule
from tests.k8s.schemas import validate

# Each adds its own to RULES.
MODULES = (
    *(annotation_rules, catalogue_rules, event_rules, knative_rules, network_rules, reference_rules, security_rules),
)
OVERLAYS = sorted(path.parent.name for path in K8S.glob("overlays/*/kustomization.yaml"))


def subsets(*names: str) -> list[tuple[str, ...]]:
    return [chosen for size in range(len(names) + 1) for chosen in combinations(names, size)]


STORES = ("postgres", "mongo", "mail")
# Resources of k8s/ with every choice of the components that go with them. Without Knative the stores, the same there,
# go in together.
SYSTEMS = {
    "+".join((*resources, *components)).replace("/", "."): (resources, components)
    for resources, components in (
        *((("base",), chosen) for chosen in subsets(*STORES, "ingress", "long-conversions")),
        *(
            (("base/system",), (*bridge, *rabbitmq, *stores))
            for bridge in (("openfaas-bridge",), ("bridge", "clock"))
            for rabbitmq in subsets("rabbitmq")
            for stores in ((), STORES)
        ),
    )
}


@pytest.fixture(params=OVERLAYS)
def overlay(request: pytest.FixtureRequest) -> Manifests:
    return build(K8S / "overlays" / request.param)


@pytest.fixture(scope="session")
def systems(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Manifests]:
    """All at once: kustomize takes half a second for each, and leaves the other processors idle."""
    directories = [tmp_path_factory.mktemp("overlay") for _ in SYSTEMS]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        built = pool.map(lambda directory, system: combine(directory, *system), directories, SYSTEMS.values())
        return dict(zip(SYSTEMS, built, strict=True))


def test_every_object_of_an_overlay_is_valid(overlay: Manifests) -> None:
    """No field that the cluster would refuse, or silently drop."""
    for each in overlay:
        validate(each)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_an_overlay_keeps_the_rule(overlay: Manifests, rule: Rule) -> None:
    """The stricter rules: what a cluster would accept, and lose events or secrets by."""
    assert list(rule(overlay)) == []


@pytest.mark.parametrize("name", SYSTEMS)
def test_components_go_together(systems: dict[str, Manifests], name: str) -> None:
    """Any choice of components builds, is valid and keeps every rule but that images are pinned, which overlays do."""
    for each in systems[name]:
        validate(each)
    kept = [rule for rule in RULES if rule is not security_rules.images_are_pinned]
    assert [wrong for rule in kept for wrong in rule(systems[name])] == []


def test_names_are_followed_into_custom_resources(tmp_path: Path) -> None:
    """A prefix, another namespace and the hash of a ConfigMap reach every reference."""
    built = combine(tmp_path, ("base",), ("long-conversions",), namePrefix="second-", namespace="elsewhere")
    assert list(reference_rules.references_resolve(built)) == []
    assert list(reference_rules.namespaces_agree(built)) == []
    assert {each["metadata"]["namespace"] for each in built if each["kind"] != "Namespace"} == {"elsewhere"}
    settings = [pod.container["envFrom"][0]["configMapRef"]["name"] for pod in built.pods() if pod.function]
    assert len(set(settings)) == 1
    assert settings[0].startswith("second-settings-")


@pytest.mark.parametrize("own", [{}, {"namespace": None, "labels": []}, {"namePrefix": "second-"}], ids=str)
def test_long_conversions_go_on_top_of_an_overlay(tmp_path: Path, own: dict[str, Any]) -> None:
    """In somebody's own, however little that says: with the image, the namespace and the settings from below."""
    built = combine(tmp_path, ("overlays/production",), ("long-conversions",), **own)
    for each in built:
        validate(each)
    prefix = own.get("namePrefix", "")
    kept = [reference_rules.references_resolve] if prefix else RULES
    assert [wrong for rule in kept for wrong in rule(built)] == []
    below = build(K8S / "overlays" / "production").pod("Service convert").container
    job = built.pod(f"JobSink {prefix}convert")
    assert job.container["image"] == below["image"]
    assert job.owner["metadata"]["namespace"] == "video-to-mp3"
    assert not built.has("Service", f"{prefix}convert")
    assert not built.has("PodDisruptionBudget", f"{prefix}convert")


# How each rule is broken: in an overlay, at an object, at a path (manifests.SHORTHAND), where something else is put, or
# nothing is left.
BREAKS = """
references_resolve local Trigger/video-uploaded spec/subscriber/ref/name = transcode
references_resolve local Trigger/video-uploaded spec/delivery/deadLetterSink/ref/name = deadletter
references_resolve local Trigger/video-uploaded spec/broker = default
references_resolve local PingSource/sweep spec/sink/ref/kind = Deployment
references_resolve local Service/ui box/envFrom/0/configMapRef/name = settings
references_resolve local Service/jobs pod/serviceAccountName = admin
references_resolve local Service/jobs secret/name = other
references_resolve plain HorizontalPodAutoscaler/convert spec/scaleTargetRef/name = transcode
namespaces_agree local Trigger/video-uploaded spec/subscriber/ref/namespace = default
functions_are_those_of_the_catalogue local Service/ui box/env/0/value = jobs
functions_are_those_of_the_catalogue plain Deployment/convert box/image = video-to-mp3/light:dev
limits_are_those_of_the_catalogue local Service/ui box/resources/limits/memory = 1Gi
limits_are_those_of_the_catalogue local Service/convert pod/timeoutSeconds = 300
limits_are_those_of_the_catalogue local Service/upload pod/responseStartTimeoutSeconds
limits_are_those_of_the_catalogue local Service/jobs pod/containerConcurrency = 80
limits_are_those_of_the_catalogue plain Deployment/jobs box/env/1/value = "80"
limits_are_those_of_the_catalogue plain Deployment/jobs box/env/2/value = "620"
secrets_are_those_of_the_catalogue local Service/convert secret/items/0/key = jwt-secret
secrets_are_those_of_the_catalogue local Service/convert box/volumeMounts/1/mountPath = /secrets
secrets_can_be_made plain Deployment/bridge secret/items/0/key = amqp
secrets_can_be_made local ServiceAccount/convert kind = Secret
every_event_has_its_trigger local Trigger/video-uploaded spec/filter/attributes/type = video
every_event_has_its_trigger local Trigger/video-uploaded spec/filters = [{exact: {type: video}}]
every_event_has_its_trigger local Trigger/video-uploaded spec/subscriber/ref/name = notify
no_event_is_dropped local Trigger/audio-converted spec/delivery/deadLetterSink
no_event_is_dropped local Trigger/audio-converted spec/delivery/retry
no_event_is_dropped local Trigger/audio-converted spec/delivery/backoffPolicy = linear
no_event_is_dropped local Trigger/video-uploaded spec/delivery/timeout = PT300S
no_event_is_dropped local Broker/events spec/delivery
parallelism_fits_the_scale local Service/dead-letter scaling/max-scale = "5"
parallelism_fits_the_scale production Service/notify scaling/max-scale = "2"
parallelism_fits_the_scale plain HorizontalPodAutoscaler/convert spec/minReplicas = 1
rabbitmq_waits_long_enough local RabbitmqCluster/rabbitmq spec/rabbitmq/additionalConfig = ""
knative_needs_no_feature_flag local Service/ui pod/securityContext = {runAsUser: 65532}
knative_needs_no_feature_flag local Service/ui pod/initContainers = [{name: wait}]
knative_needs_no_feature_flag local Service/ui pod/terminationGracePeriodSeconds = 600
knative_needs_no_feature_flag local Service/ui pod/volumes/0/persistentVolumeClaim = {claimName: disk}
knative_needs_no_feature_flag local Service/ui box/env/0/name = PORT
knative_needs_no_feature_flag local Service/ui box/env/0/valueFrom = {fieldRef: {fieldPath: metadata.name}}
knative_needs_no_feature_flag local Trigger/video-uploaded spec/delivery/retryAfterMax = PT1S
volumes_are_mounted local Service/jobs box/volumeMounts/1/readOnly
volumes_are_mounted local Service/jobs box/volumeMounts/1
functions_have_no_door_of_their_own local Service/convert metadata/labels/networking.knative.dev~visibility
functions_have_no_door_of_their_own plain Service/convert spec/type = LoadBalancer
functions_have_no_door_of_their_own plain Ingress/gateway spec/rules/0/http/paths/0/backend/service/name = ui
the_gateway_knows_http_functions_only plain Deployment/gateway box/env/6/name = SWEEP_ADDR
the_gateway_knows_http_functions_only plain Deployment/gateway box/env/6/value = register
the_gateway_knows_http_functions_only plain Deployment/gateway box/env/3/value = "1000"
doors_are_closed local NetworkPolicy/closed spec/policyTypes = [Ingress]
doors_are_closed local NetworkPolicy/functions spec/ingress = [{}]
labels_open_no_more_than_is_needed local Service/convert template/metadata/labels/org.videotomp3~reaches-events = "true"
labels_open_no_more_than_is_needed plain Deployment/notify template/metadata/labels/org.videotomp3~called-by = gateway
containers_can_do_little local ServiceAccount/convert automountServiceAccountToken
containers_can_do_little local Service/ui pod/automountServiceAccountToken
containers_can_do_little local Service/ui box/resources/limits/memory
containers_can_do_little local Service/ui box/securityContext/readOnlyRootFilesystem = false
containers_can_do_little local StatefulSet/postgres box/securityContext/runAsUser = 0
containers_can_do_little plain Deployment/gateway pod/enableServiceLinks
functions_can_be_asked_how_they_are local Service/ui box/readinessProbe
functions_can_be_asked_how_they_are local Service/ui box/readinessProbe/httpGet/path = /_/health
functions_can_be_asked_how_they_are local Service/ui box/startupProbe = {httpGet: {path: /_/ready, port: 8080}}
scratch_space_is_disk local Service/convert pod/volumes/0/emptyDir/medium = Memory
scratch_space_is_disk local Service/convert pod/volumes/0/emptyDir/sizeLimit = 4Gi
images_are_pinned production Service/ui box/image = video-to-mp3/light:latest
images_are_pinned production Deployment/gateway box/image = nginx
sweep_is_woken plain CronJob/sweep spec/schedule = 0 * * * *
disruptions_are_few local PodDisruptionBudget/gateway spec/minAvailable = 1
selectors_select local NetworkPolicy/mongo from/podSelector/matchLabels = {org.video/reaches-mongo: "true"}
selectors_select local NetworkPolicy/to-events spec/podSelector/matchLabels = {org.videotomp3/reaches-event: "true"}
selectors_select local NetworkPolicy/functions spec/podSelector/matchExpressions/0/key = serving.knative.dev/svc
selectors_select plain NetworkPolicy/clock to/podSelector/matchLabels = {org.videotomp3/called-by: sweep}
selectors_select openfaas NetworkPolicy/to-openfaas spec/podSelector/matchExpressions/0/values/1 = clocks
selectors_select openfaas NetworkPolicy/from-openfaas spec/podSelector/matchExpressions/0/values/1 = postgresql
selectors_select plain Service/upload spec/selector = {app.kubernetes.io/name: uploads}
selectors_select plain PodDisruptionBudget/functions spec/selector/matchExpressions/0/values/2 = logins
selectors_select plain Deployment/gateway spec/selector/matchLabels = {app.kubernetes.io/name: edge}
selectors_select plain Deployment/convert pod/affinity = {podAntiAffinity: [{labelSelector: {matchLabels: {app: x}}}]}
selectors_select plain Deployment/gateway pod/topologySpreadConstraints = [{labelSelector: {matchLabels: {app: x}}}]
services_lead_to_their_namesakes plain Service/login spec/selector = {app.kubernetes.io/name: register}
services_lead_to_their_namesakes plain Service/login spec/selector = {org.videotomp3/called-by: gateway}
neighbours_are_known local NetworkPolicy/functions from/namespaceSelector/matchExpressions/0/values/1 = kourier
neighbours_are_known openfaas NetworkPolicy/to-openfaas to/namespaceSelector/matchLabels = {name: openfaas}
what_is_needed_passes local NetworkPolicy/mongo from/podSelector/matchLabels = {org.video/reaches-mongo: "true"}
what_is_needed_passes local NetworkPolicy/to-postgres spec/egress/0/ports/0/port = 5433
what_is_needed_passes local NetworkPolicy/to-mail to/podSelector/matchLabels = {app.kubernetes.io/name: mailpit}
what_is_needed_passes local NetworkPolicy/broker-ingress spec/ingress/0/from = [{podSelector: {matchLabels: {role: x}}}]
what_is_needed_passes local NetworkPolicy/rabbitmq spec/ingress/2/from = [{namespaceSelector: {matchLabels: {name: x}}}]
what_is_needed_passes local NetworkPolicy/to-dns spec/egress/0/ports/0/protocol = TCP
what_is_needed_passes local Job/migrate template/metadata/labels = {app.kubernetes.io/name: migrate}
what_is_needed_passes production NetworkPolicy/to-mail spec/egress/0/ports = [{port: 25}]
what_is_needed_passes production NetworkPolicy/gateway from/namespaceSelector/matchLabels = {name: ingress-nginx}
what_is_needed_passes plain NetworkPolicy/called-by-events from/podSelector/matchLabels = {name: bridge}
what_is_needed_passes plain NetworkPolicy/bridge spec/ingress/0/ports/0/port = 80
what_is_needed_passes plain NetworkPolicy/to-rabbitmq spec/egress/0/ports/0/port = 15672
what_is_needed_passes openfaas NetworkPolicy/from-openfaas spec/ingress/0/ports = [{port: 8080}]
strangers_stay_outside local NetworkPolicy/functions spec/ingress = [{from: [{namespaceSelector: {}}]}]
strangers_stay_outside plain NetworkPolicy/called-by-events spec/ingress = [{}]
strangers_stay_outside production NetworkPolicy/gateway spec/ingress = [{ports: [{port: 8002}]}]
annotations_are_known local Trigger/video-uploaded parallelism = "0"
annotations_are_known local Trigger/video-uploaded parallelism = "1001"
annotations_are_known local Trigger/video-uploaded metadata/annotations/rabbitmq.eventing.knative.dev~paralelism = "4"
annotations_are_known local Service/ui scaling/maxscale = "5"
annotations_are_known local Service/ui metadata/annotations = {autoscaling.knative.dev/max-scale: "5"}
annotations_are_known local Service/ui scaling/max-scale = "0"
annotations_are_known local Service/ui scaling/max-scale = five
annotations_are_known local Service/convert scaling/target-utilization-percentage = "101"
annotations_are_known production Service/ui scaling/scale-down-delay = 2h
annotations_are_known local Broker/events metadata/annotations/eventing.knative.dev~broker.class = Kafka
annotations_are_known production Ingress/gateway metadata/annotations/nginx.ingress.kubernetes.io~proxy-buffering = "on"
every_scale_has_a_bound local Service/ui scaling/max-scale
every_scale_has_a_bound local Service/sweep scaling/min-scale = "2"
disruptions_are_few local PodDisruptionBudget/gateway spec/selector/matchLabels/app.kubernetes.io~name = edge
""".strip().splitlines()


BY_NAME = {rule.__name__: rule for rule in RULES}


@pytest.mark.parametrize("broken", BREAKS)
def test_a_rule_sees_what_breaks_it(broken: str) -> None:
    """A rule that nothing can break would hold nothing."""
    where, _, value = broken.partition(" = ")
    rule, overlay, target, path = where.split()
    kind, name = target.split("/")
    built = build(K8S / "overlays" / overlay)
    knative = KNATIVE if kind == "Service" and built.has(kind, name, KNATIVE) else ""
    assert list(BY_NAME[rule](built.spoilt(kind, name, knative, path, yaml.safe_load(value or "null"))))


def test_every_rule_is_broken_once() -> None:
    assert {broken.split()[0] for broken in BREAKS} == {rule.__name__ for rule in RULES}


# Where a field is added that nobody knows, or a value put that cannot be.
MISTAKES = """
Deployment/gateway spec/deliver = {}
Trigger/video-uploaded spec/deliver = {}
Trigger/video-uploaded spec/delivery/retry = many
Trigger/video-uploaded spec/subscriber/ref/nam = convert
Broker/events spec/configuration = {}
PingSource/sweep spec/scedule = x
Service/ui pod/containerConcurency = 8
Service/ui box/image = 3
Service/ui box/readinessProbe/httpGet/pfad = /
Service/ui box/resources/limits/memory = lots
Service/ui pod/timeoutSeconds = soon
JobSink/convert spec/job/spec/backofLimit = 2
RabbitmqCluster/rabbitmq spec/replica = 3
RabbitmqCluster/rabbitmq spec/replicas = 2
RabbitmqCluster/rabbitmq spec/persistence/storage
RabbitmqCluster/rabbitmq spec/rabbitmq/additionalConf = x
RabbitmqBrokerConfig/events spec/queueType = classic
""".strip().splitlines()


@pytest.mark.parametrize("mistake", MISTAKES)
def test_validation_sees_a_mistake(systems: dict[str, Manifests], mistake: str) -> None:
    """In objects of Kubernetes itself and of every other project."""
    where, _, value = mistake.partition(" = ")
    target, path = where.split()
    kind, name = target.split("/")
    built = systems["base+long-conversions"] if kind == "JobSink" else build(K8S / "overlays" / "local")
    knative = KNATIVE if kind == "Service" else ""
    spoilt = built.spoilt(kind, name, knative, path, yaml.safe_load(value or "null"))
    validate(built.get(kind, name, knative))
    with pytest.raises((kubernetes_validate.ValidationError, jsonschema.ValidationError)):
        validate(spoilt.get(kind, name, knative))


def test_a_kind_that_nobody_knows_is_refused() -> None:
    """Nothing goes unlooked at."""
    with pytest.raises(KeyError):
        validate({"apiVersion": "example.org/v1", "kind": "Thing", "metadata": {"name": "thing"}})
