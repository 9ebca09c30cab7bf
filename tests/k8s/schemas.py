"""What an object of each kind may look like: no field that a cluster would refuse, or silently drop.

Kubernetes' own kinds by kubernetes-validate. Knative's by the models that cloudcoil makes of its custom resources:
those of 1.17, the newest that Python 3.11 to 3.13 can install; later releases only added to them. (npm's
@kubernetes-models/knative needs a node, holds compiled code in place of schemas, and lets unknown fields pass.)
RabbitMQ's operators have no package anywhere, so their kinds are held to the few fields that are used here. Where
CRD_SCHEMAS names a folder of complete JSON Schemas, one file for a kind, those are asked too.
"""

import json
import os
import warnings
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import kubernetes_validate
from jsonschema import Draft202012Validator

CORE = {"v1", "apps/v1", "batch/v1", "policy/v1", "autoscaling/v2", "networking.k8s.io/v1"}
FOLDER = "CRD_SCHEMAS"
Kind = tuple[str, str]  # apiVersion and kind

CLOUDCOIL: dict[Kind, str] = {
    ("serving.knative.dev/v1", "Service"): "knative_serving.serving.v1",
    ("eventing.knative.dev/v1", "Broker"): "knative_eventing.eventing.v1",
    ("eventing.knative.dev/v1", "Trigger"): "knative_eventing.eventing.v1",
    ("sources.knative.dev/v1", "PingSource"): "knative_eventing.sources.v1",
    ("sinks.knative.dev/v1alpha1", "JobSink"): "knative_eventing.sinks.v1alpha1",
}


def only(required: tuple[str, ...] = (), **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


TEXT, OBJECT = {"type": "string", "minLength": 1}, {"type": "object"}
AMOUNTS = only(("cpu", "memory"), cpu=TEXT, memory=TEXT)
OURS: dict[Kind, dict[str, Any]] = {
    ("rabbitmq.com/v1beta1", "RabbitmqCluster"): only(
        ("image", "replicas", "persistence", "resources", "rabbitmq"),
        image=TEXT,
        replicas={"enum": [1, 3, 5, 7]},  # a quorum needs an odd number
        persistence=only(("storage",), storage=TEXT, storageClassName=TEXT),
        resources=only(("requests", "limits"), requests=AMOUNTS, limits=AMOUNTS),
        rabbitmq=only(additionalConfig=TEXT),
    ),
    ("eventing.knative.dev/v1alpha1", "RabbitmqBrokerConfig"): only(
        ("rabbitmqClusterReference", "queueType"),
        rabbitmqClusterReference=only(("name",), name=TEXT, namespace=TEXT),
        queueType={"enum": ["quorum"]},  # a classic queue is lost with its node
    ),
}


def validate(each: dict[str, Any]) -> None:
    """Raises where the object is not what its kind's schema says. Each distinct object is looked at once."""
    _validate(json.dumps(each, sort_keys=True))


@cache
def _validate(text: str) -> None:
    each = json.loads(text)
    if each["apiVersion"] in CORE:
        kubernetes_validate.validate(each, kubernetes_validate.latest_version(), strict=True)
        return
    for schema in _schemas((each["apiVersion"], each["kind"])):
        schema.validate(each)
    if each["kind"] == "JobSink":  # its schema takes any job
        validate({"apiVersion": "batch/v1", "kind": "Job", "metadata": each["metadata"], **each["spec"]["job"]})


@cache
def _schemas(kind: Kind) -> list[Draft202012Validator]:
    """Raises KeyError for a kind that nobody knows."""
    named = _complete()
    schemas = [_from_cloudcoil(kind) if kind in CLOUDCOIL else _ours(kind), *([named[kind]] if named else [])]
    return [Draft202012Validator(schema) for schema in schemas]


def _from_cloudcoil(kind: Kind) -> dict[str, Any]:
    with warnings.catch_warnings(action="ignore"):  # fields of other kinds that are named like a method
        module = import_module(f"cloudcoil.models.{CLOUDCOIL[kind]}")
    schema: dict[str, Any] = getattr(module, kind[1]).model_json_schema(by_alias=True)
    for inner in _objects(schema):
        inner.setdefault("additionalProperties", False)
        if "backoffDelay" in inner["properties"]:
            inner["properties"]["timeout"] = TEXT  # the API has it; its schema of 1.17 lets it pass without naming it
    return schema


def _ours(kind: Kind) -> dict[str, Any]:
    whole = {"apiVersion": {"const": kind[0]}, "kind": {"const": kind[1]}, "metadata": OBJECT, "spec": OURS[kind]}
    return only(("spec",), **whole)


def _complete() -> dict[Kind, dict[str, Any]]:
    """Those of the folder. Raises FileNotFoundError where it is named and holds none."""
    if FOLDER not in os.environ:
        return {}
    found = [json.loads(path.read_text(encoding="utf-8")) for path in Path(os.environ[FOLDER]).glob("*.json")]
    if not found:
        raise FileNotFoundError(f"{FOLDER} is {os.environ[FOLDER]!r}, where no schema is")
    return {(each["properties"]["apiVersion"]["const"], each["properties"]["kind"]["const"]): each for each in found}


def _objects(schema: Any) -> Iterator[dict[str, Any]]:
    """Every schema inside, at any depth, that lists an object's fields."""
    if isinstance(schema, dict):
        if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
            yield schema
        for inner in schema.values():
            yield from _objects(inner)
    elif isinstance(schema, list):
        for inner in schema:
            yield from _objects(inner)
