"""A profile at work: a file's bytes in, events and refused rows out. Pure but for the report's path, which it carries.

``Mapper.read`` keeps this order: the file's faults first (raised), then for each event, in the order of its first row,
either a ``Taken`` or a ``Refused`` for each of its rows.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from connectors.mapping.plan import Plan, RowPart, build, compile_plan
from connectors.mapping.profile import CellRule, Profile, load_profile, resolve_profile
from connectors.mapping.readers import Reader, RuleFault, clean, compile_scalar
from connectors.mapping.table import TableRow, read_table
from connectors.mapping.values import check_text, parse_date
from connectors.toolkit.errors import (
    CellMissing,
    GroupConflict,
    GroupIncomplete,
    KeyMissing,
    KeyRepeated,
    KindUnknown,
    ProfileInvalid,
    RowRejected,
    as_row_errors,
    first_of,
)
from connectors.toolkit.lined_yaml import LinedYaml
from connectors.toolkit.source import Origin, Refused, Taken
from connectors.toolkit.suggest import suggest
from hub.catalog import Catalog, TypeUnknown
from hub.catalog.fields import Scalar
from hub.document import parse_document
from hub.errors import RejectedError
from hub.model import Priority, Purpose

_AT = re.compile(r"^([a-z0-9_]+)\[(\d+)\]")


def load_mapper(name: str, base: Path, catalog: Catalog) -> Mapper:
    """The mapper of a profile by its name or path. Raises ``ProfileInvalid`` with file, line and what was meant."""
    path = resolve_profile(name, base)
    profile, document = load_profile(path)
    return Mapper(profile, document, catalog)


class Mapper:
    """One profile against one catalog."""

    def __init__(self, profile: Profile, document: LinedYaml, catalog: Catalog) -> None:
        """Raises ``ProfileInvalid``."""
        self.profile = profile
        self._catalog = catalog
        try:
            event_type = catalog.get(profile.event_type)
        except TypeUnknown as error:
            near = suggest(profile.event_type, catalog.names())
            raise ProfileInvalid(
                f"{document.at(['event_type'])}: no event type {profile.event_type!r}{near}"
            ) from error
        self.plan: Plan = compile_plan(profile, document, event_type, event_type.schema.root)
        self._envelope = _compile_envelope(profile, document)
        text = json.dumps(profile.model_dump(mode="json"), sort_keys=True)
        self.digest = hashlib.sha256(f"{text}:{event_type.version}".encode()).hexdigest()[:32]
        """Changes with the profile and the schema's version: an old position does not count under a new one."""

    def read(self, data: bytes, report: Path) -> Iterator[Taken | list[Refused]]:
        """For each event a ``Taken``, or the refusals of its rows. Raises ``FileRejected`` before the first."""
        rows = read_table(data, self.profile, self.plan.used)
        if self.profile.group_by:
            yield from self._read_groups(rows, report)
            return
        seen: dict[str, bytes] = {}
        for row in rows:
            yield from self._read_single(row, report, seen)

    # --- one row, one event

    def _read_single(self, row: TableRow, report: Path, seen: dict[str, bytes]) -> Iterator[Taken | list[Refused]]:
        origin = self._origin(row, report)
        if row.fault is not None:
            yield [Refused(origin, row.fault)]
            return
        key, faults = "", []
        try:
            key = self._key(row)
            self._check_repeated(key, row, seen)
        except RowRejected as error:
            faults.append(error)
        body, body_faults = build(self.plan.head, row.cells)
        faults += body_faults
        document = self._document(row.cells, faults)
        if faults:
            yield [Refused(origin, first_of(faults))]
            return
        document["body"] = body
        yield self._finish(document, key, (origin,), {})

    def _check_repeated(self, key: str, row: TableRow, seen: dict[str, bytes]) -> None:
        content = self._content(row)
        if seen.setdefault(key, content) != content and self.profile.repeated_key == "refuse":
            columns = ", ".join(self.profile.key)
            raise KeyRepeated(
                f"the row has the same {columns} as an earlier one and says something else", column=columns
            )

    # --- several rows, one event

    def _read_groups(self, rows: Iterator[TableRow], report: Path) -> Iterator[Taken | list[Refused]]:
        """Rows of a group need not stand together: an event is complete only when the whole file was read.

        A row too broken to name its group is refused alone; once it is mended, the event is sent again as an
        amendment of the one that went without it.
        """
        groups: dict[str, list[TableRow]] = {}
        lost: list[Refused] = []
        for row in rows:
            origin = self._origin(row, report)
            if row.fault is not None:
                self._spoil(row, origin, groups, lost)
                continue
            try:
                groups.setdefault(self._key(row), []).append(row)
            except RowRejected as error:
                lost.append(Refused(origin, error))
        if lost:
            yield lost
        for key, members in groups.items():
            yield self._read_group(key, members, report)

    def _spoil(self, row: TableRow, origin: Origin, groups: dict[str, list[TableRow]], lost: list[Refused]) -> None:
        """A broken row spoils the group that its legible cells name; where they name none, it is refused alone."""
        cells = {column: row.raw.get(column, "") for column in self.profile.group_by}
        probe = TableRow(row.row, row.line, cells, row.raw, row.fault)
        try:
            key = self._key(probe)
        except RowRejected:
            lost.append(Refused(origin, row.fault or RowRejected("cannot be read")))
            return
        groups.setdefault(key, []).append(probe)

    def _read_group(self, key: str, rows: list[TableRow], report: Path) -> Taken | list[Refused]:
        origins = tuple(self._origin(row, report) for row in rows)
        faults: dict[int, list[RowRejected]] = {
            index: [row.fault] for index, row in enumerate(rows) if row.fault is not None
        }
        document: dict[str, Any] = {}
        places: dict[str, int] = {}
        if not faults:
            try:
                head_row = self._merge(rows)
            except _Conflict as conflict:
                faults.setdefault(conflict.index, []).append(conflict.error)
            else:
                document, places = self._group_document(rows, head_row, faults)
        if faults:
            return _group_refusals(origins, faults)
        return self._finish(document, key, origins, places)

    def _group_document(
        self, rows: list[TableRow], head_row: TableRow, faults: dict[int, list[RowRejected]]
    ) -> tuple[dict[str, Any], dict[str, int]]:
        body, head_faults = build(self.plan.head, head_row.cells)
        made: dict[str, Any] = dict(body or {})
        places: dict[str, int] = {}
        for part in self.plan.parts:
            made.setdefault(part.into, [])
        for index, row in enumerate(rows):
            row_faults = self._add_items(row, index, made, places)
            if row_faults:
                faults.setdefault(index, []).extend(row_faults)
        document = self._document(head_row.cells, head_faults)
        if head_faults:
            faults.setdefault(0, []).extend(head_faults)
        document["body"] = made
        return document, places

    def _add_items(self, row: TableRow, index: int, body: dict[str, Any], places: dict[str, int]) -> list[RowRejected]:
        faults: list[RowRejected] = []
        kinds: list[RowPart] = []
        matched = False
        for part in self.plan.parts:
            if part.when is not None:
                cell = clean(row.cells[part.when.column], self.profile.values)
                if part.when.one_of:
                    kinds.append(part)
                    if cell.casefold() not in {word.casefold() for word in part.when.one_of}:
                        continue
                    matched = True
                elif not cell:
                    continue
            item, item_faults = build(part.branch, row.cells, f"{part.into}[].")
            faults += item_faults
            if item is None or (part.distinct and item in body[part.into]):
                continue
            places[f"{part.into}[{len(body[part.into])}]"] = index
            body[part.into].append(item)
        if kinds and not matched:
            column = kinds[0].when.column if kinds[0].when else ""
            words = [word for part in kinds if part.when for word in part.when.one_of]
            cell = clean(row.cells[column], self.profile.values)
            faults.append(KindUnknown(f"{column}: the profile knows no {cell!r}{suggest(cell, words)}", column=column))
        return faults

    def _merge(self, rows: list[TableRow]) -> TableRow:
        """The head's cells of a group: rows may leave them empty, but not contradict each other."""
        merged = dict(rows[0].cells)
        for index, row in enumerate(rows[1:], start=1):
            for column in self.plan.head_columns:
                cell, so_far = row.cells[column].strip(), merged[column].strip()
                if cell and so_far and cell != so_far:
                    raise _Conflict(
                        index,
                        GroupConflict(
                            f"{column}: differs from another row of the same {', '.join(self.profile.group_by)}",
                            column=column,
                        ),
                    )
                if cell and not so_far:
                    merged[column] = row.cells[column]
        return TableRow(rows[0].row, rows[0].line, merged, rows[0].raw)

    # --- what both share

    def _origin(self, row: TableRow, report: Path) -> Origin:
        return Origin(report, row.row, row.line, row.raw, self.plan.columns)

    def _key(self, row: TableRow) -> str:
        """The profile's name and a digest of the natural key: no case number stands in a key. ``KeyMissing``."""
        columns = self.profile.key or self.profile.group_by
        values = []
        for column in columns:
            check_text(row.cells[column])
            cell = " ".join(row.cells[column].split())
            if not cell:
                raise KeyMissing(f"{column}: is empty, and it is part of the key", column=column)
            values.append(cell)
        material = json.dumps(values).encode() if columns else self._content(row)
        return f"{self.profile.profile}:{hashlib.sha256(material).hexdigest()[:40]}"

    def _content(self, row: TableRow) -> bytes:
        return json.dumps([row.cells[column].strip() for column in self.plan.used]).encode()

    def _document(self, row: dict[str, str], faults: list[RowRejected]) -> dict[str, Any]:
        """The document without its body. A label that cannot be read is added to ``faults``."""
        envelope = self._envelope
        document: dict[str, Any] = {"type": self.profile.event_type}
        for name, label in envelope.labels.items():
            try:
                value, _ = label.read(row)
                if value is None:
                    raise CellMissing("is empty, and a label cannot be")
                document[name] = value
            except RowRejected as error:
                faults.append(_label_fault(error, label.rule, name))
        try:
            document["expires_at"] = self._expiry(row)
            if envelope.correlation is not None:
                document["correlation_id"], _ = envelope.correlation.read(row)
            if envelope.reply is not None:
                publisher, event_id = (label.read(row)[0] for label in envelope.reply)
                document["in_reply_to"] = {"publisher": publisher, "event_id": event_id} if event_id else None
        except RowRejected as error:
            faults.append(error)
        return {name: value for name, value in document.items() if value is not None}

    def _expiry(self, row: dict[str, str]) -> str:
        expires, forms = self.profile.envelope.expires, self.profile.values
        if expires.on is not None:
            return expires.on
        column = expires.column or ""
        cell = clean(row[column], forms)
        if not cell:
            raise CellMissing(f"{column}: is empty, and the event's end is counted from it", column=column)
        formats = (*forms.dates, *forms.timestamps)
        try:
            day = parse_date(cell, formats, century_from=forms.two_digit_years_from, excel=forms.excel_dates)
        except RowRejected as error:
            raise type(error)(f"{column}: {error.message}", column=column) from error
        return (day + timedelta(days=expires.add_days or 0)).isoformat()

    def _finish(
        self, document: dict[str, Any], key: str, origins: tuple[Origin, ...], places: dict[str, int]
    ) -> Taken | list[Refused]:
        try:
            return Taken(key, parse_document(document, self._catalog), origins)
        except RejectedError as error:
            faults: dict[int, list[RowRejected]] = {}
            for problem in as_row_errors(error):
                match = _AT.match(str(problem.details["field"]))
                index = places.get(match.group(0), 0) if match else 0
                faults.setdefault(index, []).append(problem)
            return _group_refusals(origins, faults)


class _Conflict(Exception):
    def __init__(self, index: int, error: GroupConflict) -> None:
        super().__init__(error.message)
        self.index = index
        self.error = error


def _group_refusals(origins: tuple[Origin, ...], faults: dict[int, list[RowRejected]]) -> list[Refused]:
    """Every row of a group is refused when one is: half an event is not sent."""
    culprits = ", ".join(str(origins[index].row) for index in sorted(faults))
    held = GroupIncomplete(f"held back because of row {culprits} of the same event", column=None)
    return [
        Refused(origin, first_of(faults[index]) if index in faults else held) for index, origin in enumerate(origins)
    ]


# --- the envelope ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Label:
    rule: CellRule
    read: Reader


@dataclass(frozen=True, slots=True)
class _CompiledEnvelope:
    labels: dict[str, _Label]
    correlation: _Label | None
    reply: tuple[_Label, _Label] | None


_TLP = ("TLP:CLEAR", "TLP:GREEN", "TLP:AMBER", "TLP:AMBER+STRICT", "TLP:RED")
_HANDLINGS = (*_TLP, *(f"{tlp} {siena}" for tlp in _TLP for siena in ("H0", "H1", "H2", "H3")))


def _compile_envelope(profile: Profile, document: LinedYaml) -> _CompiledEnvelope:
    envelope = profile.envelope

    def compile_label(rule: CellRule, scalar: Scalar, *place: str) -> _Label:
        try:
            return _Label(rule, compile_scalar(rule, scalar, many=False, profile=profile))
        except RuleFault as fault:
            raise ProfileInvalid(f"{document.at(['envelope', *place])}: envelope.{'.'.join(place)}: {fault}") from fault

    def symbols(*names: str) -> Scalar:
        return Scalar("enum", symbols=names)

    labels = {
        "handling": compile_label(envelope.handling, symbols(*_HANDLINGS), "handling"),
        "priority": compile_label(envelope.priority, symbols(*(item.value for item in Priority)), "priority"),
        "purpose": compile_label(envelope.purpose, symbols(*(item.value for item in Purpose)), "purpose"),
    }
    if envelope.expires.on is not None:
        try:
            date.fromisoformat(envelope.expires.on)
        except ValueError as error:
            where = document.at(["envelope", "expires", "on"])
            raise ProfileInvalid(f"{where}: envelope.expires.on: a day such as 2031-12-31 is wanted") from error
    uuid, text = Scalar("uuid"), Scalar("string")
    correlation: _Label | None = None
    if envelope.correlation_id is not None:
        correlation = compile_label(envelope.correlation_id, uuid, "correlation_id")
    reply: tuple[_Label, _Label] | None = None
    if envelope.in_reply_to is not None:
        reply = (
            compile_label(envelope.in_reply_to.publisher, text, "in_reply_to", "publisher"),
            compile_label(envelope.in_reply_to.event_id, uuid, "in_reply_to", "event_id"),
        )
    return _CompiledEnvelope(labels, correlation, reply)


def _label_fault(error: RowRejected, rule: CellRule, name: str) -> RowRejected:
    column = ", ".join(rule.used_columns) or None
    return type(error)(f"{column}: {error.message}" if column else error.message, column=column, field=name)
