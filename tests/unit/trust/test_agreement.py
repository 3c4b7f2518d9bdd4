"""An agreement's document: what is signed is what is read, and what makes no sense is refused both ways."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from hub.model import HUB, AgencyId, Compartment, Onward, Purpose, parse_handling
from hub.trust.agreement import (
    MAX_AGREEMENT,
    AgreementDocument,
    AgreementMalformed,
    Clause,
    encode_agreement,
    parse_agreement,
)

JCF, ATF = AgencyId("JCF"), AgencyId("ATF")
CLAUSE = Clause(
    JCF,
    ATF,
    frozenset({"trace.request", "seizure.report"}),
    frozenset({Compartment("core"), Compartment("personal")}),
    frozenset({Purpose.INVESTIGATION}),
    parse_handling("TLP:AMBER H2"),
    Onward.ORIGINATOR_CONSENT,
    1825,
)
DOCUMENT = AgreementDocument(
    "MOU-2024-07", HUB, 3, "Tracing of firearms", "MOU of 1 July 2024", (ATF, JCF), 1_000, 2_000, (CLAUSE,)
)


def changed(*path: str | int, to: Any) -> bytes:
    """The document's bytes with one member changed, or taken out where ``to`` is ``...``."""
    form = json.loads(encode_agreement(DOCUMENT))
    inner = form
    for step in path[:-1]:
        inner = inner[step]
    if to is ...:
        del inner[path[-1]]
    else:
        inner[path[-1]] = to
    return json.dumps(form).encode()


def test_what_is_written_is_read() -> None:
    raw = encode_agreement(DOCUMENT)
    assert parse_agreement(raw) == DOCUMENT
    assert encode_agreement(parse_agreement(raw)) == raw
    assert json.loads(raw)["kind"] == "cgi-hub/v1/agreement"


def test_clauses_become_agreements() -> None:
    (only,) = DOCUMENT.agreements()
    assert only.agreement_id == "MOU-2024-07"
    assert (only.originator, only.recipient, only.event_types) == (JCF, ATF, CLAUSE.event_types)
    assert (only.compartments, only.purposes, only.max_handling) == (
        CLAUSE.compartments,
        CLAUSE.purposes,
        CLAUSE.max_handling,
    )
    assert (only.not_before_ms, only.not_after_ms, only.reference) == (1_000, 2_000, "MOU of 1 July 2024")
    assert (only.onward, only.retention_days) == (Onward.ORIGINATOR_CONSENT, 1825)
    two = replace(DOCUMENT, clauses=(CLAUSE, replace(CLAUSE, originator=ATF, recipient=JCF)))
    assert [(a.agreement_id, a.originator) for a in two.agreements()] == [
        ("MOU-2024-07 #1", JCF),
        ("MOU-2024-07 #2", ATF),
    ]


def test_the_form_of_the_json_is_free() -> None:
    form = json.loads(encode_agreement(DOCUMENT))
    assert parse_agreement(json.dumps(dict(reversed(form.items())), indent=3).encode()) == DOCUMENT


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"", "Expecting value"),
        (b"[]", "not a JSON object"),
        (b'{"kind": "cgi-hub/v1/agreement", "kind": "cgi-hub/v1/agreement"}', "stands twice"),
        (b" " * (MAX_AGREEMENT + 1), "too long"),
        (changed("kind", to="cgi-hub/v1/directory"), "kind"),
        (changed("note", to="x"), "note"),
        (changed("reference", to=...), "reference"),
        (changed("hub", to="hub"), "agency code"),
        (changed("hub", to="ATF"), "ATF is the hub"),
        (changed("agreement", to="-x"), "name"),
        (changed("agreement", to="a b"), "name"),
        (changed("agreement", to="a" * 65), "name"),
        (changed("agreement", to="a/b"), "name"),
        (changed("version", to=0), "version"),
        (changed("version", to=2**32), "version"),
        (changed("version", to=1.5), "not an integer"),
        (changed("version", to="1"), "version"),
        (changed("title", to=""), "title"),
        (changed("title", to="x" * 201), "title"),
        (changed("title", to="two\nlines"), "title"),
        (changed("title", to="turned \u202e round"), "title"),
        (changed("title", to=" blank first"), "title"),
        (changed("reference", to=""), "reference"),
        (changed("reference", to="\x1b[2J"), "reference"),
        (changed("parties", to=["JCF", "ATF"]), "order of their codes"),
        (changed("parties", to=["ATF", "ATF"]), "order of their codes"),
        (changed("parties", to=["ATF"]), "parties"),
        (changed("parties", to=["ATF", "JCF", "RSS"]), "parties"),
        (changed("not_after_ms", to=1_000), "never holds"),
        (changed("not_before_ms", to=-1), "not_before_ms"),
        (changed("not_after_ms", to=253_402_300_800_000), "not_after_ms"),
        (changed("not_after_ms", to=253_370_764_800_001), "ends after 9998"),
        (changed("clauses", to=[]), "clauses"),
        (changed("clauses", to=json.loads(encode_agreement(DOCUMENT))["clauses"] * 65), "clauses"),
        (changed("clauses", 0, "originator", to="RSS"), "clause 1 is not between"),
        (changed("clauses", 0, "recipient", to="RSS"), "clause 1 is not between"),
        (changed("clauses", 0, "recipient", to="JCF"), "clause 1 is not between"),
        (changed("clauses", 0, "recipient", to="*"), "agency code"),
        (changed("clauses", 0, "event_types", to=[]), "event_types"),
        (changed("clauses", 0, "event_types", to=["*"]), "no wildcard"),
        (changed("clauses", 0, "event_types", to=["trace.*"]), "no wildcard"),
        (changed("clauses", 0, "event_types", to=["hub.notice"]), "hub's alone"),
        (changed("clauses", 0, "event_types", to=["trace.ack", "trace.ack"]), "twice"),
        (changed("clauses", 0, "compartments", to=[]), "compartments"),
        (changed("clauses", 0, "compartments", to=["*"]), "compartment name"),
        (changed("clauses", 0, "compartments", to=["core"] * 2), "twice"),
        (changed("clauses", 0, "purposes", to=[]), "purposes"),
        (changed("clauses", 0, "purposes", to=["ANYTHING"]), "ANYTHING"),
        (changed("clauses", 0, "max_handling", to="AMBER"), "handling label"),
        (changed("clauses", 0, "max_handling", to=...), "max_handling"),
        (changed("clauses", 0, "onward", to="ANYONE"), "onward sharing"),
        (changed("clauses", 0, "onward", to=...), "onward"),
        (changed("clauses", 0, "retention_days", to=0), "retention"),
        (changed("clauses", 0, "retention_days", to=36_526), "retention"),
        (changed("clauses", 0, "retention_days", to=True), "retention_days"),
    ],
)
def test_refused(raw: bytes, why: str) -> None:
    with pytest.raises(AgreementMalformed) as caught:
        parse_agreement(raw)
    assert why in caught.value.message or why in str(caught.value.details)


@pytest.mark.parametrize(
    "clause",
    [
        replace(CLAUSE, event_types=frozenset()),
        replace(CLAUSE, compartments=frozenset()),
        replace(CLAUSE, purposes=frozenset()),
        replace(CLAUSE, recipient=AgencyId("RSS")),
    ],
)
def test_no_document_is_made_that_a_reader_refuses(clause: Clause) -> None:
    with pytest.raises(AgreementMalformed):
        replace(DOCUMENT, clauses=(CLAUSE, clause))


def test_what_is_too_long_is_not_handed_out() -> None:
    types = frozenset(f"t{i:031}.{'x' * 32}.{'y' * 32}" for i in range(256))
    with pytest.raises(AgreementMalformed, match="too long"):
        encode_agreement(replace(DOCUMENT, clauses=(replace(CLAUSE, event_types=types),) * 64))
