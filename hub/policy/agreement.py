"""The first consent: an agreement in the directory covers what travels, or it does not travel. Labels alone.

One agreement has to cover all of it by itself: two agreements are never put together, because their purposes, handling
and dates belong together. The hub's own clause (docs/adr/0011) is built in here and nowhere else. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations
from typing import Final

from hub.model import AgencyId, Agreement, Compartment, Decision, Route
from hub.trust.directory import Directory

HUB_NOTICE: Final = "hub.notice"
HUB_CLAUSE: Final = "built-in: hub.notice"
_CORE: Final = frozenset({Compartment("core")})


def decide_agreement(
    directory: Directory,
    *,
    publisher: AgencyId,
    recipient: AgencyId,
    route: Route,
    compartments: tuple[Compartment, ...],
    now_ms: int,
) -> Decision:
    """Whether one agreement in force at ``now_ms`` covers all ``compartments`` of this route by itself.

    Never raises. Allowed: ``agreement.covered`` or ``agreement.hub_notice``, with the agreement's id as clause and the
    compartments asked for. Denied: the code of what is missing, for the agreement that came nearest.
    """
    if not compartments:
        return Decision(False, "agreement.empty", "no compartment is asked for")
    denied = _parties(directory, publisher, recipient, now_ms)
    if denied is not None:
        return denied
    if route.event_type.startswith("hub."):
        return _hub_clause(directory, publisher, route, compartments)
    wanted = frozenset(compartments)
    for agreement in directory.agreements(publisher, recipient):
        if route.event_type in agreement.event_types and _gap(agreement, route, wanted, now_ms) is None:
            return Decision(
                True, "agreement.covered", f"{agreement.agreement_id} covers it", agreement.agreement_id, compartments
            )
    return _nearest(directory, publisher, recipient, route, wanted, now_ms)


def ceiling(
    directory: Directory,
    *,
    publisher: AgencyId,
    recipient: AgencyId,
    route: Route,
    compartments: tuple[Compartment, ...],
    now_ms: int,
) -> Decision:
    """The most of the type's ``compartments`` that any one agreement covers; of equally wide ones the first by id.

    It looks at labels alone, not at what the originator wants to release: so a never-rule can only narrow what comes
    out, and never make another agreement the widest. Never raises.
    """
    if not compartments:
        return Decision(False, "agreement.empty", "no compartment is asked for")
    denied = _parties(directory, publisher, recipient, now_ms)
    if denied is not None:
        return denied
    if route.event_type.startswith("hub."):
        core = tuple(c for c in compartments if c in _CORE)
        return _hub_clause(directory, publisher, route, core or compartments)
    best: tuple[Compartment, ...] = ()
    by: Agreement | None = None
    for agreement in directory.agreements(publisher, recipient):
        if route.event_type in agreement.event_types and _gap(agreement, route, frozenset(), now_ms) is None:
            covered = tuple(c for c in compartments if c in agreement.compartments)
            if len(covered) > len(best):
                best, by = covered, agreement
    if by is None:
        return _nearest(directory, publisher, recipient, route, frozenset(compartments[:1]), now_ms)
    return Decision(True, "agreement.covered", f"{by.agreement_id} covers {', '.join(best)}", by.agreement_id, best)


def explain_agreement(
    directory: Directory, *, publisher: AgencyId, recipient: AgencyId, route: Route, now_ms: int
) -> tuple[tuple[Agreement, str, str], ...]:
    """Every agreement between the two in that direction, with a code and what keeps it from covering these labels.

    The code is ``agreement.covered`` and the gap ``""`` where nothing does. The parties themselves are not looked at.
    """
    found = []
    for agreement in directory.agreements(publisher, recipient):
        gap = _gap(agreement, route, frozenset(), now_ms)
        found.append((agreement, "agreement.covered", "") if gap is None else (agreement, gap[1], gap[2]))
    return tuple(found)


def boundaries(directory: Directory, publisher: AgencyId, recipients: Iterable[AgencyId]) -> tuple[int, ...]:
    """The moments (ms, rising) at which a decision about ``publisher`` may change without a new directory."""
    moments = {directory.expires_at_ms}
    for recipient in recipients:
        for agreement in directory.agreements(publisher, recipient):
            moments.update((agreement.not_before_ms, agreement.not_after_ms))
    return tuple(sorted(moments))


def each_wider(agreements: Iterable[Agreement]) -> tuple[tuple[Agreement, Agreement], ...]:
    """Pairs that can hold for one event and are each wider than the other in some compartment: better made one.

    Of such a pair only one is used (:func:`ceiling`), and the end of one can bring in what only the other covers.
    """
    by_parties: dict[tuple[AgencyId, AgencyId], list[Agreement]] = {}
    for agreement in agreements:
        by_parties.setdefault((agreement.originator, agreement.recipient), []).append(agreement)
    return tuple(
        (a, b)
        for found in by_parties.values()
        for a, b in combinations(found, 2)
        if not (a.compartments <= b.compartments or b.compartments <= a.compartments)
        and a.event_types & b.event_types
        and a.purposes & b.purposes
        and max(a.not_before_ms, b.not_before_ms) < min(a.not_after_ms, b.not_after_ms)
    )


def _parties(directory: Directory, publisher: AgencyId, recipient: AgencyId, now_ms: int) -> Decision | None:
    if now_ms >= directory.expires_at_ms:
        return Decision(False, "agreement.directory_expired", f"directory {directory.version} has expired")
    if publisher == recipient:
        return Decision(False, "agreement.self", "an agency is not its own recipient")
    if recipient == directory.hub:
        return Decision(False, "agreement.hub_recipient", "the hub receives nothing: it can read no content")
    for agency, role in ((publisher, "originator"), (recipient, "recipient")):
        entry = directory.agency(agency)
        if entry is None:
            return Decision(False, f"agreement.{role}_unknown", f"directory {directory.version} has no {agency}")
        if not entry.active:
            return Decision(False, f"agreement.{role}_suspended", f"{agency} is suspended")
    return None


def _hub_clause(
    directory: Directory, publisher: AgencyId, route: Route, compartments: tuple[Compartment, ...]
) -> Decision:
    # What the hub says explains gaps in a stream: nobody else may say it, and no MOU can allow it (docs/adr/0011).
    if publisher != directory.hub:
        return Decision(False, "agreement.hub_only", f"only {directory.hub} publishes {route.event_type}", HUB_CLAUSE)
    if route.event_type != HUB_NOTICE or not _CORE.issuperset(compartments):
        return Decision(
            False, "agreement.hub_beyond", f"{directory.hub} publishes the core of {HUB_NOTICE} alone", HUB_CLAUSE
        )
    return Decision(
        True, "agreement.hub_notice", f"{directory.hub} may send {HUB_NOTICE} to any agency", HUB_CLAUSE, compartments
    )


def _gap(
    agreement: Agreement, route: Route, wanted: frozenset[Compartment], now_ms: int
) -> tuple[int, str, str] | None:
    """What keeps ``agreement`` from covering it, as (how near it came, code, why); ``None`` where it covers."""
    if route.event_type not in agreement.event_types:
        return 0, "agreement.type", f"it does not cover {route.event_type}"
    if now_ms >= agreement.not_after_ms:
        return 1, "agreement.ended", "it has ended"
    if now_ms < agreement.not_before_ms:
        return 2, "agreement.not_yet", "it has not begun"
    if route.purpose not in agreement.purposes:
        return 3, "agreement.purpose", f"it does not cover the purpose {route.purpose.value}"
    if not route.handling.within(agreement.max_handling):
        return 4, "agreement.handling", f"{route.handling} is over its highest handling, {agreement.max_handling}"
    if not wanted <= agreement.compartments:
        beyond = ", ".join(sorted(wanted - agreement.compartments))
        return 5, "agreement.compartments", f"it does not cover {beyond}"
    return None


def _nearest(
    directory: Directory,
    publisher: AgencyId,
    recipient: AgencyId,
    route: Route,
    wanted: frozenset[Compartment],
    now_ms: int,
) -> Decision:
    """The denial, told by the agreement that came nearest."""
    best: tuple[int, str, str] | None = None
    clause = ""
    for agreement in directory.agreements(publisher, recipient):
        gap = _gap(agreement, route, wanted, now_ms)
        if gap is not None and (best is None or gap[0] > best[0]):
            best, clause = gap, agreement.agreement_id
    if best is None:
        return Decision(False, "agreement.none", f"no agreement lets {recipient} receive from {publisher}")
    return Decision(False, best[1], f"{clause}: {best[2]}", clause)
