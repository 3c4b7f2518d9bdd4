"""What a new version of the directory changed, as codes with names: what a page says in words. Pure.

A version is summed up (:func:`sum_up`) in a JSON form that the console keeps, and two sums are compared. The sums are
this console's memory of directories that it verified; nothing is decided by them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from hub.console.facts import Change
from hub.trust.directory import Directory

Sum = Mapping[str, Any]


def sum_up(directory: Directory) -> dict[str, Any]:
    """The facts that changes are told by."""
    return {
        "agencies": {
            entry.agency_id: {
                "name": entry.name,
                "active": entry.active,
                "identity": entry.identity.key_id.hex(),
                "keys": {
                    **{
                        key.key.key_id.hex(): {"use": "signing", "site": key.site, "revoked": key.revoked_at_ms or 0}
                        for key in entry.statement.signing_keys
                    },
                    **{
                        key.key.kem_id.hex(): {"use": "kem", "site": "", "revoked": key.revoked_at_ms or 0}
                        for key in entry.statement.kem_keys
                    },
                },
            }
            for entry in directory.all_agencies()
        },
        "agreements": {
            agreement.agreement_id: {
                "originator": agreement.originator,
                "recipient": agreement.recipient,
                "types": sorted(agreement.event_types),
                "compartments": sorted(agreement.compartments),
                "purposes": sorted(purpose.value for purpose in agreement.purposes),
                "handling": str(agreement.max_handling),
                "onward": "" if agreement.onward is None else agreement.onward.name,
                "days": agreement.retention_days,
                "from": agreement.not_before_ms,
                "until": agreement.not_after_ms,
            }
            for agreement in directory.all_agreements
        },
        "expires": directory.expires_at_ms,
        "faults": sorted(f"{fault.role}: {fault.code}" for fault in directory.faults),
    }


def tell_changes(before: Sum | None, after: Sum) -> tuple[Change, ...]:
    """The changes from one sum to the next; without one before, that it was the first seen."""
    if before is None:
        return (Change("first", {}),)
    found = [*_agencies(before["agencies"], after["agencies"]), *_agreements(before["agreements"], after["agreements"])]
    found += [Change("fault.new", {"fault": each}) for each in after["faults"] if each not in before["faults"]]
    found += [Change("fault.gone", {"fault": each}) for each in before["faults"] if each not in after["faults"]]
    if not found and before["expires"] != after["expires"]:
        found.append(Change("prolonged", {"date": _date(after["expires"])}))
    return tuple(found) or (Change("nothing", {}),)


def _agencies(before: Sum, after: Sum) -> Iterator[Change]:
    for agency in sorted({*before, *after}):
        old, new = before.get(agency, {}), after.get(agency, {})
        if not old:
            yield Change("agency.joined", {"agency": agency, "name": new["name"]})
        elif not new:
            yield Change("agency.left", {"agency": agency, "name": old["name"]})
        else:
            yield from _agency(agency, old, new)


def _agency(agency: str, old: Sum, new: Sum) -> Iterator[Change]:
    if old["active"] != new["active"]:
        yield Change("agency.returned" if new["active"] else "agency.suspended", {"agency": agency})
    if old["name"] != new["name"]:
        yield Change("agency.renamed", {"agency": agency, "name": new["name"]})
    if old["identity"] != new["identity"]:
        yield Change("agency.identity", {"agency": agency})
    for key_id in sorted({*old["keys"], *new["keys"]}):
        names = {"agency": agency, "key": key_id[:16]}
        one, other = old["keys"].get(key_id, {}), new["keys"].get(key_id, {})
        if not one:
            yield Change(f"key.new.{other['use']}", {**names, "site": other["site"]})
        elif not other:
            yield Change(f"key.gone.{one['use']}", {**names, "site": one["site"]})
        elif other["revoked"] and not one["revoked"]:
            yield Change(f"key.revoked.{other['use']}", {**names, "site": other["site"]})


def _agreements(before: Sum, after: Sum) -> Iterator[Change]:
    for name in sorted({*before, *after}):
        old, new = before.get(name, {}), after.get(name, {})
        shown = new or old
        names = {"agreement": name, "originator": shown["originator"], "recipient": shown["recipient"]}
        if not old:
            yield Change("agreement.new", {**names, "date": _date(new["until"])})
        elif not new:
            yield Change("agreement.gone", names)
        elif old != new:
            yield from _agreement(names, old, new)


def _agreement(names: Mapping[str, str], old: Sum, new: Sum) -> Iterator[Change]:
    if old["until"] != new["until"]:
        yield Change("agreement.until", {**names, "date": _date(new["until"])})
    for what in ("types", "compartments", "purposes"):
        added = sorted({*new[what]} - {*old[what]})
        removed = sorted({*old[what]} - {*new[what]})
        if added:
            yield Change("agreement.wider", {**names, "what": ", ".join(added)})
        if removed:
            yield Change("agreement.narrower", {**names, "what": ", ".join(removed)})
    if old["handling"] != new["handling"]:
        yield Change("agreement.handling", {**names, "handling": new["handling"]})
    if any(old[what] != new[what] for what in ("originator", "recipient", "from", "onward", "days")):
        yield Change("agreement.other", dict(names))


def _date(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d")
