"""One bundle: verify, decide each entry, make the deliveries. Pure: no clock, no I/O; the same in gives the same out.

The order (docs/spec/checks.md): the bundle is verified whole; then, for each entry, agreement (the ceiling that both
parties signed), then subscription (what the recipient asked for), and the entry is delivered whole or not at all: a
grant beyond the agreement denies all of it, because the publisher has the same directory and should have known.

What the caller must still do: write the deliveries and wait for their acknowledgement, say the denials to their
recipients in a ``hub.notice``, and commit nothing before both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

from hub.model import AgencyId, Decision, Route
from hub.policy.agreement import decide_agreement
from hub.trust.directory import Directory
from hub.trust.verify import FlushCache, VerifiedBundle, verify_ingest
from hub.wire.frames import Entry


class Subscriptions(Protocol):
    """What the recipients asked for: ``hub.policy.subscription.Subscriptions`` is one."""

    def decide_labels(self, recipient: AgencyId, publisher: AgencyId, route: Route) -> Decision:
        """Whether ``recipient`` asked for events of this publisher and route. Who asked for nothing gets nothing."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A record for ``agency``'s delivery topic, and the decisions that allow it (agreement, then subscription)."""

    agency: AgencyId
    value: bytes
    decisions: tuple[Decision, ...]


@dataclass(frozen=True, slots=True)
class Denial:
    """An entry that is not delivered, by its number for ``agency``, and why: the last decision denies."""

    agency: AgencyId
    recipient_seq: int
    decisions: tuple[Decision, ...]

    @property
    def decision(self) -> Decision:
        return self.decisions[-1]


@dataclass(frozen=True, slots=True)
class Routed:
    """A verified bundle and what becomes of each of its entries, in the bundle's order."""

    hub: AgencyId
    bundle: VerifiedBundle
    deliveries: tuple[Delivery, ...]
    denials: tuple[Denial, ...]

    @property
    def owes_notice(self) -> bool:
        """Whether the recipients must be told of the denials.

        Never of what the hub publishes: a notice about a notice would have no end. Never of a heartbeat: it uses no
        number, so nobody misses it (spec 6.9).
        """
        return bool(self.denials) and not self.bundle.is_heartbeat and self.bundle.publisher != self.hub


_HUB_RECIPIENT: Final = Decision(False, "agreement.hub_recipient", "the hub receives nothing: it can read no content")


def route_bundle(
    value: bytes,
    *,
    owner: AgencyId,
    hub: AgencyId,
    directory: Directory,
    subscriptions: Subscriptions,
    now_ms: int,
    flushes: FlushCache,
    appended_ms: int | None = None,
) -> Routed:
    """Verify an ingest record's bytes that came from ``ingest.<owner>``, and decide each of its entries.

    ``now_ms`` is milliseconds since 1970, as is ``appended_ms``: when the broker appended the record, None where that
    is not known (spec 12.3). ``flushes`` remembers verified signatures between calls. Raises a ``RejectedError`` with
    the reason's code, or ``DirectoryBehind`` (an ``UnavailableError``) where a newer directory must be fetched first.
    """
    bundle = verify_ingest(
        value,
        owner=owner,
        hub=hub,
        directory=directory,
        now_ms=now_ms,
        flushes=flushes,
        appended_ms=appended_ms,
    )
    deliveries: list[Delivery] = []
    denials: list[Denial] = []
    for entry in bundle.entries:
        decisions = decide_entry(bundle, entry, directory=directory, subscriptions=subscriptions, now_ms=now_ms)
        if decisions[-1].allowed:
            deliveries.append(Delivery(entry.agency, bundle.delivery(entry.agency), decisions))
        else:
            denials.append(Denial(entry.agency, entry.recipient_seq, decisions))
    return Routed(hub, bundle, tuple(deliveries), tuple(denials))


def decide_entry(
    bundle: VerifiedBundle, entry: Entry, *, directory: Directory, subscriptions: Subscriptions, now_ms: int
) -> tuple[Decision, ...]:
    """The decisions about one entry up to and with the first that denies; the last one says what becomes of it."""
    publisher, recipient, route = bundle.publisher, entry.agency, bundle.route
    if recipient == directory.hub:
        return (_HUB_RECIPIENT,)
    if bundle.is_heartbeat:
        return (decide_heartbeat(directory, recipient=recipient),)
    agreement = decide_agreement(
        directory,
        publisher=publisher,
        recipient=recipient,
        route=route,
        compartments=entry.compartments,
        now_ms=now_ms,
    )
    if not agreement.allowed:
        return (agreement,)
    return (agreement, subscriptions.decide_labels(recipient, publisher, route))


def decide_heartbeat(directory: Directory, *, recipient: AgencyId) -> Decision:
    """Whether ``recipient`` may hear a publisher's current number: if it is listed and active (spec 9.2).

    No agreement is asked for: a tail that was withheld before an agreement ended must still show.
    """
    entry = directory.agency(recipient)
    if entry is None:
        return Decision(False, "heartbeat.recipient_unknown", f"directory {directory.version} has no {recipient}")
    if not entry.active:
        return Decision(False, "heartbeat.recipient_suspended", f"{recipient} is suspended")
    return Decision(True, "heartbeat.covered", f"{recipient} is listed and active")
