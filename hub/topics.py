"""The topics, their settings, and who may do what: read from schemas/topics/*.yaml, the only place where that is said.

Pure but for ``load``, which reads files. hub/cluster.py compares a cluster with it, hub/adapters/kafka_admin.py makes
one conform.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hub.errors import ConfigError
from hub.model import HUB, AgencyId, NameInvalid, parse_agency_id

QUARANTINE: Final = "hub.quarantine"
HEARTBEAT: Final = "hub.heartbeat"
DIRECTORY: Final = "hub.directory"
"""The signed directory, file by file: only the operator writes, each active agency and the hub read."""
AUDIT: Final = "hub.audit"
"""What operators did in the console: it may append, and nobody may change anything."""
RETRY: Final = "hub.retry"
"""Refused records that the console gives back to the routers."""
APPLIED: Final = "hub.applied"
"""What ``hub broker apply`` made last."""
ROUTER_GROUP: Final = "hub.router"
INGEST_PATTERN: Final = r"ingest\.[A-Z][A-Z0-9-]{1,31}"
"""All ingest topics, for a consumer that follows agencies that join."""
ROUTER_PATTERN: Final = rf"(?:{INGEST_PATTERN}|hub\.retry)"
"""What a router reads: the ingest topics, and what an operator gives back."""

_INGEST: Final = "ingest."
_DELIVER: Final = "deliver."
_PREFIXES: Final[tuple[tuple[str, Literal["ingest", "deliver"]], ...]] = ((_INGEST, "ingest"), (_DELIVER, "deliver"))
_FOLDER: Final = Path(__file__).parent / "_schemas" / "topics"
_GROUP_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}", re.ASCII)
_PLACE: Final = "{agency}"
_QUOTAS_FILE: Final = "quotas.yaml"
SUPER_USER: Final = "operator"
"""May do everything (``super.users``), and so stands in no permission."""
EXPORTER: Final = "exporter"
"""Looks at the whole cluster for Prometheus, and can neither read nor change anything of it."""


class TopicsInvalid(ConfigError):
    """A file in schemas/topics is not a declaration."""

    code = "topics.invalid"


def ingest_topic(agency: AgencyId) -> str:
    """Where ``agency`` publishes."""
    return _INGEST + agency


def deliver_topic(agency: AgencyId) -> str:
    """Where ``agency`` reads what it was sent."""
    return _DELIVER + agency


def ingest_owner(topic: str) -> AgencyId:
    """The agency that alone can write to this ingest topic. Raises :class:`NameInvalid` for any other topic."""
    if not topic.startswith(_INGEST):
        raise NameInvalid("not a topic ingest.<agency>", value=topic[:80])
    return parse_agency_id(topic.removeprefix(_INGEST))


def flow_topic(topic: str) -> tuple[Literal["ingest", "deliver"], AgencyId] | None:
    """Which way a topic goes and whose it is; None for one that is neither an ingest nor a delivery topic."""
    for prefix, kind in _PREFIXES:
        if topic.startswith(prefix):
            try:
                return kind, parse_agency_id(topic.removeprefix(prefix))
            except NameInvalid:
                return None
    return None


def consumer_group(agency: AgencyId, name: str) -> str:
    """A consumer group of ``agency``: ``ATF.tracing``. Raises :class:`ConfigError` for a name of another form."""
    if not _GROUP_NAME.fullmatch(name):
        raise ConfigError("not the name of a consumer group ([a-z0-9][a-z0-9._-]{0,63})", name=name[:70])
    return f"{agency}.{name}"


# --- what a cluster should have ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, order=True)
class Topic:
    """One topic as it should be. ``configs`` are Kafka's names and values, ordered by name."""

    name: str
    partitions: int
    configs: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, order=True)
class Acl:
    """One permission: ``principal`` may do ``operation`` on the topic or group, or on all whose names begin so."""

    principal: str
    operation: Literal["READ", "WRITE", "DESCRIBE", "DESCRIBE_CONFIGS"]
    resource: Literal["TOPIC", "GROUP", "CLUSTER"]
    name: str
    prefixed: bool = False

    def __str__(self) -> str:
        return f"{self.principal} may {self.operation} {self.resource} {self.name}{'*' if self.prefixed else ''}"


_EXPORTER_ACLS: Final = (
    Acl(EXPORTER, "DESCRIBE", "CLUSTER", "kafka-cluster"),  # its controllers, its disks, the names of all groups
    Acl(EXPORTER, "DESCRIBE", "GROUP", "*"),  # members, and what they have committed
    Acl(EXPORTER, "DESCRIBE", "TOPIC", "*"),  # partitions, offsets, times of offsets; no record
    Acl(EXPORTER, "DESCRIBE_CONFIGS", "TOPIC", "*"),  # for how long records are kept
)
"""The exporter's, whole: no topic's file could say them, for they are about everything."""


QuotaName = Literal["producer_byte_rate", "consumer_byte_rate"]
"""Kafka's names for bytes a second, written and read."""


@dataclass(frozen=True, slots=True, order=True)
class Quota:
    """How many bytes a second ``principal`` may write or read at each broker before it is made to wait."""

    principal: str
    name: QuotaName
    rate: int


# --- the files --------------------------------------------------------------------------------------------------------


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Producer(_Model):
    """Who writes; ``topics`` is a prefix where it may write to all of the kind."""

    principal: str
    topics: str | None = None


class Consumer(_Model):
    """Who reads, as a member of ``group``, or of none (``null``); a group that ends in a dot is a prefix."""

    principal: str
    group: str | None
    topics: str | None = None


class Watcher(_Model):
    """Who may see that the topics are there, where they stand and how far they go, and nothing of what is in them."""

    principal: str
    topics: str | None = None


class Rates(_Model):
    """Bytes a second; what is left out is as the wider declaration says, or without limit."""

    producer_byte_rate: Annotated[int, Field(ge=1)] | None = None
    consumer_byte_rate: Annotated[int, Field(ge=1)] | None = None

    def over(self, wider: Rates) -> Rates:
        """These, and those of ``wider`` where these say nothing."""
        return Rates.model_validate(wider.model_dump(exclude_none=True) | self.model_dump(exclude_none=True))


class Quotas(_Model):
    """A file of quotas: for every agency, and for some of them by their codes."""

    agency: Rates = Rates()
    agencies: Mapping[str, Rates] = {}

    @classmethod
    def load(cls, path: Path) -> Quotas:
        """Read ``path``. Raises :class:`TopicsInvalid` with file and field."""
        quotas = _read(path, cls, "not a declaration of quotas")
        for code in quotas.agencies:
            try:
                parse_agency_id(code)
            except NameInvalid as error:
                raise TopicsInvalid("not an agency's code", file=path, field=f"agencies.{code[:40]}") from error
        return quotas

    def over(self, wider: Quotas) -> Quotas:
        """These, and those of ``wider`` where these say nothing."""
        codes = sorted({*self.agencies, *wider.agencies})
        return Quotas(
            agency=self.agency.over(wider.agency),
            agencies={code: self.agencies.get(code, Rates()).over(wider.agencies.get(code, Rates())) for code in codes},
        )

    def of(self, agency: AgencyId) -> tuple[Quota, ...]:
        """What holds for one agency."""
        rates = self.agencies.get(agency, Rates()).over(self.agency)
        names: tuple[QuotaName, ...] = ("consumer_byte_rate", "producer_byte_rate")
        found = ((name, getattr(rates, name)) for name in names)
        return tuple(Quota(agency, name, rate) for name, rate in found if rate is not None)


Party = Producer | Consumer | Watcher


class TopicFile(_Model):
    """One file of schemas/topics.

    ``{agency}`` in a topic's name stands for each agency (and for HUB where ``each`` says so), and in such a file for
    that agency alone. In a file without it, the principal ``{agency}`` is each agency.
    """

    topic: str
    each: Annotated[tuple[Literal["agency", "hub"], ...], Field(min_length=1)]
    holds: str
    partitions: Annotated[int, Field(ge=1, le=100)]
    configs: Mapping[str, str | int]
    event_types: Literal["any"] | tuple[str, ...]
    producers: tuple[Producer, ...]
    consumers: tuple[Consumer, ...]
    watchers: tuple[Watcher, ...] = ()

    def parties(self) -> tuple[Party, ...]:
        """Everybody who writes, reads or watches."""
        return self.producers + self.consumers + self.watchers

    def names(self, agencies: Iterable[AgencyId]) -> tuple[tuple[str, AgencyId], ...]:
        """The topics of this kind, each with the agency that it is for."""
        wanted = [*(agencies if "agency" in self.each else ()), *([HUB] if "hub" in self.each else [])]
        return tuple((self.topic.replace(_PLACE, agency), agency) for agency in wanted)

    def principals(self, party: Party, owner: AgencyId, agencies: Iterable[AgencyId]) -> tuple[str, ...]:
        """Whom ``party`` stands for on the topic of ``owner``; the operator needs no permission, and is left out."""
        if party.principal == SUPER_USER:
            return ()
        if party.principal == _PLACE and _PLACE not in self.topic:
            return tuple(agencies)
        return (party.principal.replace(_PLACE, owner),)


class Declaration:
    """All of schemas/topics. Immutable."""

    def __init__(self, files: Iterable[TopicFile], quotas: Quotas | None = None) -> None:
        self.files = tuple(files)
        self._quotas = quotas or Quotas()

    @classmethod
    def load(cls, folder: Path | None = None) -> Declaration:
        """Read ``folder``, by default the one that hub brings. Raises :class:`TopicsInvalid` with file and field."""
        paths = sorted((folder or _FOLDER).glob("*.yaml"))
        quotas = [Quotas.load(path) for path in paths if path.name == _QUOTAS_FILE]
        files = [_load_file(path) for path in paths if path.name != _QUOTAS_FILE]
        if not files:
            raise TopicsInvalid("no topic is declared", folder=folder or _FOLDER)
        return cls(files, *quotas)

    def with_quotas(self, quotas: Quotas) -> Declaration:
        """The same with the operator's own ``quotas`` over those that are declared."""
        return Declaration(self.files, quotas.over(self._quotas))

    def without_quotas(self) -> Declaration:
        """The same without any limit: to measure how fast something is."""
        return Declaration(self.files)

    def topics(self, agencies: Iterable[AgencyId]) -> tuple[Topic, ...]:
        """Every topic that these agencies, and the hub, need; ordered by name."""
        members = _members(agencies)
        return tuple(
            sorted(
                Topic(name, file.partitions, tuple(sorted((key, str(value)) for key, value in file.configs.items())))
                for file in self.files
                for name, _ in file.names(members)
            )
        )

    def acls(self, agencies: Iterable[AgencyId]) -> tuple[Acl, ...]:
        """Every permission that these agencies, and the hub, need, and no other; ordered."""
        members = _members(agencies)
        return tuple(
            sorted(
                {
                    acl
                    for file in self.files
                    for name, owner in file.names(members)
                    for party in file.parties()
                    for principal in file.principals(party, owner, members)
                    for acl in _permissions(party, principal, name)
                }
                | set(_EXPORTER_ACLS)
            )
        )

    def quotas(self, agencies: Iterable[AgencyId]) -> tuple[Quota, ...]:
        """The limits of these agencies; ordered. The hub has none."""
        return tuple(sorted(quota for agency in _members(agencies) for quota in self._quotas.of(agency)))


def _permissions(party: Party, principal: str, topic: str) -> Iterator[Acl]:
    name, prefixed = (topic, False) if party.topics is None else (party.topics, True)
    if isinstance(party, Producer):
        yield Acl(principal, "WRITE", "TOPIC", name, prefixed)
        return
    if isinstance(party, Watcher):
        yield Acl(principal, "DESCRIBE", "TOPIC", name, prefixed)
        return
    yield Acl(principal, "READ", "TOPIC", name, prefixed)
    if party.group is not None:
        group = party.group.replace(_PLACE, principal)
        yield Acl(principal, "READ", "GROUP", group, group.endswith("."))


def _members(agencies: Iterable[AgencyId]) -> tuple[AgencyId, ...]:
    """The agencies but for HUB, whose topics the declaration names itself."""
    return tuple(sorted({parse_agency_id(agency) for agency in agencies} - {HUB}))


_Form = TypeVar("_Form", bound=BaseModel)


def _read(path: Path, form: type[_Form], what: str) -> _Form:
    try:
        return form.model_validate(yaml.safe_load(path.read_text("utf-8")))
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "(the whole file)"
        raise TopicsInvalid(what, file=path, field=field, problem=first["msg"]) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise TopicsInvalid("not YAML", file=path, problem=str(error).replace("\n", " ")) from error
    except OSError as error:
        raise TopicsInvalid("cannot be read", file=path, problem=error.strerror) from error


def _load_file(path: Path) -> TopicFile:
    file = _read(path, TopicFile, "not a declaration of a topic")
    if path.stem != file.topic.removesuffix("." + _PLACE):
        raise TopicsInvalid("the file is not named after its topic", file=path, field="topic", topic=file.topic)
    if ("agency" in file.each) != (_PLACE in file.topic):
        raise TopicsInvalid(f"a topic for each agency, and only that, has {_PLACE}", file=path, field="topic")
    for party in file.parties():
        if party.topics is not None and (not party.topics.endswith(".") or not file.topic.startswith(party.topics)):
            raise TopicsInvalid("a prefix ends in a dot and begins the topic's name", file=path, field="topics")
    return file
