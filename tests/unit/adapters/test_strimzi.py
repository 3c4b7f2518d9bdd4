"""The export for Strimzi: its v1 schema's names and values, what an auditor compares, and nothing by chance."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml

from hub.adapters.strimzi import StrimziNameInvalid, mapping_rules, render, resources
from hub.cluster import Wanted, wanted_by, wanted_for
from hub.model import AgencyId
from hub.topics import Acl, Declaration, Topic
from tests.support.authority import World
from tests.support.command import hub

DECLARATION = Declaration.load()
WANTED = wanted_for([AgencyId("ATF"), AgencyId("JCF-X")], DECLARATION)


def exported(wanted: Wanted = WANTED) -> dict[tuple[str, str], Any]:
    found = list(yaml.safe_load_all(render(resources(wanted, cluster="hub", replicas=3, namespace="cgi"))))
    return {(each["kind"], each["metadata"]["name"]): each for each in found}


def test_a_topic() -> None:
    assert exported()["KafkaTopic", "ingest.jcf-x"] == {
        "apiVersion": "kafka.strimzi.io/v1",
        "kind": "KafkaTopic",
        "metadata": {"name": "ingest.jcf-x", "namespace": "cgi", "labels": {"strimzi.io/cluster": "hub"}},
        "spec": {
            "topicName": "ingest.JCF-X",
            "partitions": 3,
            "replicas": 3,
            "config": {
                "cleanup.policy": "delete",
                "compression.type": "uncompressed",
                "max.message.bytes": 1048576,
                "message.timestamp.type": "LogAppendTime",
                "retention.bytes": -1,
                "retention.ms": 2592000000,
            },
        },
    }


def test_a_user() -> None:
    user = exported()["KafkaUser", "atf"]
    assert user["spec"]["authentication"] == {"type": "tls-external"}
    assert user["spec"]["authorization"] == {
        "type": "simple",
        "acls": [
            {"resource": {"type": "group", "name": "ATF.", "patternType": "prefix"}, "operations": ["Read"]},
            {"resource": {"type": "topic", "name": "deliver.ATF", "patternType": "literal"}, "operations": ["Read"]},
            {"resource": {"type": "topic", "name": "hub.directory", "patternType": "literal"}, "operations": ["Read"]},
            {"resource": {"type": "topic", "name": "ingest.ATF", "patternType": "literal"}, "operations": ["Write"]},
        ],
    }
    assert user["spec"]["quotas"] == {"consumerByteRate": 20971520, "producerByteRate": 10485760}
    assert "quotas" not in exported()["KafkaUser", "hub"]["spec"]


def test_every_right_is_exported_once_and_none_besides() -> None:
    back = set()
    for (kind, name), resource in exported().items():
        if kind == "KafkaUser":
            for acl in resource["spec"]["authorization"]["acls"]:
                where = acl["resource"]
                for operation in acl["operations"]:
                    prefixed = where.get("patternType") == "prefix"
                    right = "DESCRIBE_CONFIGS" if operation == "DescribeConfigs" else operation.upper()
                    back.add((name, right, where["type"].upper(), where.get("name", "kafka-cluster"), prefixed))
    assert back == {(acl.principal.lower(), acl.operation, acl.resource, acl.name, acl.prefixed) for acl in WANTED.acls}


def test_two_exports_are_the_same_bytes_whatever_the_order_of_the_agencies() -> None:
    other = wanted_for([AgencyId("JCF-X"), AgencyId("ATF")], Declaration.load())
    assert render(resources(WANTED, cluster="hub", replicas=3)) == render(resources(other, cluster="hub", replicas=3))


def test_a_suspended_agency_has_topics_and_is_no_user() -> None:
    world = World.of("ATF", "JCF")
    world.suspend("JCF")
    wanted = wanted_by(world.directory(), DECLARATION)
    found = exported(wanted)
    assert ("KafkaTopic", "deliver.jcf") in found
    assert ("KafkaUser", "jcf") not in found
    assert "JCF" not in mapping_rules(wanted)


def principal(rules: str, subject: str) -> str | None:
    """What the listener makes of a certificate's subject: the first rule that takes all of it."""
    for rule in re.findall(r"RULE:(.*?)/(.*?)/(?:,|$)", rules):
        if re.fullmatch(rule[0], subject):
            return str(rule[1])
    return None


def test_the_listeners_rules_name_the_users_and_refuse_all_else() -> None:
    rules = mapping_rules(WANTED)
    users = {f"CN={name}" for kind, name in exported() if kind == "KafkaUser"}
    for subject, user in (
        ("CN=ATF,O=ATF", "CN=atf"),
        ("CN=ATF.desk-1,O=ATF", "CN=atf"),
        ("CN=JCF-X,O=JCF-X", "CN=jcf-x"),
        ("CN=HUB,O=HUB", "CN=hub"),
    ):
        assert principal(rules, subject) == user
        assert user in users
    assert principal(rules, "CN=operator.node-1,O=operator") == "CN=operator"
    for subject in ("CN=atf,O=atf", "CN=ATF,O=JCF-X", "CN=JCF,O=JCF", "CN=ATF", "CN=ATF,O=ATF,C=US", "CN=ATF CA,O=ATF"):
        assert principal(rules, subject) is None


@pytest.mark.parametrize(
    "wanted",
    [
        Wanted((Topic("ingest.A-", 1, ()),), ()),
        Wanted((), (Acl("ATF-", "READ", "TOPIC", "x"),)),
        Wanted((), (Acl("CONSOLE", "READ", "TOPIC", "x"), Acl("console", "READ", "TOPIC", "x"))),
    ],
)
def test_a_name_that_kubernetes_cannot_have(wanted: Wanted) -> None:
    with pytest.raises(StrimziNameInvalid):
        resources(wanted, cluster="hub", replicas=3)


def test_the_command(tmp_path: Path) -> None:
    ran = hub("broker export --strimzi --agency ATF --cluster hub --namespace cgi --replicas 1")
    assert ran.code == 0
    documents = list(yaml.safe_load_all(ran.out))
    assert {each["kind"] for each in documents} == {"KafkaTopic", "KafkaUser"}
    assert "# ssl.principal.mapping.rules: RULE:^CN=ATF" in ran.out
    as_json = hub("broker export --strimzi --agency ATF --cluster hub --namespace cgi --replicas 1 --json").json
    assert as_json["resources"] == documents
    assert hub("broker export --strimzi --cluster hub").code == 2


# --- the schema of Strimzi --------------------------------------------------------------------------------------------

_USER = {
    "authentication": {"const": {"type": "tls-external"}},
    "authorization": {
        "type": "object",
        "required": ["acls", "type"],
        "additionalProperties": False,
        "properties": {
            "type": {"const": "simple"},
            "acls": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["resource", "operations"],
                    "additionalProperties": False,
                    "properties": {
                        "resource": {
                            "type": "object",
                            "required": ["type"],
                            "additionalProperties": False,
                            "properties": {
                                "type": {"enum": ["topic", "group", "cluster", "transactionalId"]},
                                "name": {"type": "string"},
                                "patternType": {"enum": ["literal", "prefix"]},
                            },
                        },
                        "operations": {
                            "type": "array",
                            "items": {"enum": ["Read", "Write", "Describe", "DescribeConfigs"]},
                        },
                    },
                },
            },
        },
    },
    "quotas": {
        "type": "object",
        "additionalProperties": False,
        "properties": {name: {"type": "integer", "minimum": 0} for name in ("producerByteRate", "consumerByteRate")},
    },
}
_TOPIC = {
    "topicName": {"type": "string"},
    "partitions": {"type": "integer", "minimum": 1},
    "replicas": {"type": "integer", "minimum": 1, "maximum": 32767},
    "config": {"type": "object"},
}


def test_it_has_the_fields_of_v1_and_no_others() -> None:
    for (kind, _), resource in exported().items():
        fields = _TOPIC if kind == "KafkaTopic" else _USER
        jsonschema.validate(resource["spec"], {"type": "object", "additionalProperties": False, "properties": fields})


@pytest.mark.skipif("STRIMZI_CRDS" not in os.environ, reason="STRIMZI_CRDS names no folder with Strimzi's own CRDs")
def test_strimzis_own_definitions_take_it() -> None:
    definitions = {}
    for path in Path(os.environ["STRIMZI_CRDS"]).glob("*.yaml"):
        crd = yaml.safe_load(path.read_text())
        for version in crd["spec"]["versions"]:
            definitions[crd["spec"]["names"]["kind"], version["name"]] = version["schema"]["openAPIV3Schema"]
    for (kind, _), resource in exported().items():
        jsonschema.validate(resource, _closed(definitions[kind, "v1"]))


def _closed(schema: Any) -> Any:
    """As Kubernetes reads it: a field that is not declared is none."""
    if isinstance(schema, dict):
        closed = {key: _closed(value) for key, value in schema.items()}
        if (
            closed.get("type") == "object"
            and "properties" in closed
            and "x-kubernetes-preserve-unknown-fields" not in closed
        ):
            closed.setdefault("additionalProperties", False)
        return closed
    return [_closed(each) for each in schema] if isinstance(schema, list) else schema
