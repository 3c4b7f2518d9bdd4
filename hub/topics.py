"""The topics, their settings, and who may do what: read from schemas/topics/*.yaml, the only place where that is said.

Pure but for :meth:`Declaration.load`, which reads the folder. hub/adapters/kafka_admin.py makes a cluster conform.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hub.errors import ConfigError
from hub.model import HUB, AgencyId, NameInvalid, parse_agency_id

QUARANTINE: Final = "hub.quarantine"
HEARTBEAT: Final = "hub.heartbeat"
DIRECTORY: Final = "hub.directory"
"""The signed directory, file by file: only the operator writes, each active agency and the hub read."""
ROUTER_GROUP: Final = "hub.router"
INGEST_PATTERN: Final = r"ingest\.[A-Z][A-Z0-9-]{1,31}"
"""All ingest topics, for a consumer that follows agencies that join."""

_INGEST: Final = "ingest."
_DELIVER: Final = "deliver."
_FOLDER: Final = Path(__file__).parent / "_schemas" / "topics"
_GROUP_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}", re.ASCII)
_PLACE: Final = "{agency}"


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
    operation: Literal["READ", "WRITE"]
    resource: Literal["TOPIC", "GROUP"]
    name: str
    prefixed: bool = False

    def __str__(self) -> str:
        return f"{self.principal} may {self.operation} {self.resource} {self.name}{'*' if self.prefixed else ''}"


# --- the files --------------------------------------------------------------------------------------------------------


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Producer(_Model):
    """Who writes; ``topics`` is a prefix where it may write to all of the kind."""

    principal: str
    topics: str | None = None


class Consumer(_Model):
    """Who reads, as a member of ``group``; a group that ends in a dot is a prefix."""

    principal: str
    group: str
    topics: str | None = None


class TopicFile(_Model):
    """One file of schemas/topics. ``{agency}`` stands for each agency (and for HUB where ``each`` says so)."""

    topic: str
    each: Annotated[tuple[Literal["agency", "hub"], ...], Field(min_length=1)]
    holds: str
    partitions: Annotated[int, Field(ge=1, le=100)]
    configs: Mapping[str, str | int]
    event_types: Literal["any"] | tuple[str, ...]
    producers: tuple[Producer, ...]
    consumers: tuple[Consumer, ...]

    def parties(self) -> tuple[Producer | Consumer, ...]:
        """Everybody who writes or reads."""
        return self.producers + self.consumers

    def names(self, agencies: Iterable[AgencyId]) -> tuple[tuple[str, AgencyId], ...]:
        """The topics of this kind, each with the agency that it is for."""
        wanted = [*(agencies if "agency" in self.each else ()), *([HUB] if "hub" in self.each else [])]
        return tuple((self.topic.replace(_PLACE, agency), agency) for agency in wanted)


class Declaration:
    """All of schemas/topics. Immutable."""

    def __init__(self, files: Iterable[TopicFile]) -> None:
        self.files = tuple(files)

    @classmethod
    def load(cls, folder: Path | None = None) -> Declaration:
        """Read ``folder``, by default the one that hub brings. Raises :class:`TopicsInvalid` with file and field."""
        paths = sorted((folder or _FOLDER).glob("*.yaml"))
        if not paths:
            raise TopicsInvalid("no topic is declared", folder=folder or _FOLDER)
        return cls(_load_file(path) for path in paths)

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
        found: set[Acl] = set()
        for file in self.files:
            for name, agency in file.names(members):
                for party in file.parties():
                    principal = party.principal.replace(_PLACE, agency)
                    topic, prefixed = (name, False) if party.topics is None else (party.topics, True)
                    if isinstance(party, Producer):
                        found.add(Acl(principal, "WRITE", "TOPIC", topic, prefixed))
                        continue
                    group = party.group.replace(_PLACE, agency)
                    found.add(Acl(principal, "READ", "TOPIC", topic, prefixed))
                    found.add(Acl(principal, "READ", "GROUP", group, group.endswith(".")))
        return tuple(sorted(found))


def _members(agencies: Iterable[AgencyId]) -> tuple[AgencyId, ...]:
    """The agencies but for HUB, whose topics the declaration names itself."""
    return tuple(sorted({parse_agency_id(agency) for agency in agencies} - {HUB}))


def _load_file(path: Path) -> TopicFile:
    try:
        file = TopicFile.model_validate(yaml.safe_load(path.read_text("utf-8")))
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "(the whole file)"
        raise TopicsInvalid("not a declaration of a topic", file=path, field=field, problem=first["msg"]) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise TopicsInvalid("not YAML", file=path, problem=str(error).replace("\n", " ")) from error
    if path.stem != file.topic.removesuffix("." + _PLACE):
        raise TopicsInvalid("the file is not named after its topic", file=path, field="topic", topic=file.topic)
    if ("agency" in file.each) != (_PLACE in file.topic):
        raise TopicsInvalid(f"a topic for each agency, and only that, has {_PLACE}", file=path, field="topic")
    for party in file.parties():
        if party.topics is not None and (not party.topics.endswith(".") or not file.topic.startswith(party.topics)):
            raise TopicsInvalid("a prefix ends in a dot and begins the topic's name", file=path, field="topics")
    return file
