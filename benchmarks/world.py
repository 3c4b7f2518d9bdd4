"""What all the processes of a benchmark share: a broker, certificates, a signed directory, rules, and the events."""

from __future__ import annotations

import copy
import json
import time
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from hub.adapters.tls import TlsFiles
from hub.catalog import Catalog, EventType
from hub.catalog.avro import whole_schema
from hub.document import parse_document
from hub.model import AgencyId, Event
from tests.support.authority import World as Authority
from tests.support.samples import sample_document

PUBLISHER = AgencyId("JCF")
RECIPIENTS = (AgencyId("ATF"), AgencyId("CCGIU"), AgencyId("RSS"))
EVENT_TYPE = "trace.request"

_RELEASE = """\
agency: JCF
allow:
  - {rule: all of it to the tracing centre, types: trace.request, to: [ATF], compartments: all}
  - {rule: what the regional unit needs, types: trace.request, to: [CCGIU], compartments: [core, sensitive]}
  - rule: facts of readable firearms to the regional security system
    types: trace.request
    to: [RSS]
    compartments: [core]
    when: {field: firearm.serial_status, equals: LEGIBLE}
never:
  - {rule: never persons to RSS, types: "*", to: [RSS], compartments: [personal]}
"""


@dataclass
class World:
    """Saved as JSON for the stages. ``tls`` has each agency's files and the operator's, who may read and write all.

    ``filler`` is how many characters of free text it has beside 0.4 kB of Avro; ``flush_events`` closes a flush.
    """

    folder: Path
    bootstrap: str
    tls: dict[str, TlsFiles]
    run: str
    recipients: tuple[AgencyId, ...] = RECIPIENTS
    publisher: AgencyId = PUBLISHER
    linger_ms: int = 20
    filler: int = 600
    flush_events: int = 512
    _text: str = field(default="", repr=False)

    # --- saved and loaded ---------------------------------------------------------------------------------------------

    @property
    def file(self) -> Path:
        return self.folder / f"world-{self.run}.json"

    def save(self) -> World:
        facts = asdict(self) | {"folder": str(self.folder)}
        facts["tls"] = {name: [str(f.ca), str(f.certificate), str(f.key)] for name, f in self.tls.items()}
        self.file.write_text(json.dumps(facts), encoding="utf-8")
        return self

    @classmethod
    def load(cls, file: str) -> World:
        facts = json.loads(Path(file).read_text(encoding="utf-8"))
        facts["folder"] = Path(facts["folder"])
        facts["tls"] = {
            name: TlsFiles(Path(files[0]), Path(files[1]), Path(files[2])) for name, files in facts["tls"].items()
        }
        facts["recipients"] = tuple(facts["recipients"])
        return cls(**facts)

    def variant(self, run: str, **changes: Any) -> World:
        """The same world under another run's name: other topics and groups, other state."""
        return replace(self, run=run, **changes).save()

    # --- events -------------------------------------------------------------------------------------------------------

    @cached_property
    def catalog(self) -> Catalog:
        return Catalog.load()

    @cached_property
    def event_type(self) -> EventType:
        return self.catalog.get(EVENT_TYPE)

    @cached_property
    def _template(self) -> Event:
        document = sample_document(EVENT_TYPE)
        if self.filler:
            document["body"]["special_instructions"] = ("words of a report " * (self.filler // 18 + 1))[: self.filler]
        return parse_document(document, self.catalog)

    def body(self, number: int) -> dict[str, Any]:
        """The sample body with a serial of its own, as a source would hand it over."""
        body = copy.copy(dict(self._template.body))
        body["firearm"] = {**body["firearm"], "serial_raw": f"BKX {number:07d}"}
        return body

    def event(self, number: int) -> Event:
        """The same body as an event to publish."""
        t = self._template
        return Event(t.event_type, self.body(number), t.handling, t.priority, t.purpose, t.expires_at_ms)

    # --- the plaintext peer -------------------------------------------------------------------------------------------

    @property
    def plaintext_ingest(self) -> str:
        return f"plain.{self.run}.ingest"

    def plaintext_delivery(self, agency: str) -> str:
        return f"plain.{self.run}.deliver.{agency}"

    def plaintext_topics(self) -> list[str]:
        return [self.plaintext_ingest, *map(self.plaintext_delivery, self.recipients)]

    def plaintext_schema(self) -> Any:
        """One Avro schema of the whole event; dates as the text that they come in, which costs the peer nothing."""
        schema = self.event_type.schema
        return _texts(whole_schema(schema.name, schema.version, schema.root, frozenset(schema.compartments)))

    def plaintext_recipients(self, body: dict[str, Any]) -> list[str]:
        """Routing by content, as a hub that reads plaintext would."""
        legible = body["firearm"]["serial_status"] == "LEGIBLE"
        return [self.plaintext_delivery(agency) for agency in self.recipients if agency != "RSS" or legible]

    # --- ours ---------------------------------------------------------------------------------------------------------

    def authority(self) -> Authority:
        """Custodians, keys and agreements; the same in every process, since keys come from names."""
        world = Authority.of(self.publisher, *self.recipients, now_ms=int(time.time() * 1000) - 3_600_000)
        for agency in self.recipients:
            world.agree(self.publisher, agency, EVENT_TYPE)
        return world

    def write_directory(self) -> None:
        """The signed snapshot and its root, once for all processes."""
        authority = self.authority()
        (self.folder / "directory.json").write_bytes(authority.snapshot())
        (self.folder / "root.json").write_bytes(authority.root_bytes())
        (self.folder / "release.yaml").write_text(_RELEASE, encoding="utf-8")


def _texts(avro: Any) -> Any:
    """The schema with ``string`` in place of each logical type."""
    if isinstance(avro, dict):
        return "string" if "logicalType" in avro else {key: _texts(value) for key, value in avro.items()}
    return [_texts(part) for part in avro] if isinstance(avro, list) else avro
