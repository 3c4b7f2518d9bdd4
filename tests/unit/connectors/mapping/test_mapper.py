"""Rows to events: keys, constants, optional records, groups, and what is held back."""

from __future__ import annotations

from tests.support.profiles import HEADER, NOTICES, changed, lines_of, mapper_of, read_all

ROW = "R1,,Stolen,03/04/2025,BKT482,GLOCK,,"

SEIZURES = """\
profile: seizures
version: 1
title: Seizures for tests
event_type: seizure.report
values: {timestamps: "%d/%m/%Y %H:%M", dates: "%d/%m/%Y", timezone: America/Jamaica, empty: [N/A]}
group_by: [No]
envelope:
  handling: {value: "TLP:AMBER"}
  purpose: {value: INVESTIGATION}
  priority: {value: ROUTINE}
  expires: {on: 2040-01-01}
fields:
  header.legal_basis_id: {value: MOU 1}
  header.purge_by: {value: 2031-01-01}
  agency: {value: JCF}
  acquisition: {value: SEIZED}
  place_type: {value: INLAND}
  seized_at: At
  place.country: {value: JM}
  place.locality: Town
  offence_context: {value: UNKNOWN}
  status: {value: CONFIRMED}
rows:
  - into: firearms
    when: {column: Item, one_of: [Gun]}
    fields:
      serial_raw: {column: Serial, derive: serial_raw}
      serial_status: {column: Serial, derive: serial_status}
      make_text: Make
      caliber_text: {value: 9mm}
      type_ncic: {value: PI}
  - into: ammunition
    when: {column: Item, one_of: [Ammo]}
    fields: {cartridge: {value: 9x19mm}, rounds: Qty}
  - into: persons
    when: {column: Who, filled: true}
    distinct: true
    fields: {role: {value: SUSPECT}, names: Who}
"""
GROUP_HEADER = "No,At,Town,Item,Serial,Make,Qty,Who"


def group(*rows: str) -> str:
    return "\n".join([GROUP_HEADER, *rows])


# --- one row, one event


def test_a_row_becomes_an_event() -> None:
    (taken,), _ = read_all(mapper_of(), f"{HEADER}\nR1,Y,Lost,03/04/2025, bkt-482 ,GLOCK,A1; B2 ;,Y\n")
    event = taken.event
    assert (event.event_type, event.priority.value, str(event.handling)) == ("firearm.notice", "URGENT", "TLP:GREEN")
    assert event.body["date"] == "2025-04-03"
    assert event.body["kind"] == "LOST"
    assert event.body["firearm"]["serial_raw"] == " bkt-482 "
    assert event.body["firearm"]["other_numbers"] == ["A1", "B2"]
    assert event.body["ffl_theft"] is True
    assert taken.origins[0].raw["Serial"] == " bkt-482 "


def test_the_same_row_makes_the_same_event_and_the_same_key() -> None:
    first, second = (read_all(mapper_of(), f"{HEADER}\n{ROW}\n")[0][0] for _ in range(2))
    assert (first.key, first.event) == (second.key, second.event)
    assert first.key.startswith("notices:")
    assert "R1" not in first.key


def test_a_mended_row_keeps_its_key() -> None:
    (first,), _ = read_all(mapper_of(), f"{HEADER}\n{ROW}\n")
    (mended,), _ = read_all(mapper_of(), f"{HEADER}\n{ROW.replace('GLOCK', 'GLOCK 19')}\n")
    assert first.key == mended.key
    assert first.event != mended.event


def test_without_a_natural_key_the_content_is_the_key() -> None:
    mapper = mapper_of(changed("key: [Ref]\n", ""))
    taken, _ = read_all(mapper, f"{HEADER}\n{ROW}\n{ROW}\n{ROW.replace('GLOCK', 'COLT')}\n")
    assert taken[0].key == taken[1].key != taken[2].key


def test_a_repeated_key_with_other_content_is_refused_unless_the_profile_says_amend() -> None:
    data = f"{HEADER}\n{ROW}\n{ROW}\n{ROW.replace('GLOCK', 'COLT')}\n"
    taken, refused = read_all(mapper_of(), data)
    assert len(taken) == 2
    assert lines_of(refused) == [(4, "row.key_repeated", "Ref")]
    taken, refused = read_all(mapper_of(changed("key: [Ref]", "key: [Ref]\nrepeated_key: amend")), data)
    assert (len(taken), refused) == (3, [])


def test_an_empty_key_is_refused() -> None:
    assert lines_of(read_all(mapper_of(), f"{HEADER}\n{ROW.replace('R1', ' ')}\n")[1]) == [
        (2, "row.key_missing", "Ref")
    ]


def test_all_faults_of_a_row_are_told_at_once() -> None:
    _, (refused,) = read_all(mapper_of(), f"{HEADER}\nR1,,Stollen,31/02/2025,B,,,X\n")
    also = refused.error.details["also"]
    assert isinstance(also, list)
    assert {(refused.error.code, refused.error.details["column"])} | {(a["code"], a["column"]) for a in also} == {
        ("row.code_unknown", "Kind"),
        ("row.date", "Date"),
        ("row.boolean", "Dealer"),
        ("row.cell_missing", "Make"),
    }
    assert "did you mean 'Stolen'" in refused.error.message


def test_words_for_nothing_are_nothing() -> None:
    _, refused = read_all(mapper_of(), f"{HEADER}\n{ROW.replace('GLOCK', 'n/a')}\n")
    assert lines_of(refused) == [(2, "row.cell_missing", "Make")]


def test_an_optional_record_of_which_no_cell_speaks_is_absent_whatever_its_constants() -> None:
    text = changed(
        "  ffl_theft:",
        "  header.legal_basis_id: {value: IARMS}\n  header.purge_by: {value: 2031-01-01}\n"
        "  owner.role: {value: POSSESSOR}\n  owner.names: Owner\n  ffl_theft:",
    )
    taken, _ = read_all(mapper_of(text), f'{HEADER},Owner\n{ROW},\n{ROW.replace("R1", "R2")},"BRIN, Keni"\n')
    assert taken[0].event.body["owner"] is None
    assert taken[1].event.body["owner"]["names"] == ["BRIN, Keni"]


def test_an_optional_record_of_which_a_cell_speaks_must_be_whole() -> None:
    text = changed(
        "  ffl_theft:",
        "  serial_range.first: First\n  serial_range.last: Last\n"
        "  serial_range.qty: {value: 2}\n  serial_range.make_text: {value: X}\n"
        "  serial_range.type_ncic: {value: PI}\n  ffl_theft:",
    )
    header = f"{HEADER},First,Last"
    taken, refused = read_all(mapper_of(text), f"{header}\n{ROW},,\n{ROW.replace('R1', 'R2')},A1,\n")
    assert taken[0].event.body["serial_range"] is None
    assert lines_of(refused) == [(3, "row.cell_missing", "Last")]


def test_what_the_schema_refuses_names_the_column() -> None:
    _, refused = read_all(mapper_of(), f"{HEADER}\n{ROW.replace('GLOCK', 'G' * 90)}\n")
    assert lines_of(refused) == [(2, "row.field", "Make")]
    assert refused[0].error.details["event_code"] == "event.field_range"


def test_formulas_and_markup_are_data() -> None:
    for cell in ("=HYPERLINK(A1)", "+1", "-1", "@x", "<script>", "'; DROP TABLE x;--", "{{7*7}}"):
        (taken,), _ = read_all(mapper_of(), f"{HEADER}\n{ROW.replace('GLOCK', cell)}\n")
        assert taken.event.body["firearm"]["make_text"] == cell


def test_fixed_places_of_a_list() -> None:
    text = changed(
        "  ffl_theft:", "  firearm.image_refs[0].sha256: Hash\n  firearm.image_refs[0].uri: Uri\n  ffl_theft:"
    )
    header = f"{HEADER},Hash,Uri"
    taken, refused = read_all(
        mapper_of(text),
        f"{header}\n{ROW},,\n{ROW.replace('R1', 'R2')},{'a' * 64},file:x\n{ROW.replace('R1', 'R3')},,file:x\n",
    )
    assert [len(t.event.body["firearm"]["image_refs"]) for t in taken] == [0, 1]
    assert lines_of(refused) == [(4, "row.cell_missing", "Hash")]


# --- several rows, one event


def test_rows_of_a_group_become_one_event_wherever_they_stand() -> None:
    taken, refused = read_all(
        mapper_of(SEIZURES),
        group(
            'S1,03/04/2025 10:00,Mona,Gun,BKT482,GLOCK,,"BRIN, Keni"',
            "S2,04/04/2025 10:00,,Ammo,,,12,",
            'S1,,,Ammo,,,30,"BRIN, Keni"',
        ),
    )
    assert refused == []
    first, second = (item.event.body for item in taken)
    assert first["seized_at"] == "2025-04-03T15:00:00.000Z"
    assert [gun["serial_raw"] for gun in first["firearms"]] == ["BKT482"]
    assert [ammo["rounds"] for ammo in first["ammunition"]] == [30]
    assert len(first["persons"]) == 1
    assert [ammo["rounds"] for ammo in second["ammunition"]] == [12]
    assert [origin.row for origin in taken[0].origins] == [2, 4]


def test_a_bad_row_holds_back_its_event_and_no_other() -> None:
    taken, refused = read_all(
        mapper_of(SEIZURES),
        group("S1,03/04/2025 10:00,,Gun,BKT482,GLOCK,,", "S1,,,Ammo,,,many,", "S2,04/04/2025 10:00,,Ammo,,,12,"),
    )
    assert len(taken) == 1
    assert lines_of(refused) == [(2, "row.group_incomplete", None), (3, "row.number", "Qty")]
    assert "row 3" in refused[0].error.message


def test_rows_that_contradict_each_other_are_refused() -> None:
    _, refused = read_all(
        mapper_of(SEIZURES),
        group("S1,03/04/2025 10:00,Mona,Gun,B12,GLOCK,,", "S1,03/04/2025 11:00,Mona,Ammo,,,3,"),
    )
    assert lines_of(refused) == [(2, "row.group_incomplete", None), (3, "row.group_conflict", "At")]


def test_a_kind_of_row_that_is_not_known_is_refused() -> None:
    _, refused = read_all(mapper_of(SEIZURES), group("S1,03/04/2025 10:00,,Guns,B12,GLOCK,,"))
    assert lines_of(refused) == [(2, "row.kind_unknown", "Item")]
    assert "did you mean 'Gun'" in refused[0].error.message


def test_what_the_schema_refuses_names_the_row_that_it_came_from() -> None:
    _, refused = read_all(
        mapper_of(SEIZURES),
        group("S1,03/04/2025 10:00,,Ammo,,,3,", "S1,,,Ammo,,,0,"),
    )
    assert lines_of(refused) == [(2, "row.group_incomplete", None), (3, "row.field", "Qty")]


def test_a_broken_row_that_names_its_group_holds_it_back() -> None:
    taken, refused = read_all(
        mapper_of(SEIZURES),
        group("S1,03/04/2025 10:00,,Gun,B12,GLOCK,,", "S1,,,Ammo", "S2,04/04/2025 10:00,,Ammo,,,12,"),
    )
    assert len(taken) == 1
    assert lines_of(refused) == [(2, "row.group_incomplete", None), (3, "row.columns", None)]


def test_a_broken_row_that_names_no_group_is_refused_alone() -> None:
    taken, refused = read_all(mapper_of(SEIZURES), group('"S1,x', "S1,03/04/2025 10:00,,Ammo,,,12,"))
    assert len(taken) == 1
    assert lines_of(refused) == [(2, "row.quote", None)]


def test_the_order_of_rows_within_a_group_is_kept() -> None:
    (taken,), _ = read_all(
        mapper_of(SEIZURES),
        group(*(f"S1,03/04/2025 10:00,,Gun,B{n}2,GLOCK,," for n in (3, 1, 2))),
    )
    assert [gun["serial_raw"] for gun in taken.event.body["firearms"]] == ["B32", "B12", "B22"]


def test_replies_and_threads_come_from_columns() -> None:
    text = NOTICES.replace(
        "envelope:\n",
        "envelope:\n  correlation_id: Thread\n  in_reply_to: {publisher: {value: ATF}, event_id: Answers}\n",
    )
    header, uuid = f"{HEADER},Thread,Answers", "0199aaaa-bbbb-7ccc-8ddd-eeeeffff0001"
    taken, refused = read_all(
        mapper_of(text), f"{header}\n{ROW},{uuid},{uuid}\n{ROW.replace('R1', 'R2')},,\n{ROW.replace('R1', 'R3')},x,\n"
    )
    assert taken[0].event.in_reply_to is not None
    assert taken[0].event.in_reply_to.publisher == "ATF"
    assert taken[1].event.in_reply_to is None
    assert taken[1].event.correlation_id is None
    assert [(row, code) for row, code, _ in lines_of(refused)] == [(4, "row.identifier")]
