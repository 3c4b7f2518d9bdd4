"""Handling as an order: TLP 2.0 and SIENA H codes, each ordered for itself, never translated into each other.

A label is stricter than another only where it is so in both schemes; two labels may be neither. Nothing in the system
loosens a handling. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hub.errors import RejectedError
from hub.model import Handling, NameInvalid, Siena, parse_handling


class HandlingLoosened(RejectedError):
    """An event, or what its sealed header says of it, would travel under a looser handling than it has."""

    code = "handling.loosened"


def at_least(handling: Handling, floor: Handling) -> bool:
    """Whether ``handling`` is as strict as ``floor`` or stricter, in both schemes. H0 restricts too: more than none."""
    return floor.within(handling)


def check_not_loosened(label: Handling, earlier: Handling) -> None:
    """Raises :class:`HandlingLoosened` unless ``label`` is at least as strict as ``earlier``.

    For whatever stands in for something that has a handling already: an amendment, a sealed header's own marking.
    """
    if not at_least(label, earlier):
        raise HandlingLoosened("the handling would be loosened", label=str(label), earlier=str(earlier))


def check_header(label: Handling, body: Mapping[str, Any]) -> None:
    """Raises :class:`HandlingLoosened` where the sealed header marks the event more strictly than its label does.

    Agreements are decided by the label: a TLP colour or a SIENA code that stood in the sealed header alone would hold
    nobody back. A header that is looser than the label changes nothing: the stricter of the two holds. Markings of
    other schemes have no order here; a release rule can ask about them.
    """
    header = body.get("header")
    marking = header.get("handling") if isinstance(header, Mapping) else None
    if not isinstance(marking, Mapping):
        return
    scheme, code = marking.get("scheme"), str(marking.get("code"))
    try:
        if scheme == "TLP":
            held = label.tlp >= parse_handling(f"TLP:{code}").tlp
        elif scheme == "SIENA":
            held = label.siena is not None and label.siena >= Siena[code]
        else:
            return
    except (NameInvalid, KeyError) as error:
        raise HandlingLoosened(f"the header's handling is no code of {scheme}", label=str(label)) from error
    if not held:
        raise HandlingLoosened(
            f"the sealed header says {scheme} {code}; the label must say so too, or more strictly", label=str(label)
        )
