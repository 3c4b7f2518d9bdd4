"""Writes the audit log: one entry at a time, each after a look at what stands there, each remembered on disk."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StrictInt, StrictStr, ValidationError

from hub.adapters.files import read_file, write_file
from hub.console.audit import FIRST, AuditBroken, AuditTrail, Entry, Tip, What, digest_of, encode_entry
from hub.console.facts import Held
from hub.console.people import Person
from hub.errors import ConfigError
from hub.ports import BusProducer, Clock, OutgoingRecord
from hub.topics import AUDIT
from hub.trust.signed_json import Strict, encode_json, first_fault, read_strict_json


class AuditMemoryInvalid(ConfigError):
    """What this console remembered of its own last audit entry is damaged: a cut log could not be noticed."""

    code = "audit.memory_invalid"


class _TipForm(Strict):
    kind: Literal["cgi-hub/v1/audit-tip"] = "cgi-hub/v1/audit-tip"
    number: Annotated[StrictInt, Field(ge=1, lt=2**53)]
    digest: Annotated[StrictStr, Field(pattern=r"^[0-9a-f]{64}$")]


class AuditLog:
    """The chain of the console called ``writer``; ``memory`` is the file with its last entry's number and hash."""

    def __init__(
        self,
        producer: BusProducer,
        read: Callable[[], Awaitable[AuditTrail]],
        *,
        writer: str,
        memory: Path,
        clock: Clock,
    ) -> None:
        self._producer = producer
        self._read = read
        self._writer = writer
        self._memory = memory
        self._clock = clock
        self._lock = asyncio.Lock()
        self.tip = load_tip(memory)

    async def append(
        self,
        person: Person,
        what: What,
        held: Held,
        reason: str,
        *,
        check: Callable[[AuditTrail], None] = lambda _trail: None,
    ) -> Entry:
        """Write an entry; durable on the broker on return. ``check`` may refuse by the log as it stands then.

        Raises :class:`AuditBroken` where the log does not hold (nothing is written), ``UnavailableError`` (it may have
        been written), ``ConfigError`` (the broker refuses), and what ``check`` raises.
        """
        async with self._lock:
            trail = await self._read()
            if trail.faults:
                raise AuditBroken(f"the audit log does not hold: {trail.faults[0]}", faults=len(trail.faults))
            check(trail)
            before = trail.tip(self._writer)
            entry = Entry(
                writer=self._writer,
                number=before.number + 1,
                previous=before.digest if before.number else FIRST,
                at_ms=self._clock.now_ms(),
                who=person.subject,
                fingerprint=person.fingerprint,
                what=what,
                place=held.place,
                digest=held.digest,
                reason=reason,
            )
            raw = encode_entry(entry)
            await self._producer.send([OutgoingRecord(AUDIT, self._writer.encode(), raw)])
            self._remember(Tip(entry.number, digest_of(raw)))
            return entry

    def _remember(self, tip: Tip) -> None:
        form = _TipForm(number=tip.number, digest=tip.digest)
        write_file(self._memory, encode_json(form.model_dump(mode="json")) + b"\n")
        self.tip = tip


def load_tip(memory: Path) -> Tip | None:
    """What was remembered; ``None`` before the first entry. Raises :class:`AuditMemoryInvalid`."""
    if not memory.exists():
        return None
    try:
        form = _TipForm.model_validate(read_strict_json(read_file(memory, 4096)))
    except ValidationError as error:
        raise AuditMemoryInvalid(f"not what was remembered: {first_fault(error)}", file=memory) from error
    except ValueError as error:
        raise AuditMemoryInvalid(f"not what was remembered: {error}", file=memory) from error
    return Tip(form.number, form.digest)
