"""The audit log: a chain that shows what is missing, changed, doubled, put in by another, or cut off."""

from __future__ import annotations

from pathlib import Path

import pytest

from hub.console.audit import (
    FIRST,
    AuditBroken,
    AuditMalformed,
    Entry,
    Tip,
    digest_of,
    encode_entry,
    parse_entry,
    read_trail,
    verify_trail,
)
from hub.console.audit_log import AuditMemoryInvalid, load_tip


def chain(count: int, writer: str = "console-1") -> list[bytes]:
    records: list[bytes] = []
    previous = FIRST
    for number in range(1, count + 1):
        entry = Entry(
            writer=writer,
            number=number,
            previous=previous,
            at_ms=1_796_000_000_000 + number,
            who="Operations desk (Hub operations)",
            fingerprint="ab" * 32,
            what="quarantine.discarded",
            place=f"0-{number}",
            digest="cd" * 32,
            reason="a test",
        )
        records.append(encode_entry(entry))
        previous = digest_of(records[-1])
    return records


def faults(records: list[bytes], tip: Tip | None = None) -> int:
    return len(read_trail(enumerate(records), own="console-1", tip=tip).faults)


def test_an_entry_there_and_back() -> None:
    (raw,) = chain(1)
    assert encode_entry(parse_entry(raw)) == raw


def test_a_chain_holds_and_knows_its_tip() -> None:
    records = chain(3)
    trail = read_trail(enumerate(records), own="console-1", tip=Tip(3, digest_of(records[-1])))
    verify_trail(trail)
    assert trail.tip("console-1") == Tip(3, digest_of(records[-1]))
    assert trail.tip("console-2") == Tip()
    assert [written.entry.number for written in trail.about("0-2")] == [2]


def test_two_consoles_have_two_chains() -> None:
    one, two = chain(2), chain(2, "console-2")
    assert faults([one[0], two[0], two[1], one[1]]) == 0


@pytest.mark.parametrize("what", ["missing", "changed", "doubled", "forged", "reordered", "renumbered", "garbage"])
def test_what_does_not_hold_is_seen(what: str) -> None:
    records = chain(3)
    match what:
        case "missing":
            del records[1]
        case "changed":
            records[1] = records[1].replace(b"a test", b"a jest")
        case "doubled":
            records.insert(2, records[1])
        case "forged":
            forged = parse_entry(records[2]).model_copy(update={"previous": FIRST, "reason": "not me"})
            records[2] = encode_entry(forged)
        case "reordered":
            records[0], records[1] = records[1], records[0]
        case "renumbered":  # in the chain by its hash, and with a number left out
            records[2] = encode_entry(parse_entry(records[2]).model_copy(update={"number": 4}))
        case "garbage":
            records.insert(1, b"{}")
    trail = read_trail(enumerate(records))
    assert trail.faults
    with pytest.raises(AuditBroken):
        verify_trail(trail)


def test_a_cut_end_is_seen_by_who_remembers_it() -> None:
    records = chain(3)
    tip = Tip(3, digest_of(records[-1]))
    assert faults(records, tip) == 0
    assert faults(records[:2]) == 0  # nothing in the chain itself shows it
    assert faults(records[:2], tip) == 1
    assert faults([], tip) == 1
    records[2] = chain(3, "console-1")[2].replace(b"a test", b"a jest")
    assert faults(records, tip) == 1


@pytest.mark.parametrize(
    "raw", [b"", b"[]", b"{}", b'{"kind":"cgi-hub/v1/audit"}', b"x" * 20_000, chain(1)[0].replace(b"0-1", b"../etc")]
)
def test_what_is_no_entry_is_refused(raw: bytes) -> None:
    with pytest.raises(AuditMalformed):
        parse_entry(raw)


def test_a_damaged_memory_is_an_error_and_not_a_new_beginning(tmp_path: Path) -> None:
    memory = tmp_path / "audit.json"
    assert load_tip(memory) is None
    for text in ("", "{}", '{"kind":"cgi-hub/v1/audit-tip","number":0,"digest":""}'):
        memory.write_text(text)
        with pytest.raises(AuditMemoryInvalid):
            load_tip(memory)
