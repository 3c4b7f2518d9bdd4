"""What an operator may do with a refused record. Each is written to the audit log before it is done.

- **hand back**: the record as it was refused, with its reason, as a file for its originator, who alone can mend it;
- **retry**: to the routers again, who verify it anew (docs/adr/0103);
- **discard**: nothing is done with it, for a reason that stands in the log. The topic keeps it for its retention.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, Literal

from hub.console.audit import REASON, AuditTrail, Entry, What
from hub.console.audit_log import AuditLog
from hub.console.facts import Held
from hub.console.people import Person
from hub.console.quarantine import decisions_of, read_held, why_not_retry
from hub.errors import HubError, RejectedError
from hub.log_words import say
from hub.ports import BusProducer, OutgoingRecord
from hub.topics import RETRY

Action = Literal["hand-back", "retry", "discard"]
WHAT: Final[dict[Action, What]] = {
    "hand-back": "quarantine.handed_back",
    "retry": "quarantine.retried",
    "discard": "quarantine.discarded",
}


class ReasonMissing(RejectedError):
    """A record is discarded for a reason, of at most 500 characters."""

    code = "console.reason_missing"


class ActionImpossible(RejectedError):
    """That cannot be done with this record."""

    code = "console.action_impossible"


class AlreadyDecided(RejectedError):
    """Somebody decided about this record after the page was shown: look again."""

    code = "console.already_decided"


class RecordGone(RejectedError):
    """The record is no longer in quarantine: its retention has ended."""

    code = "console.record_gone"


class Actions:
    """The three actions. ``fetch`` reads a record of the quarantine topic again, ``None`` where it is gone."""

    def __init__(self, log: AuditLog, producer: BusProducer, fetch: Callable[[Held], Awaitable[bytes | None]]) -> None:
        self._log = log
        self._producer = producer
        self._fetch = fetch

    async def act(self, action: Action, person: Person, held: Held, *, reason: str, decisions_seen: int) -> bytes:
        """Do it; gives the record's bytes, which are what is handed back.

        ``decisions_seen`` is how many decisions about the record the person had before their eyes. Raises
        ``RoleTooLow``, :class:`ReasonMissing`, :class:`ActionImpossible`, :class:`AlreadyDecided`, :class:`RecordGone`,
        ``AuditBroken``, ``UnavailableError``.
        """
        person.check_may_act()
        reason = " ".join(reason.split())
        if (action == "discard" and not reason) or len(reason) > REASON:
            raise ReasonMissing(f"say why, in at most {REASON} characters", length=len(reason))
        if action == "retry" and (why := why_not_retry(held)):
            raise ActionImpossible("the routers could not verify this record", why=why)

        def check(trail: AuditTrail) -> None:
            if len(decisions_of(held, trail)) != decisions_seen:
                raise AlreadyDecided("somebody has decided about it meanwhile", place=held.place)

        raw = await self._fetch(held)
        if raw is None or not _is_it(raw, held):
            raise RecordGone("the record is no longer in quarantine", place=held.place)
        await self._write(WHAT[action], person, held, reason, check)
        if action == "retry":
            await self._retry(raw, person, held)
        return raw

    async def _write(
        self, what: What, person: Person, held: Held, reason: str, check: Callable[[AuditTrail], None]
    ) -> Entry:
        entry = await self._log.append(person, what, held, reason, check=check)
        say("console.acted", what=what, place=held.place, writer=entry.writer, number=entry.number)
        return entry

    async def _retry(self, raw: bytes, person: Person, held: Held) -> None:
        try:
            await self._producer.send([OutgoingRecord(RETRY, held.place.encode(), raw)])
        except HubError as error:
            # What the log says was not done, and the record waits for a decision again.
            await self._write("quarantine.failed", person, held, error.code, lambda _trail: None)
            raise


def _is_it(raw: bytes, held: Held) -> bool:
    """Whether these are the bytes that the page showed: no offset is used twice, but a topic can be made anew."""
    return read_held(held.partition, held.offset, held.at_ms, raw).digest == held.digest
