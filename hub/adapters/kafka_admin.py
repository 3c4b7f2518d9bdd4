"""Brings a Kafka cluster in line with what is wanted (hub/cluster.py): what differs (plan), and making it so (apply).

The client is confluent-kafka, because aiokafka knows no ACLs and no incremental configs (docs/adr/0020). Calls block:
an asyncio program runs them in a thread.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, TypeVar

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

from hub.adapters import kafka_applied
from hub.adapters.kafka_quotas import alter_quotas, read_quotas
from hub.adapters.tls import TlsFiles
from hub.cluster import AclKey, Applied, Cluster, Plan, Wanted, applied_by, plan_changes, wanted_for
from hub.errors import BusNotAuthorized, BusUnavailable, ConfigError, HubError
from hub.model import AgencyId
from hub.topics import APPLIED, Declaration

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


def admin_client(bootstrap: str, tls: TlsFiles) -> AdminClient:
    """A client that answers and changes as whoever has these files may. It connects when it is asked something."""
    return AdminClient(_configuration(bootstrap, tls), logger=None)


def _configuration(bootstrap: str, tls: TlsFiles) -> dict[str, Any]:
    password = tls.key_password()
    return {
        **({} if password is None else {"ssl.key.password": password.decode()}),
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
    }


class KafkaAdmin:
    """The operator's hand on one cluster. ``tls`` are the operator's files."""

    def __init__(self, bootstrap: str, tls: TlsFiles) -> None:
        tls.check()
        self._bootstrap = bootstrap
        self._tls = tls
        self._client = admin_client(bootstrap, tls)

    def check(self, *, seconds: float = _ANSWER_SECONDS) -> None:
        """Return when the cluster answered us. Raises :class:`BusUnavailable` if it did not in time."""
        try:
            self._client.list_topics(timeout=seconds)
        except KafkaException as error:
            raise translate(error, self._bootstrap) from error

    def read(self) -> Cluster:
        """The cluster's topics (without Kafka's own), configs, ACLs and quotas, and what was applied to it last."""
        live = self._read_live()
        if APPLIED not in live.partitions:
            return live
        try:
            return replace(live, applied=kafka_applied.read_applied(_configuration(self._bootstrap, self._tls)))
        except KafkaException as error:
            raise translate(error, self._bootstrap) from error

    def _read_live(self) -> Cluster:
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
        # Before the ACLs, for it says where we may not: librdkafka shows a refusal to show the ACLs as an empty list.
        quotas = read_quotas(self._bootstrap, self._tls)
        return Cluster(partitions, configs, self._read_acls(), quotas)

    def plan(self, declaration: Declaration, agencies: Iterable[AgencyId]) -> Plan:
        """What ``apply`` would do so that the cluster is as declared for these agencies."""
        return self.plan_for(wanted_for(agencies, declaration))

    def plan_for(self, wanted: Wanted) -> Plan:
        """What ``apply`` would do so that the cluster is as wanted."""
        return plan_changes(self.read(), wanted)

    def apply(self, plan: Plan) -> None:
        """Make the changes, and return when the cluster shows them: a plan made then has no changes.

        Rights are taken away first and given last. May be called again after a failure: a new plan has what is left.
        What the plan says it ``cannot`` do is left. Raises :class:`BusUnavailable`, :class:`BusNotAuthorized`,
        :class:`ConfigError` (the cluster refuses a value), ``DirectoryOlder``.
        """
        plan.check_not_older()
        if plan.remove_acls:
            self._wait_all(self._client.delete_acls([_binding(key, AclBindingFilter) for key in plan.remove_acls]))
        new = [
            NewTopic(topic.name, num_partitions=topic.partitions, config=dict(topic.configs))
            for topic in plan.create_topics
        ]
        if new:
            self._wait_all(self._client.create_topics(new, operation_timeout=_SECONDS))
        grown = [NewPartitions(topic.name, topic.partitions) for topic in plan.grow_topics]
        if grown:
            self._wait_all(self._client.create_partitions(grown))
        self._apply_configs(plan)
        if plan.set_quotas:
            alter_quotas(self._bootstrap, self._tls, plan.set_quotas)
        if plan.create_acls:
            self._wait_all(self._client.create_acls([_binding(key, AclBinding) for key in plan.create_acls]))
        self._wait_until_shown(plan.wanted)
        self._remember(plan)

    def reload_keystore(self, node: int, keystore: Path, listeners: Iterable[str]) -> None:
        """Make a node read its keystore's file again, for new connections to these listeners; open ones go on.

        ``keystore`` is the path as the node has it. Kafka looks at the file when the setting is set, to the same path
        too. The node may need a moment more. Raises as :meth:`apply` does.
        """
        entries = [
            ConfigEntry(
                f"listener.name.{listener}.ssl.keystore.location",
                str(keystore),
                incremental_operation=AlterConfigOpType.SET,
            )
            for listener in listeners
        ]
        resource = ConfigResource(ConfigResource.Type.BROKER, str(node), incremental_configs=entries)
        self._wait_all(self._client.incremental_alter_configs([resource]))

    def _wait_until_shown(self, wanted: Wanted) -> None:
        """The controller answers before the brokers have followed its log, and a new topic has no leader at first."""
        deadline = time.monotonic() + _SECONDS
        while True:
            try:
                left = len(plan_changes(self._read_live(), wanted).changes)
            except BusUnavailable:
                if time.monotonic() > deadline:
                    raise
            else:
                if not left:
                    return
                if time.monotonic() > deadline:
                    raise BusUnavailable("changes were made but do not show yet", bootstrap=self._bootstrap, left=left)
            time.sleep(0.05)

    def _remember(self, plan: Plan) -> None:
        applied = applied_by(plan, at_ms=kafka_applied.now_ms())
        if APPLIED not in applied.partitions or (plan.applied is not None and _same(plan.applied, applied)):
            return
        try:
            kafka_applied.write_applied(_configuration(self._bootstrap, self._tls), applied)
        except KafkaException as error:
            raise translate(error, self._bootstrap) from error

    def _apply_configs(self, plan: Plan) -> None:
        resources: dict[str, ConfigResource] = {}
        for topic, name, value in plan.set_configs:
            operation = AlterConfigOpType.DELETE if value is None else AlterConfigOpType.SET
            entry = ConfigEntry(name, value, incremental_operation=operation)
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


def _same(one: Applied, other: Applied) -> bool:
    return replace(one, at_ms=0) == replace(other, at_ms=0)


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
