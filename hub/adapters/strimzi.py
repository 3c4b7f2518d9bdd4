"""What a cluster should have, as resources for Strimzi on Kubernetes (``kafka.strimzi.io/v1``).

A ``KafkaTopic`` for each topic and a ``KafkaUser`` for each principal with rights, in a fixed order, so that two
exports differ only where what is wanted differs. Names of resources are lower case there: user ``atf`` is agency
``ATF``. Strimzi's user operator sets ACLs and quotas for ``CN=atf`` (``tls-external``: the certificates are ours), so
the listener maps our certificates to that name, by :func:`mapping_rules`. docs/adr/0082.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

import yaml

from hub.cluster import Wanted
from hub.errors import ConfigError
from hub.topics import SUPER_USER, Acl

API_VERSION: Final = "kafka.strimzi.io/v1"

_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?", re.ASCII)
_OPERATIONS: Final = {"READ": "Read", "WRITE": "Write", "DESCRIBE": "Describe", "DESCRIBE_CONFIGS": "DescribeConfigs"}
_QUOTAS: Final = {"producer_byte_rate": "producerByteRate", "consumer_byte_rate": "consumerByteRate"}


class StrimziNameInvalid(ConfigError):
    """A topic or an agency whose name Kubernetes cannot have, or two that are one there."""

    code = "strimzi.name_invalid"


def resources(wanted: Wanted, *, cluster: str, replicas: int, namespace: str | None = None) -> list[dict[str, Any]]:
    """The resources: topics first, then users, each ordered by name. ``cluster`` is the ``Kafka`` resource's name.

    Raises :class:`StrimziNameInvalid`.
    """
    topics = [
        _resource(
            "KafkaTopic",
            topic.name,
            {
                "topicName": topic.name,
                "partitions": topic.partitions,
                "replicas": replicas,
                "config": {
                    name: int(value) if re.fullmatch(r"-?\d+", value) else value for name, value in topic.configs
                },
            },
            cluster,
            namespace,
        )
        for topic in wanted.topics
    ]
    users = [_resource("KafkaUser", who, _user(who, wanted), cluster, namespace) for who in _principals(wanted)]
    for kind in (topics, users):
        names = [resource["metadata"]["name"] for resource in kind]
        for name in names:
            if names.count(name) > 1:
                raise StrimziNameInvalid("two resources of one name: Kubernetes knows no upper case", name=name)
    return topics + users


def mapping_rules(wanted: Wanted) -> str:
    """``ssl.principal.mapping.rules`` of the listener: the principal is what the user operator writes.

    Organisation and name must agree, as ever (docs/adr/0021), and there is no DEFAULT.
    """
    site = "([.][a-z0-9-]{1,32})?"
    return ",".join(f"RULE:^CN={who}{site},O={who}$/CN={who.lower()}/" for who in (*_principals(wanted), SUPER_USER))


def render(found: Iterable[dict[str, Any]]) -> str:
    """YAML, one document a resource."""
    return yaml.safe_dump_all(found, sort_keys=False, explicit_start=True, width=120)


def _principals(wanted: Wanted) -> list[str]:
    return sorted({acl.principal for acl in wanted.acls})


def _resource(kind: str, called: str, spec: dict[str, Any], cluster: str, namespace: str | None) -> dict[str, Any]:
    name = called.lower()
    if not _NAME.fullmatch(name):
        raise StrimziNameInvalid("Kubernetes has no resource of this name", kind=kind, name=called)
    metadata: dict[str, Any] = {"name": name}
    if namespace is not None:
        metadata["namespace"] = namespace
    metadata["labels"] = {"strimzi.io/cluster": cluster}
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": spec}


def _user(principal: str, wanted: Wanted) -> dict[str, Any]:
    granted: dict[tuple[str, str, bool], list[Acl]] = {}
    for acl in wanted.acls:
        if acl.principal == principal:
            granted.setdefault((acl.resource, acl.name, acl.prefixed), []).append(acl)
    spec: dict[str, Any] = {
        "authentication": {"type": "tls-external"},
        "authorization": {
            "type": "simple",
            "acls": [
                {
                    "resource": {"type": "cluster"}  # it has no name there
                    if resource == "CLUSTER"
                    else {
                        "type": resource.lower(),
                        "name": name,
                        "patternType": "prefix" if prefixed else "literal",
                    },
                    "operations": sorted(_OPERATIONS[acl.operation] for acl in acls),
                }
                for (resource, name, prefixed), acls in sorted(granted.items())
            ],
        },
    }
    quotas = {_QUOTAS[quota.name]: quota.rate for quota in wanted.quotas if quota.principal == principal}
    return spec | ({"quotas": quotas} if quotas else {})
