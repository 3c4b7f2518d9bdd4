"""The configuration of a site and of a router: TOML files as frozen pydantic models.

A setting that is unknown, missing or of a wrong form is a :class:`hub.errors.ConfigError` that names the file and the
key, and for a mistyped key what was probably meant. Secrets are paths of files, never values. A relative path is
relative to the configuration file. docs/guides/operate.md has all of them, rendered from here.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from hub.errors import ConfigError
from hub.model import HUB, AgencyId, NameInvalid, parse_agency_id


class SettingsInvalid(ConfigError):
    """A configuration file cannot be read, or a key in it is unknown, missing or of a wrong form."""

    code = "settings.invalid"


# --- the forms of single settings -------------------------------------------------------------------------------------


def _agency(value: object) -> AgencyId:
    try:
        return parse_agency_id(value if isinstance(value, str) else "")
    except NameInvalid as error:
        raise ValueError(error.message) from error


def _resolved(path: Path, info: ValidationInfo) -> Path:
    if "\0" in str(path):
        raise ValueError("a path has no NUL character")
    base = (info.context or {}).get("base", Path())
    return Path(base, path.expanduser())


def _existing_file(path: Path) -> Path:
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    return path


def _existing_folder(path: Path) -> Path:
    if not path.is_dir():
        raise ValueError(f"there is no folder {path}")
    return path


def _address(value: str) -> str:
    if (
        not re.fullmatch(r"(\[[0-9a-fA-F:]+\]|[A-Za-z0-9.\-]+):\d{1,5}", value, re.ASCII)
        or int(value.rpartition(":")[2]) > 65535
    ):
        raise ValueError("an address is HOST:PORT, for example 127.0.0.1:9464 (port 0: any free one)")
    return value


def _servers(value: str) -> str:
    for server in value.split(","):
        _address(server)
    return value


Agency = Annotated[AgencyId, BeforeValidator(_agency)]
AnyPath = Annotated[Path, AfterValidator(_resolved)]
"""A path that need not exist yet."""
ExistingFile = Annotated[Path, AfterValidator(_resolved), AfterValidator(_existing_file)]
ExistingFolder = Annotated[Path, AfterValidator(_resolved), AfterValidator(_existing_folder)]
Address = Annotated[str, AfterValidator(_address)]
Servers = Annotated[str, AfterValidator(_servers)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]{0,47}$")]
Seconds = Annotated[float, Field(gt=0, le=86_400)]


class Strict(BaseModel):
    """The base of every part: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


# --- the parts --------------------------------------------------------------------------------------------------------


class KafkaSettings(Strict):
    """``[kafka]``: where the broker is, and the PEM files of the mutual TLS with it."""

    bootstrap: Servers
    """One or several of its nodes."""
    ca: ExistingFile
    """The operator's CA."""
    certificate: ExistingFile
    """Names who this is."""
    key: ExistingFile
    """Its private key."""
    passphrase_file: AnyPath | None = None
    """Where ``key`` is encrypted. By default that of [keys]."""


class KeyAccessSettings(Strict):
    """What ``[keys]`` has everywhere: how to get at keys that are encrypted, or in a token (docs/guides/keys.md)."""

    passphrase_file: AnyPath | None = None
    """By default the credential ``cgi-hub.passphrase`` of the service manager."""
    token_library: AnyPath | None = None
    """The PKCS #11 library of the token that holds a half of the signing key."""
    token_pin_file: AnyPath | None = None
    """By default the credential ``cgi-hub.pin``."""


class SiteKeys(KeyAccessSettings):
    """``[keys]`` of a site."""

    signing: ExistingFile | None = None
    """To publish."""
    kem: ExistingFolder | None = None
    """To receive: the folder of all KEM keys, old ones too. It is looked at again and again."""


class RouterKeys(KeyAccessSettings):
    """``[keys]`` of a router."""

    signing: ExistingFile
    """The hub signs what it says: its notices."""


class DirectorySettings(Strict):
    """``[directory]``: the pinned root, and where the repository is: ``path`` (a folder, or one file), ``url`` (a web
    server that has the folder), or neither: the topic ``hub.directory``."""

    root: ExistingFile
    """The pinned root. Who pinned the first one follows all that come after it."""
    path: AnyPath | None = None
    """The repository's folder, or all of it in one file."""
    url: Annotated[str, Field(pattern=r"^https?://")] | None = None
    """A web server that has the folder. With neither ``path`` nor ``url``: the topic ``hub.directory``."""

    @model_validator(mode="after")
    def _one_place(self) -> DirectorySettings:
        if self.path is not None and self.url is not None:
            raise ValueError("path and url are two places: give one of them, or none for the topic hub.directory")
        return self


class MetricsSettings(Strict):
    """``[metrics]``: where /metrics, /livez and /readyz are served. The chosen address stands in ``address_file``."""

    listen: Address = "127.0.0.1:0"
    """Plain HTTP: for the operator's network alone. Port 0: a free one."""
    address_file: AnyPath | None = None
    """Where the address that it took stands; by default ``metrics.address`` in the state folder."""
    stale_after: Seconds = 30.0
    """Without progress for so long, /readyz says no."""


class LogSettings(Strict):
    """``[log]``: to standard error, for people or one JSON object a line."""

    form: Literal["text", "json"] = "text"
    """For people, or one JSON object a line."""
    level: Literal["debug", "info", "warning", "error"] = "info"
    """Nothing below it is said."""


class TracesSettings(Strict):
    """``[traces]``: needs the extra ``cgi-hub[traces]``."""

    on: bool = False
    """Spans over OTLP/HTTP, to where OpenTelemetry's own variables say (docs/guides/logs.md)."""


class ConnectorTable(BaseModel):
    """``[[source]]`` or ``[[sink]]``: ``kind`` says which connector, the rest is read and checked by that connector."""

    model_config = ConfigDict(frozen=True, extra="allow")

    kind: Name
    """Which connector; its own keys stand beside it."""
    name: Name | None = None
    """In metrics and logs, and the name of its state. By default the kind; it must be unique in the file."""

    @property
    def label(self) -> str:
        return self.name or self.kind

    @property
    def options(self) -> dict[str, Any]:
        """Everything but ``kind`` and ``name``, as it stands in the file."""
        return dict(self.model_extra or {})


class PublisherSettings(Strict):
    """``[publisher]``: limits of the publishing side."""

    linger: Annotated[float, Field(ge=0, le=10)] = 0.02
    """Seconds that a flush waits for more events."""
    heartbeat: Seconds = 30.0
    """Seconds between heartbeats to recipients that nothing was sent to."""


class SubscriberSettings(Strict):
    """``[subscriber]``: the receiving side."""

    group: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")] = "site"
    """The consumer group is ``<AGENCY>.<group>``; one site, one group, one inbox."""
    batch: Annotated[int, Field(ge=1, le=10_000)] = 64
    """Records that are opened, written and marked together."""
    gap_grace: Annotated[float, Field(ge=0, le=30 * 86_400)] = 60.0
    """Seconds after which a gap that nothing explains is reported."""


class Settings(Strict):
    """The base of a whole file. ``folder`` is where the file stands: what relative paths count from."""

    _folder: Path = PrivateAttr(default=Path())

    @property
    def folder(self) -> Path:
        return self._folder

    @model_validator(mode="before")
    @classmethod
    def _one_passphrase(cls, values: Any) -> Any:
        match values:
            case {"kafka": dict(kafka), "keys": {"passphrase_file": file}} if "passphrase_file" not in kafka:
                return {**values, "kafka": {**kafka, "passphrase_file": file}}
        return values


class SiteSettings(Settings):
    """A site: what one agency runs. It publishes where it has sources, and receives where it has sinks."""

    agency: Agency
    """Whose site it is."""
    hub: Agency = HUB
    """The hub's own agency."""
    state: AnyPath
    """Outbox, inbox, positions of the sources, the newest directory: one process, one folder."""
    kafka: KafkaSettings
    keys: SiteKeys
    directory: DirectorySettings
    release: ExistingFile | None = None
    """What it gives to whom; needed with a [[source]]."""
    subscription: ExistingFile | None = None
    """What it asks for, content included; needed with a [[sink]]."""
    publisher: PublisherSettings = PublisherSettings()
    subscriber: SubscriberSettings = SubscriberSettings()
    metrics: MetricsSettings = MetricsSettings()
    log: LogSettings = LogSettings()
    traces: TracesSettings = TracesSettings()
    source: tuple[ConnectorTable, ...] = ()
    sink: tuple[ConnectorTable, ...] = ()

    @model_validator(mode="after")
    def _complete(self) -> SiteSettings:
        if self.source and (self.keys.signing is None or self.release is None):
            raise ValueError("a site with a [[source]] publishes: it needs release = ... and signing = ... in [keys]")
        if self.sink and (self.keys.kem is None or self.subscription is None):
            raise ValueError("a site with a [[sink]] receives: it needs subscription = ... and kem = ... in [keys]")
        for part, connectors in (("source", self.source), ("sink", self.sink)):
            labels = [connector.label for connector in connectors]
            for label in labels:
                if labels.count(label) > 1:
                    raise ValueError(f'two [[{part}]] are called "{label}": give each a name = ... of its own')
        return self


class RoutingSettings(Strict):
    """``[router]``: how much a router takes at once, and how long it waits."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")] | None = None
    """In its heartbeats and in what it quarantines. By default host and process id."""
    max_records: Annotated[int, Field(ge=1, le=10_000)] = 200
    """Records of one step: what is in memory is twice this, at most 900 kB each."""
    poll_wait: Seconds = 0.5
    """Seconds that it waits for records."""
    retry_first: Seconds = 0.2
    """Seconds until it first tries again what is outside and away..."""
    retry_most: Seconds = 10.0
    """... and the most, after doubling."""
    session: Annotated[float, Field(ge=6, le=300)] = 10.0
    """Seconds after which the broker gives a dead router's partitions to the others."""
    heartbeat: Seconds = 5.0
    """Seconds between records on the heartbeat topic, and between looks at the lag."""
    remembered_events: Annotated[int, Field(ge=200_000, le=20_000_000)] = 200_000
    """Event ids that are remembered to see one come back with another header (spec 9.3; about 180 bytes each)."""


class RouterSettings(Settings):
    """A router. Several share one consumer group; each has a state folder of its own."""

    agency: Agency = HUB
    """The hub's own agency."""
    state: AnyPath
    """Its notices' outbox, and the newest directory: every router has a folder of its own."""
    kafka: KafkaSettings
    keys: RouterKeys
    directory: DirectorySettings
    subscriptions: ExistingFolder
    """A file ``<AGENCY>.yaml`` for each agency: the hub's part, labels alone."""
    router: RoutingSettings = RoutingSettings()
    metrics: MetricsSettings = MetricsSettings()
    log: LogSettings = LogSettings()
    traces: TracesSettings = TracesSettings()


class ExporterSettings(Settings):
    """The exporter of the broker's figures. One is enough; a second one says the same."""

    agency: Agency = HUB
    """The hub's own agency."""
    state: AnyPath
    """For its address alone."""
    kafka: KafkaSettings
    interval: Annotated[float, Field(ge=0.1, le=3600)] = 15.0
    """Seconds between two looks at the broker."""
    jvm_folder: AnyPath | None = None
    """Where the JVM of a Kafka on this machine keeps its counters, ``/tmp/hsperfdata_<user>``: heap, collections
    and threads are then served too. The exporter must be that user."""
    metrics: MetricsSettings = MetricsSettings(stale_after=60)
    log: LogSettings = LogSettings()


class PrometheusSettings(Strict):
    """``[prometheus]`` of a console: where its HTTP API is."""

    url: Annotated[str, Field(pattern=r"^https?://[^\s]+$")]
    """Its HTTP API."""


class ConsoleTls(Strict):
    """``[tls]`` of a console: its own certificate and key, and the CA of the people who may connect."""

    certificate: ExistingFile
    """The console's own, for the name by which browsers know it."""
    key: ExistingFile
    """Its private key."""
    people_ca: ExistingFile
    """The CA of the people who may connect."""


class ConsoleSettings(Settings):
    """The operators' console, and ``hub status``, which shows the same in a terminal."""

    agency: Agency = HUB
    """The hub's own agency."""
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")] = "console"
    """In the audit log: each console has a chain, a name and a state folder of its own."""
    state: AnyPath
    """The newest directory, and where its chain of the audit log ends."""
    listen: Address = "127.0.0.1:8443"
    """Where browsers come, over mutual TLS."""
    origins: tuple[Annotated[str, Field(pattern=r"^https://[^\s/]+$")], ...] = ()
    """How browsers name it, where that is not ``https://`` and ``listen``: only such a page may act."""
    people: ExistingFile
    """Who may come in, by their certificates' subjects, as viewer or operator."""
    tls: ConsoleTls
    kafka: KafkaSettings
    directory: DirectorySettings
    prometheus: PrometheusSettings
    subscriptions: ExistingFolder | None = None
    """The routers' folder of subscriptions, to show what is asked for."""
    quotas: ExistingFile | None = None
    """The operator's own quotas, if any, as ``hub broker apply`` gets them."""
    metrics: MetricsSettings = MetricsSettings(stale_after=60)
    log: LogSettings = LogSettings()


class BrokerSettings(Settings):
    """The follower that keeps a cluster in step with the directory. ``[kafka]`` has the operator's files."""

    agency: Agency = HUB
    """The hub's own agency."""
    state: AnyPath
    """The newest directory."""
    kafka: KafkaSettings
    directory: DirectorySettings
    topics: ExistingFolder | None = None
    """Declarations other than those that hub brings."""
    quotas: ExistingFile | None = None
    """The operator's own quotas, over the declared ones; read again each time."""
    interval: Annotated[float, Field(ge=1, le=3600)] = 30.0
    """Seconds between two looks for what someone else has changed. A new directory is applied at once."""
    metrics: MetricsSettings = MetricsSettings()
    log: LogSettings = LogSettings()


# --- loading ----------------------------------------------------------------------------------------------------------

_Settings = TypeVar("_Settings", SiteSettings, RouterSettings, ExporterSettings, ConsoleSettings, BrokerSettings)

_MISSING: Final = "missing"
_UNKNOWN: Final = "extra_forbidden"


def load_site(path: Path) -> SiteSettings:
    """The site's configuration in ``path``. Raises :class:`SettingsInvalid`."""
    return _load(path, SiteSettings)


def load_router(path: Path, *, overrides: Mapping[str, Any] | None = None) -> RouterSettings:
    """The router's configuration in ``path``. Raises :class:`SettingsInvalid`.

    ``overrides`` replaces settings by their full names (``metrics.listen``), as the command line's options do.
    """
    return _load(path, RouterSettings, overrides)


def load_exporter(path: Path) -> ExporterSettings:
    """The exporter's configuration in ``path``. Raises :class:`SettingsInvalid`."""
    return _load(path, ExporterSettings)


def load_console(path: Path, *, overrides: Mapping[str, Any] | None = None) -> ConsoleSettings:
    """The console's configuration in ``path``; ``overrides`` as for a router. Raises :class:`SettingsInvalid`."""
    return _load(path, ConsoleSettings, overrides)


def load_broker(path: Path) -> BrokerSettings:
    """The follower's configuration in ``path``. Raises :class:`SettingsInvalid`."""
    return _load(path, BrokerSettings)


def _load(path: Path, form: type[_Settings], overrides: Mapping[str, Any] | None = None) -> _Settings:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise SettingsInvalid("there is no such configuration file", file=path) from error
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsInvalid(f"the configuration file cannot be read: {error}", file=path) from error
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsInvalid(f"not TOML: {error}", file=path) from error
    try:
        _override(values, overrides or {})
        settings = form.model_validate(values, context={"base": path.resolve().parent})
    except ValidationError as error:
        raise SettingsInvalid("; ".join(_faults(error, form)), file=path) from error
    settings._folder = path.resolve().parent
    return settings


def _override(values: dict[str, Any], overrides: Mapping[str, Any]) -> None:
    for key, value in overrides.items():
        *parts, last = key.split(".")
        at = values
        for part in parts:
            if not isinstance(at.setdefault(part, {}), dict):
                break  # it is of a wrong form itself, which the model will say
            at = at[part]
        else:
            at[last] = value


def _faults(error: ValidationError, form: type[BaseModel]) -> Iterator[str]:
    """One sentence for each fault, with the key's full name."""
    for fault in error.errors(include_url=False, include_input=False):
        key = ".".join(str(part) for part in fault["loc"])
        if fault["type"] == _UNKNOWN:
            known = _known(form, fault["loc"][:-1])
            close = difflib.get_close_matches(str(fault["loc"][-1]), known, n=1)
            hint = f'did you mean "{close[0]}"?' if close else f"there are: {', '.join(known)}"
            yield f'unknown key "{key}": {hint}'
        elif fault["type"] == _MISSING:
            yield f'the key "{key}" is missing'
        elif key:
            yield f'"{key}": {_plain(fault["msg"])}'
        else:
            yield _plain(fault["msg"])


def _plain(message: str) -> str:
    return message.removeprefix("Value error, ")


def _known(form: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """The keys that the model at ``location`` has."""
    at: type[BaseModel] = form
    for part in location:
        if isinstance(part, int):
            continue
        annotation = at.model_fields[part].annotation
        found = [
            kind
            for kind in (annotation, *get_args(annotation))
            if isinstance(kind, type) and issubclass(kind, BaseModel)
        ]
        if not found:
            return []
        at = found[0]
    return sorted(at.model_fields)
