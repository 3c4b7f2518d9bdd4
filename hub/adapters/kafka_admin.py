"""Brings a Kafka cluster in line with schemas/topics: what differs (plan), and making it so (apply).

The client is confluent-kafka, because aiokafka knows no ACLs and no incremental configs (docs/adr/0020). Calls block:
an asyncio program runs them in a thread.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, TypeVar

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ConfigSource,
    NewPartitions,
    NewTopic,
    ResourcePatternType,
    ResourceType,
)

from hub.adapters.tls import TlsFiles
from hub.errors import BusNotAuthorized, BusUnavailable, ConfigError, HubError
from hub.model import AgencyId
from hub.topics import Acl, Declaration, Topic

_SECONDS: Final = 30.0
"""How long a change may take, and then to show."""

_ANSWER_SECONDS: Final = 10.0
"""How long the cluster may take to answer at all."""

_REFUSED: Final = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
}
_AWAY: Final = {
    KafkaError._TRANSPORT,
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError._TIMED_OUT,
    KafkaError._RESOLVE,
    KafkaError.REQUEST_TIMED_OUT,
    KafkaError.NOT_CONTROLLER,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
}

Binding = TypeVar("Binding", AclBinding, AclBindingFilter)

AclKey = tuple[str, str, str, str, str, str, str]
"""Principal, host, operation, permission, resource, pattern, name: an ACL as the cluster holds it."""


@dataclass(frozen=True, slots=True)
class Change:
    """One difference between the declaration and the cluster, and what would end it."""

    action: Literal["create", "change", "remove"]
    kind: Literal["topic", "partitions", "config", "acl"]
    name: str
    before: str | None
    after: str | None

    def __str__(self) -> str:
        sign = {"create": "+", "change": "~", "remove": "-"}[self.action]
        values = " -> ".join(value for value in (self.before, self.after) if value is not None)
        return f"{sign} {self.kind} {self.name}" + (f": {values}" if values else "")

    def as_json(self) -> dict[str, str | None]:
        """For ``--json``."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Cluster:
    """What is there: topics with partitions and the configs that were set on them, and all ACLs."""

    partitions: Mapping[str, int]
    configs: Mapping[str, Mapping[str, str]]
    acls: frozenset[AclKey]


@dataclass(frozen=True, slots=True)
class Plan:
    """The changes, in the order in which they are made, and the topics that nobody declared, which are left alone."""

    changes: tuple[Change, ...]
    undeclared: tuple[str, ...]
    _topics: tuple[Topic, ...]
    _acls: tuple[Acl, ...]
    _create: tuple[AclKey, ...]
    _remove: tuple[AclKey, ...]


def admin_client(bootstrap: str, tls: TlsFiles) -> AdminClient:
    """A client that answers and changes as whoever has these files may. It connects when it is asked something."""
    return AdminClient(
        {
            "bootstrap.servers": bootstrap,
            "security.protocol": "SSL",
            "ssl.ca.location": str(tls.ca),
            "ssl.certificate.location": str(tls.certificate),
            "ssl.key.location": str(tls.key),
            "ssl.endpoint.identification.algorithm": "https",
            "enable.ssl.certificate.verification": True,
            "log_level": 0,
            "reconnect.backoff.ms": 50,
            "reconnect.backoff.max.ms": 500,
        },
        logger=None,
    )


class KafkaAdmin:
    """The operator's hand on one cluster. ``tls`` are the operator's files."""

    def __init__(self, bootstrap: str, tls: TlsFiles) -> None:
        tls.check()
        self._bootstrap = bootstrap
        self._client = admin_client(bootstrap, tls)

    def check(self, *, seconds: float = _ANSWER_SECONDS) -> None:
        """Return when the cluster answered us. Raises :class:`BusUnavailable` if it did not in time."""
        try:
            self._client.list_topics(timeout=seconds)
        except KafkaException as error:
            raise translate(error, self._bootstrap) from error

    def read(self) -> Cluster:
        """The cluster's topics (without Kafka's own), configs and ACLs."""
        try:
            metadata = self._client.list_topics(timeout=_ANSWER_SECONDS)
        except KafkaException as error:
            raise translate(error, self._bootstrap) from error
        partitions = {name: len(topic.partitions) for name, topic in metadata.topics.items() if name[:2] != "__"}
        configs: dict[str, Mapping[str, str]] = {}
        resources = [ConfigResource(ConfigResource.Type.TOPIC, name) for name in partitions]
        if resources:
            for resource, future in self._client.describe_configs(resources).items():
                configs[resource.name] = {
                    entry.name: entry.value
                    for entry in self._result(future).values()
                    if entry.source == ConfigSource.DYNAMIC_TOPIC_CONFIG.value
                }
        return Cluster(partitions, configs, self._read_acls())

    def plan(self, declaration: Declaration, agencies: Iterable[AgencyId]) -> Plan:
        """What ``apply`` would do so that the cluster is as declared for these agencies."""
        members = tuple(agencies)
        return plan_changes(self.read(), declaration.topics(members), declaration.acls(members))

    def apply(self, plan: Plan) -> None:
        """Make the changes, and return when the cluster shows them: a plan made then is empty.

        May be called again after a failure: a new plan has what is left.
        Raises :class:`BusUnavailable`, :class:`BusNotAuthorized`, :class:`ConfigError` (the cluster refuses a value).
        """
        wanted = {topic.name: topic for topic in plan._topics}
        new = [change.name for change in plan.changes if change.kind == "topic"]
        self._wait_all(
            self._client.create_topics(
                [
                    NewTopic(name, num_partitions=wanted[name].partitions, config=dict(wanted[name].configs))
                    for name in new
                ],
                operation_timeout=_SECONDS,
            )
            if new
            else {}
        )
        grown = [change.name for change in plan.changes if change.kind == "partitions"]
        if grown:
            self._wait_all(
                self._client.create_partitions([NewPartitions(name, wanted[name].partitions) for name in grown])
            )
        self._apply_configs(plan)
        if plan._remove:
            self._wait_all(self._client.delete_acls([_binding(key, AclBindingFilter) for key in plan._remove]))
        if plan._create:
            self._wait_all(self._client.create_acls([_binding(key, AclBinding) for key in plan._create]))
        deadline = time.monotonic() + _SECONDS
        while left := plan_changes(self.read(), plan._topics, plan._acls).changes:
            if time.monotonic() > deadline:
                raise BusUnavailable("changes were made but do not show yet", bootstrap=self._bootstrap, left=len(left))
            time.sleep(0.05)  # the controller answers before the brokers have followed its log

    def _apply_configs(self, plan: Plan) -> None:
        resources: dict[str, ConfigResource] = {}
        for change in plan.changes:
            if change.kind != "config":
                continue
            topic, name = change.name.split(" ", 1)
            operation = AlterConfigOpType.DELETE if change.action == "remove" else AlterConfigOpType.SET
            entry = ConfigEntry(name, change.after, incremental_operation=operation)
            resource = resources.setdefault(topic, ConfigResource(ConfigResource.Type.TOPIC, topic))
            resource.add_incremental_config(entry)
        if resources:
            self._wait_all(self._client.incremental_alter_configs(list(resources.values())))

    def _read_acls(self) -> frozenset[AclKey]:
        any_value: Any = None  # the library's stub does not know that a filter's text may be left open
        everything = AclBindingFilter(
            ResourceType.ANY,
            any_value,
            ResourcePatternType.ANY,
            any_value,
            any_value,
            AclOperation.ANY,
            AclPermissionType.ANY,
        )
        found = self._result(self._client.describe_acls(everything))
        return frozenset(
            (
                acl.principal,
                acl.host,
                acl.operation.name,
                acl.permission_type.name,
                acl.restype.name,
                acl.resource_pattern_type.name,
                acl.name,
            )
            for acl in found
        )

    def _wait_all(self, futures: Mapping[Any, Future[Any]]) -> None:
        for future in futures.values():
            self._result(future)

    def _result(self, future: Future[Any]) -> Any:
        try:
            return future.result(_SECONDS)
        except KafkaException as error:
            raise translate(error, self._bootstrap) from error
        except TimeoutError as error:
            raise BusUnavailable("the cluster did not answer in time", bootstrap=self._bootstrap) from error


def translate(error: KafkaException, bootstrap: str) -> HubError:
    """Our error for the library's: by whether the world, the certificate or the request is to blame."""
    cause = error.args[0]
    facts = {"bootstrap": bootstrap, "kafka": cause.name()}
    if cause.code() in _REFUSED:
        return BusNotAuthorized(f"the cluster refuses: {cause.str()}", **facts)
    if cause.retriable() or cause.code() in _AWAY:
        return BusUnavailable(f"the cluster cannot be reached: {cause.str()}", **facts)
    return ConfigError(f"the cluster refuses: {cause.str()}", **facts)


def plan_changes(cluster: Cluster, topics: Iterable[Topic], acls: Iterable[Acl]) -> Plan:
    """The pure part of planning: what differs. Topics that nobody declared are named and left alone, because removing
    one would destroy records; ACLs that nobody declared are removed."""
    wanted = tuple(topics)
    changes: list[Change] = []
    for topic in wanted:
        if topic.name not in cluster.partitions:
            changes.append(Change("create", "topic", topic.name, None, f"{topic.partitions} partitions"))
            continue
        here = cluster.partitions[topic.name]
        if here < topic.partitions:
            changes.append(Change("change", "partitions", topic.name, str(here), str(topic.partitions)))
        elif here > topic.partitions:
            raise ConfigError(
                "a topic has more partitions than declared, and Kafka cannot take any away: declare as many",
                topic=topic.name,
                declared=topic.partitions,
                found=here,
            )
        changes += _config_changes(topic, cluster.configs.get(topic.name, {}))
    declared = {_key(acl): acl for acl in acls}
    create = tuple(sorted(declared.keys() - cluster.acls))
    remove = tuple(sorted(cluster.acls - declared.keys()))
    changes += [Change("remove", "acl", _describe(key), None, None) for key in remove]
    changes += [Change("create", "acl", _describe(key), None, None) for key in create]
    undeclared = tuple(sorted(cluster.partitions.keys() - {topic.name for topic in wanted}))
    return Plan(tuple(changes), undeclared, wanted, tuple(declared.values()), create, remove)


def _config_changes(topic: Topic, found: Mapping[str, str]) -> list[Change]:
    declared = dict(topic.configs)
    changes: list[Change] = []
    for name in sorted(declared.keys() | found.keys()):
        before, after = found.get(name), declared.get(name)
        if before == after:
            continue
        action: Literal["create", "change", "remove"] = (
            "create" if before is None else "remove" if after is None else "change"
        )
        changes.append(Change(action, "config", f"{topic.name} {name}", before, after))
    return changes


def _key(acl: Acl) -> AclKey:
    pattern = "PREFIXED" if acl.prefixed else "LITERAL"
    return (f"User:{acl.principal}", "*", acl.operation, "ALLOW", acl.resource, pattern, acl.name)


def _describe(key: AclKey) -> str:
    principal, host, operation, permission, resource, pattern, name = key
    where = "" if host == "*" else f" from {host}"
    return f"{principal} {permission} {operation} {resource} {name}{'*' if pattern == 'PREFIXED' else ''}{where}"


def _binding(key: AclKey, kind: type[Binding]) -> Binding:
    principal, host, operation, permission, resource, pattern, name = key
    return kind(
        ResourceType[resource],
        name,
        ResourcePatternType[pattern],
        principal,
        host,
        AclOperation[operation],
        AclPermissionType[permission],
    )
