"""A profile worked out against a schema: every field exists, every code exists, nothing mandatory is left out.

``compile_plan`` refuses a profile with file, line and what was meant; what it returns turns rows into bodies.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from connectors.mapping.profile import CellRule, Profile, RowRule, When
from connectors.mapping.readers import Reader, Row, RuleFault, compile_reader
from connectors.toolkit.errors import CellMissing, ProfileInvalid, RowRejected
from connectors.toolkit.lined_yaml import LinedYaml
from connectors.toolkit.suggest import suggest
from hub.catalog import EventType
from hub.catalog.fields import NO_DEFAULT, Array, Node, Record, walk

_STEP = re.compile(r"([a-z][a-z0-9_]*)(?:\[(\d{1,3})\])?")


@dataclass(frozen=True, slots=True)
class Leaf:
    """A field that is read from the row."""

    node: Node
    rule: CellRule
    read: Reader


@dataclass(slots=True)
class Branch:
    """A record that is made of a row: its leaves, its records, and its lists of records with fixed places."""

    record: Record
    optional: bool
    leaves: dict[str, Leaf] = field(default_factory=dict)
    branches: dict[str, Branch] = field(default_factory=dict)
    lists: dict[str, dict[int, Branch]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RowPart:
    """What a row of a group adds to one list."""

    into: str
    when: When | None
    distinct: bool
    branch: Branch


@dataclass(frozen=True, slots=True)
class Plan:
    """``head`` makes the body, ``parts`` the lists that the rows of a group fill."""

    event_type: EventType
    head: Branch
    parts: tuple[RowPart, ...]
    columns: dict[str, str]
    """Field path (``firearms[].make_text``) -> the column to blame."""
    used: tuple[str, ...]
    """Every column that the profile uses."""
    head_columns: tuple[str, ...]
    """Those that the rows of one event must agree on."""


def compile_plan(profile: Profile, document: LinedYaml, event_type: EventType, root: Record) -> Plan:
    """Raises ``ProfileInvalid``."""
    return _Compiler(profile, document, event_type, root).compile()


class _Compiler:
    def __init__(self, profile: Profile, document: LinedYaml, event_type: EventType, root: Record) -> None:
        self.profile = profile
        self.document = document
        self.event_type = event_type
        self.root = root
        self.columns: dict[str, str] = {}

    def compile(self) -> Plan:
        profile = self.profile
        head = Branch(self.root, optional=False)
        for path, rule in profile.fields.items():
            self._add(head, path, rule, ("fields", path), "")
        filled = {part.into for part in profile.rows}
        parts = tuple(self._part(rule, index, head) for index, rule in enumerate(profile.rows))
        self._cover(head, "", filled)
        for part in parts:
            self._cover(part.branch, f"{part.into}[].", set())
        self._cover_personal()
        head_columns = self._columns_of(profile.fields) + self._envelope_columns()
        row_columns = [column for part in profile.rows for column in self._columns_of(part.fields)]
        row_columns += [part.when.column for part in profile.rows if part.when]
        used = tuple(dict.fromkeys([*profile.key, *profile.group_by, *head_columns, *row_columns]))
        self._check_columns(used)
        return Plan(self.event_type, head, parts, self.columns, used, tuple(dict.fromkeys(head_columns)))

    def refuse(self, place: Sequence[str | int], message: str) -> ProfileInvalid:
        where = ".".join(str(step) for step in place)
        return ProfileInvalid(f"{self.document.at(place)}: {where}: {message}")

    def _add(self, top: Branch, path: str, rule: CellRule, place: tuple[str | int, ...], prefix: str) -> None:
        branch, steps = top, path.split(".")
        for number, step in enumerate(steps):
            match = _STEP.fullmatch(step)
            names = {node.name: node for node in branch.record.fields}
            node = names.get(match.group(1)) if match else None
            if match is None or node is None:
                raise self.refuse(
                    place, f"{self.event_type.name} has no field {prefix}{path}{self._near(prefix + path)}"
                )
            index = match.group(2)
            if number == len(steps) - 1 and index is None:
                self._leaf(branch, node, rule, place)
                self.columns[prefix + re.sub(r"\[\d+\]", "[]", path)] = ", ".join(rule.used_columns) or "(constant)"
                self.columns.setdefault(prefix + path, ", ".join(rule.used_columns) or "(constant)")
                return
            branch = self._descend(branch, node, index, place)
        raise self.refuse(place, "the path ends in a list's place: name a field of it")

    def _descend(self, branch: Branch, node: Node, index: str | None, place: tuple[str | int, ...]) -> Branch:
        if index is not None and not isinstance(node.type, Array):
            raise self.refuse(place, f"{node.path} is not a list")
        if node.record is None:
            raise self.refuse(place, f"{node.path} has no fields below it")
        if isinstance(node.type, Array):
            if index is None:
                raise self.refuse(place, f"{node.path} is a list: write {node.name}[0], or fill it by rows")
            places = branch.lists.setdefault(node.name, {})
            return places.setdefault(int(index), Branch(node.record, optional=True))
        return branch.branches.setdefault(node.name, Branch(node.record, optional=node.nullable))

    def _leaf(self, branch: Branch, node: Node, rule: CellRule, place: tuple[str | int, ...]) -> None:
        try:
            reader = compile_reader(rule, node, self.profile)
        except RuleFault as fault:
            raise self.refuse(place, str(fault)) from fault
        branch.leaves[node.name] = Leaf(node, rule, reader)

    def _part(self, rule: RowRule, index: int, head: Branch) -> RowPart:
        place = ("rows", index, "into")
        lists = {node.name: node for node in self.root.fields if isinstance(node.type, Array) and node.record}
        node = lists.get(rule.into)
        if node is None or node.record is None:
            raise self.refuse(place, f"no list of records {rule.into!r}{suggest(rule.into, lists)}")
        if rule.into in head.lists:
            raise self.refuse(place, f"{rule.into} is filled by fields already")
        branch = Branch(node.record, optional=True)
        for path, cell in rule.fields.items():
            self._add(branch, path, cell, ("rows", index, "fields", path), f"{rule.into}[].")
        return RowPart(rule.into, rule.when, rule.distinct, branch)

    # --- coverage

    def _cover(self, branch: Branch, prefix: str, filled: set[str]) -> None:
        """Every field without a default has a rule, in each record that the profile makes."""
        for node in branch.record.fields:
            there = node.name in branch.leaves or node.name in branch.lists or node.name in filled
            below = branch.branches.get(node.name)
            if below is not None:
                self._cover(below, f"{prefix}{node.name}.", set())
            elif node.default is NO_DEFAULT and not there:
                inner = f", such as {prefix}{node.name}.{node.record.fields[0].name}" if node.record else ""
                raise self.refuse(
                    ("fields",), f"{self.event_type.name} cannot do without {prefix}{node.name}{inner} ({node.doc})"
                )
            for place, item in branch.lists.get(node.name, {}).items():
                self._cover(item, f"{prefix}{node.name}[{place}].", set())

    def _cover_personal(self) -> None:
        """Fields that are mandatory with personal data have a rule where the profile maps any."""
        nodes = {node.path: node for node in walk(self.root)}
        personal = [path for path in self.columns if path in nodes and nodes[path].personal]
        if not personal:
            return
        for node in nodes.values():
            if node.mandatory_on == "personal" and node.path not in self.columns:
                raise self.refuse(
                    ("fields",), f"with personal data ({personal[0]}) the schema wants {node.path} ({node.doc})"
                )

    # --- columns

    def _columns_of(self, fields: dict[str, CellRule]) -> list[str]:
        return [column for rule in fields.values() for column in rule.used_columns]

    def _envelope_columns(self) -> list[str]:
        envelope = self.profile.envelope
        rules = [envelope.handling, envelope.purpose, envelope.priority]
        rules += [envelope.correlation_id] if envelope.correlation_id else []
        if envelope.in_reply_to:
            rules += [envelope.in_reply_to.publisher, envelope.in_reply_to.event_id]
        columns = [column for rule in rules for column in rule.used_columns]
        return columns + ([envelope.expires.column] if envelope.expires.column else [])

    def _check_columns(self, used: tuple[str, ...]) -> None:
        for name in self.profile.columns:
            if name not in used:
                raise self.refuse(("columns", name), f"no field uses the column {name!r}{suggest(name, used)}")
        for name in self.profile.file.ignore:
            if name in used:
                raise self.refuse(("file", "ignore"), f"the column {name!r} is used and ignored at once")
        names = [name for column in used for name in (column, *self.profile.columns.get(column, ()))]
        folded = [fold(name) for name in names]
        for name, plain in zip(names, folded, strict=True):
            if folded.count(plain) > 1:
                raise self.refuse(("columns",), f"two columns answer to {name!r}")

    def _near(self, path: str) -> str:
        return suggest(path, (node.path for node in walk(self.root)))


def fold(name: str) -> str:
    """A column's name as names are compared: letter case and runs of spaces do not count."""
    return " ".join(name.split()).casefold()


# --- rows to bodies ---------------------------------------------------------------------------------------------------


def build(branch: Branch, row: Row, prefix: str = "") -> tuple[dict[str, Any] | None, list[RowRejected]]:
    """The record of a row, and all that is wrong with the row, each with its column and field.

    An optional record of which no cell speaks is ``None``, whatever constants the profile has for it.
    """
    faults: list[RowRejected] = []
    made, _, missing = _build(branch, row, prefix, faults)
    return made, faults + missing


def _build(
    branch: Branch, row: Row, prefix: str, faults: list[RowRejected]
) -> tuple[dict[str, Any] | None, bool, list[RowRejected]]:
    made, missing, spoken = _build_leaves(branch, row, prefix, faults)
    for name, below in branch.branches.items():
        inner, said, lacking = _build(below, row, f"{prefix}{name}.", faults)
        spoken = spoken or said
        missing += lacking
        if inner is not None:
            made[name] = inner
    for name, places in branch.lists.items():
        made[name] = []
        for index in sorted(places):
            item, said, lacking = _build(places[index], row, f"{prefix}{name}[{index}].", faults)
            spoken = spoken or said
            missing += lacking
            if item is not None:
                made[name].append(item)
    if branch.optional and not spoken:
        return None, False, []
    return made, spoken, missing


def _build_leaves(
    branch: Branch, row: Row, prefix: str, faults: list[RowRejected]
) -> tuple[dict[str, Any], list[RowRejected], bool]:
    made: dict[str, Any] = {}
    missing: list[RowRejected] = []
    spoken = False
    for name, leaf in branch.leaves.items():
        path = prefix + name
        try:
            value, said = leaf.read(row)
        except RowRejected as error:
            faults.append(locate(error, leaf.rule, path))
            spoken = True
            continue
        spoken = spoken or said
        if value is not None:
            made[name] = value
        elif leaf.node.default is NO_DEFAULT:
            missing.append(locate(CellMissing(f"is empty, and {path} cannot be"), leaf.rule, path))
    return made, missing, spoken


def locate(error: RowRejected, rule: CellRule, path: str) -> RowRejected:
    """The same refusal with the column and the field beside."""
    column = ", ".join(rule.used_columns) or None
    message = f"{column}: {error.message}" if column else error.message
    return type(error)(message, column=column, field=path)
