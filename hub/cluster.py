"""What a Kafka cluster should have, what it has, and what differs: the pure part of ``hub broker plan``.

    wanted = wanted_by(directory, Declaration.load())      # or wanted_for(agencies, declaration)
    plan = plan_changes(cluster, wanted)                   # hub/adapters/kafka_admin.py reads and changes clusters

An active agency has its topics, permissions and quotas. A suspended one keeps its topics, and what is in them, and has
nothing else: deny by default does the rest. What nobody declared is removed, but for topics: removing one destroys
records, so it is named and left alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Final, Literal

from hub.errors import RejectedError
from hub.model import HUB, AgencyId
from hub.topics import Acl, Declaration, Quota, Topic
from hub.trust.directory import Directory

AclKey = tuple[str, str, str, str, str, str, str]
"""Principal, host, operation, permission, resource, pattern, name: an ACL as the cluster holds it."""

Entity = tuple[tuple[str, str | None], ...]
"""Whom a quota is for, as the cluster holds it: kinds with names, ordered; ``None``: all with none of their own."""

QuotaKey = tuple[Entity, str]
"""Whom it is for, and Kafka's name of the quota."""

Action = Literal["create", "change", "remove"]
Kind = Literal["topic", "partitions", "config", "acl", "quota"]

_SIGNS: Final[Mapping[Action, str]] = {"create": "+", "change": "~", "remove": "-"}


class DirectoryOlder(RejectedError):
    """The cluster was brought in line with a newer directory than this one: an old one would give rights back."""

    code = "broker.directory_older"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a cluster should have. ``directory`` is the version of the directory that says so, where one does."""

    topics: tuple[Topic, ...]
    acls: tuple[Acl, ...]
    quotas: tuple[Quota, ...] = ()
    directory: int | None = None


@dataclass(frozen=True, slots=True)
class Applied:
    """What was made so last, as the cluster remembers it. ``directory``: the highest version that was applied."""

    at_ms: int
    directory: int | None
    partitions: Mapping[str, int]
    configs: Mapping[str, Mapping[str, str]]
    acls: frozenset[AclKey]
    quotas: Mapping[QuotaKey, float]


@dataclass(frozen=True, slots=True)
class Cluster:
    """What is there: topics with partitions and the configs that were set on them, all ACLs, all quotas."""

    partitions: Mapping[str, int]
    configs: Mapping[str, Mapping[str, str]]
    acls: frozenset[AclKey]
    quotas: Mapping[QuotaKey, float] = field(default_factory=dict)
    applied: Applied | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """One difference between what is wanted and the cluster, and what would end it.

    ``drift``: it was as it should be when a plan was last applied, so someone else has changed it since.
    """

    action: Action
    kind: Kind
    name: str
    before: str | None
    after: str | None
    drift: bool = False

    def __str__(self) -> str:
        values = " -> ".join(value for value in (self.before, self.after) if value is not None)
        line = f"{_SIGNS[self.action]} {self.kind} {self.name}" + (f": {values}" if values else "")
        return line + ("  # someone else has changed this" if self.drift else "")

    def as_json(self) -> dict[str, str | bool | None]:
        """For ``--json``."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Plan:
    """What differs, in the order in which it is changed, and the same as work to do.

    ``undeclared`` are topics that nobody declared, which are left alone; ``cannot`` says in words what differs and
    cannot be changed.
    """

    changes: tuple[Change, ...]
    undeclared: tuple[str, ...]
    cannot: tuple[str, ...]
    wanted: Wanted
    applied: Applied | None
    remove_acls: tuple[AclKey, ...]
    create_topics: tuple[Topic, ...]
    grow_topics: tuple[Topic, ...]
    set_configs: tuple[tuple[str, str, str | None], ...]
    set_quotas: tuple[tuple[Entity, str, float | None], ...]
    create_acls: tuple[AclKey, ...]

    def summary(self) -> str:
        """One line: how much there is to do."""
        if not self.changes:
            return "nothing to change"
        count = {action: sum(change.action == action for change in self.changes) for action in _SIGNS}
        text = f"Plan: {count['create']} to create, {count['change']} to change, {count['remove']} to remove"
        drifted = sum(change.drift for change in self.changes)
        return text + (f"; {drifted} of them changed by someone else" if drifted else "")

    def forgetting_newer(self) -> Plan:
        """The same plan for someone who knows that the newer directory that was applied must not count (unsafe)."""
        applied = None if self.applied is None else replace(self.applied, directory=None)
        return replace(self, applied=applied)

    def check_not_older(self) -> None:
        """Raises :class:`DirectoryOlder` where a newer directory was applied to this cluster already."""
        mine, theirs = self.wanted.directory, self.applied.directory if self.applied else None
        if mine is not None and theirs is not None and mine < theirs:
            raise DirectoryOlder(
                "a newer directory was applied to this cluster; this one would give rights back",
                version=mine,
                applied=theirs,
            )


def wanted_for(agencies: Iterable[AgencyId], declaration: Declaration, *, suspended: Iterable[AgencyId] = ()) -> Wanted:
    """What a cluster should have for these agencies; the ``suspended`` ones keep their topics."""
    active = sorted(set(agencies))
    return Wanted(declaration.topics({*active, *suspended}), declaration.acls(active), declaration.quotas(active))


def wanted_by(directory: Directory, declaration: Declaration) -> Wanted:
    """What a cluster should have when ``directory`` is in force. The hub has rights as an agency has them: while it is
    listed and active."""
    active = [agency for agency, entry in directory.entries.items() if entry.active]
    wanted = wanted_for(active, declaration, suspended=directory.entries.keys() - set(active))
    acls = tuple(acl for acl in wanted.acls if acl.principal != HUB or HUB in active)
    return Wanted(wanted.topics, acls, wanted.quotas, directory.version)


def plan_changes(cluster: Cluster, wanted: Wanted) -> Plan:
    """What differs. First what takes rights away, last what gives some, so that no step leaves more than was wanted."""
    applied = cluster.applied
    acls = {acl_key(acl) for acl in wanted.acls}
    quotas: dict[QuotaKey, float] = {quota_key(quota): float(quota.rate) for quota in wanted.quotas}
    remove = tuple(sorted(cluster.acls - acls))
    create = tuple(sorted(acls - cluster.acls))
    changes = [_acl_change("remove", key, applied) for key in remove]
    new: list[Topic] = []
    grown: list[Topic] = []
    configs: list[tuple[str, str, str | None]] = []
    cannot: list[str] = []
    for topic in wanted.topics:
        here = cluster.partitions.get(topic.name)
        if here is None:
            new.append(topic)
            changes.append(_topic_change(topic, applied))
            continue
        if here < topic.partitions:
            grown.append(topic)
            drift = applied is not None and applied.partitions.get(topic.name) == topic.partitions
            changes.append(Change("change", "partitions", topic.name, str(here), str(topic.partitions), drift))
        elif here > topic.partitions:
            cannot.append(
                f"topic {topic.name} has {here} partitions and {topic.partitions} are declared: Kafka takes none away; "
                "declare as many"
            )
        for change, item in _config_changes(topic, cluster.configs.get(topic.name, {}), applied):
            changes.append(change)
            configs.append(item)
    limits = list(_quota_changes(quotas, cluster.quotas, applied))
    changes += [change for change, _ in limits]
    changes += [_acl_change("create", key, applied) for key in create]
    return Plan(
        tuple(changes),
        tuple(sorted(cluster.partitions.keys() - {topic.name for topic in wanted.topics})),
        tuple(cannot),
        wanted,
        applied,
        remove,
        tuple(new),
        tuple(grown),
        tuple(configs),
        tuple(item for _, item in limits),
        create,
    )


def applied_by(plan: Plan, *, at_ms: int) -> Applied:
    """What to remember when ``plan`` has been carried out. The directory's version never goes back."""
    wanted = plan.wanted
    versions = [wanted.directory, plan.applied.directory if plan.applied else None]
    known = [version for version in versions if version is not None]
    return Applied(
        at_ms,
        max(known) if known else None,
        {topic.name: topic.partitions for topic in wanted.topics},
        {topic.name: dict(topic.configs) for topic in wanted.topics},
        frozenset(map(acl_key, wanted.acls)),
        {quota_key(quota): float(quota.rate) for quota in wanted.quotas},
    )


def acl_key(acl: Acl) -> AclKey:
    """An ACL as the cluster holds it."""
    pattern = "PREFIXED" if acl.prefixed else "LITERAL"
    resource = "BROKER" if acl.resource == "CLUSTER" else acl.resource  # as librdkafka calls it
    return (f"User:{acl.principal}", "*", acl.operation, "ALLOW", resource, pattern, acl.name)


def quota_key(quota: Quota) -> QuotaKey:
    """A quota as the cluster holds it."""
    return ((("user", quota.principal),), quota.name)


# --- one change each --------------------------------------------------------------------------------------------------


def _topic_change(topic: Topic, applied: Applied | None) -> Change:
    configs = " ".join(f"{name}={value}" for name, value in topic.configs)
    drift = applied is not None and topic.name in applied.partitions
    return Change("create", "topic", topic.name, None, f"{topic.partitions} partitions; {configs}", drift)


def _acl_change(action: Action, key: AclKey, applied: Applied | None) -> Change:
    # To be created though it was made once: someone took it away. To be removed though it never was: someone gave it.
    drift = applied is not None and (key in applied.acls) == (action == "create")
    principal, host, operation, permission, resource, pattern, name = key
    where = "" if host == "*" else f" from {host}"
    words = f"{principal} {permission} {operation} {resource} {name}{'*' if pattern == 'PREFIXED' else ''}{where}"
    return Change(action, "acl", words, None, None, drift)


def _config_changes(
    topic: Topic, found: Mapping[str, str], applied: Applied | None
) -> Iterable[tuple[Change, tuple[str, str, str | None]]]:
    declared = dict(topic.configs)
    made = applied.configs.get(topic.name) if applied is not None else None
    for name in sorted(declared.keys() | found.keys()):
        before, after = found.get(name), declared.get(name)
        if before != after:
            drift = made is not None and made.get(name) == after
            yield (
                Change(_action(before, after), "config", f"{topic.name} {name}", before, after, drift),
                (topic.name, name, after),
            )


def _quota_changes(
    wanted: Mapping[QuotaKey, float], found: Mapping[QuotaKey, float], applied: Applied | None
) -> Iterable[tuple[Change, tuple[Entity, str, float | None]]]:
    for key in sorted(wanted.keys() | found.keys(), key=str):
        before, after = found.get(key), wanted.get(key)
        if before != after:
            entity, name = key
            drift = applied is not None and applied.quotas.get(key) == after
            who = " ".join(f"{kind} {one or '(all others)'}" for kind, one in entity)
            yield (
                Change(_action(before, after), "quota", f"{who} {name}", _rate(before), _rate(after), drift),
                (entity, name, after),
            )


def _action(before: object, after: object) -> Action:
    return "create" if before is None else "remove" if after is None else "change"


def _rate(value: float | None) -> str | None:
    return None if value is None else f"{value:.15g}"
