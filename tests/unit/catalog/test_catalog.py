"""What is true of the repository's own schemas."""

from __future__ import annotations

import pytest

from hub.catalog import Catalog, EventType, TypeUnknown
from hub.catalog.fields import walk
from hub.errors import RejectedError
from hub.model import Compartment
from tests.support.samples import catalog

TYPES = [catalog().get(name) for name in catalog().names()]
each_type = pytest.mark.parametrize("event_type", TYPES, ids=lambda event_type: event_type.name)

WANTED = {
    "trace.request", "trace.ack", "trace.result", "ballistic.link", "seizure.report", "export.referral",
    "interdiction.result", "firearm.notice", "firearm.hit", "intel.alert", "case.update", "stats.period", "hub.notice",
}  # fmt: skip


def test_every_type_of_the_design_is_there() -> None:
    assert set(catalog().names()) == WANTED


def test_unknown_type() -> None:
    with pytest.raises(TypeUnknown, match=r"did you mean trace\.request") as caught:
        catalog().get("trace.requst")
    assert isinstance(caught.value, RejectedError)
    with pytest.raises(TypeUnknown, match="there are"):
        catalog().get("x" * 10_000)


def test_the_default_root_is_the_package_s() -> None:
    assert Catalog.load().names() == catalog().names()


@each_type
def test_every_field_has_a_compartment_and_a_doc(event_type: EventType) -> None:
    for field in event_type.fields.values():
        assert field.doc.strip()
        assert field.compartments
        assert set(field.compartments) <= set(event_type.compartments)
        if field.kind not in ("record", "array"):
            assert len(field.compartments) == 1


def test_every_code_list_has_a_source() -> None:
    assert len(catalog().code_lists["iso-3166-1-alpha-2"].codes) == 249
    for code_list in catalog().code_lists.values():
        assert code_list.source.strip()
        assert code_list.title.strip()


@each_type
def test_a_nested_field_is_never_more_open_than_what_it_stands_in(event_type: EventType) -> None:
    order = event_type.compartments
    compartments = {node.path: node.compartment for node in walk(event_type.schema.root)}
    for path, compartment in compartments.items():
        parent = path.rpartition(".")[0].removesuffix("[]")
        if parent and compartments[parent] in order:
            assert order.index(compartment) >= order.index(compartments[parent]), path


@each_type
def test_every_section_of_every_item_has_a_byte(event_type: EventType) -> None:
    for node in walk(event_type.schema.root):
        inner = node.record
        for compartment in node.compartments if inner is not None else ():
            assert any(below.visible(frozenset((compartment,))) for below in inner.fields if inner is not None), (
                node.path
            )


@each_type
def test_personal_data_is_never_in_core(event_type: EventType) -> None:
    for field in event_type.fields.values():
        if field.personal and field.kind != "record":
            assert Compartment("core") not in field.compartments, field.path


SENSITIVE = {"serial_raw", "serial_pattern", "other_numbers", "case_ref", "originator_case_ref", "gang", "docket"}


@each_type
def test_serial_numbers_and_case_numbers_are_sensitive(event_type: EventType) -> None:
    for field in event_type.fields.values():
        name = field.path.split(".")[-1].removesuffix("[]")
        if name in {
            "serial_raw",
            "serial_pattern",
            "other_numbers",
            "case_ref",
            "originator_case_ref",
            "docket",
        }:
            assert field.compartments == (Compartment("sensitive"),), field.path


@each_type
def test_what_can_hold_personal_data_can_name_its_legal_basis(event_type: EventType) -> None:
    if any(field.personal for field in event_type.fields.values()):
        assert "header.legal_basis_id" in event_type.fields
        assert "header.purge_by" in event_type.fields


def test_the_notice_is_all_in_core() -> None:
    notice = catalog().get("hub.notice")
    assert notice.compartments == ("core",)
    assert not any(field.personal for field in notice.fields.values())
