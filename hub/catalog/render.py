"""Renders the catalog as Markdown: ``docs/catalog``, one page a type, one for the code lists, one index."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from hub.catalog.catalog import Catalog
from hub.catalog.event_type import EventType
from hub.catalog.fields import NO_DEFAULT, Array, Field, Node, Record, Rule, Scalar, walk

_NOTE: Final = "<!-- Made by `hub catalog render` from schemas/. Do not edit: change the schema. -->"
_SHORT_LIST: Final = 12


def render_all(catalog: Catalog) -> dict[str, str]:
    """Every page by its file name."""
    pages = {f"{name}.md": render_type(catalog.get(name)) for name in catalog.names()}
    return {"README.md": _render_index(catalog), "codes.md": _render_codes(catalog), **pages}


def render_type(event_type: EventType) -> str:
    """The page of one type: compartments, fields, rules, who sees what."""
    schema = event_type.schema
    lines = [
        _NOTE,
        "",
        f"# {event_type.name}: {schema.title}",
        "",
        schema.doc,
        "",
        f"Version {event_type.version}. Source: {schema.source}.",
        "",
        "## Compartments",
        "",
        "| compartment | fields | a holder of this one alone does not see |",
        "| --- | --- | --- |",
    ]
    for compartment in event_type.compartments:
        count = sum(1 for field in event_type.fields.values() if field.compartments == (compartment,))
        hidden = event_type.withheld_fields((compartment,))
        lines.append(f"| `{compartment}` | {count} | {_names(hidden)} |")
    if event_type.needs:
        lines.append("")
    lines += [
        f"`{compartment}` is granted only together with {' and '.join(f'`{each}`' for each in needed)}."
        for compartment, needed in event_type.needs.items()
    ]
    lines += [
        "",
        "## Fields",
        "",
        "`?` may be null or left out; `[]` is a list; *p* is personal data. Records have a part in each compartment"
        " that their fields fall in.",
        "",
        "| field | type | compartment | constraints | meaning |",
        "| --- | --- | --- | --- | --- |",
    ]
    lines += [_field_row(node, event_type) for node in walk(schema.root)]
    rules = list(_rules(schema.root, ""))
    if rules:
        lines += ["", "## Rules", "", *rules]
    return "\n".join(lines) + "\n"


def _field_row(node: Node, event_type: EventType) -> str:
    field = event_type.fields[node.path]
    inner = node.type.item if isinstance(node.type, Array) else node.type
    leaf = event_type.fields.get(node.path + "[]", field)
    kind = inner.name if isinstance(inner, Record) else inner.kind
    mark = "[]" if isinstance(node.type, Array) else ""
    optional = "?" if node.nullable else ""
    personal = " *p*" if node.personal else ""
    where = " ".join(f"`{compartment}`" for compartment in field.compartments) + personal
    limits = [*_constraints(leaf)] if isinstance(inner, Scalar) else []
    if isinstance(node.type, Array):
        limits.append(f"{node.type.min_items} to {node.type.max_items} items")
    if isinstance(inner, Scalar) and inner.kind == "enum":
        limits.append(", ".join(inner.symbols))
    if node.mandatory_on:
        limits.append("mandatory with personal data")
    if node.default is not NO_DEFAULT and not node.nullable and not isinstance(node.type, Array | Record):
        limits.append(f"default {str(node.default).lower()}")
    return f"| `{node.path}` | {kind}{mark}{optional} | {where} | {_cell('; '.join(limits))} | {_cell(node.doc)} |"


def _constraints(field: Field) -> Iterator[str]:
    found = field.constraints
    if "codes" in found:
        yield f"[{found['codes']}](codes.md#{_anchor(found['codes'])})"
        return
    if "char_codes" in found:
        yield "character by character: " + ", ".join(
            f"[{name}](codes.md#{_anchor(name)})" for name in found["char_codes"]
        )
    if "pattern" in found:
        yield f"`{found['pattern']}`"
    elif "max_length" in found:
        yield f"{found.get('min_length', 0)} to {found['max_length']} characters"
    low, high = found.get("min"), found.get("max")
    if field.kind == "decimal":
        yield f"{found['precision'] - found['scale']} digits and {found['scale']} after the point"
    elif field.kind in ("int", "long", "double") and (low is not None or high is not None):
        yield f"{low} to {high}"
    if "const" in found:
        yield f"always {str(found['const']).lower()}"
    if "unit" in found:
        yield str(found["unit"])


def _rules(record: Record, prefix: str) -> Iterator[str]:
    for rule in record.rules:
        yield f"- {_rule(rule, prefix)}: {rule.because}."
    for node in record.fields:
        if node.record is not None:
            mark = "[]." if isinstance(node.type, Array) else "."
            yield from _rules(node.record, f"{prefix}{node.name}{mark}")


def _rule(rule: Rule, prefix: str) -> str:
    names = ", ".join(f"`{prefix}{name}`" for name in rule.fields)
    when = f"where `{prefix}{rule.when}` is {' or '.join(str(value) for value in rule.values)}, " if rule.when else ""
    forms = {
        "require": f"{names} must be there",
        "forbid": f"{names} must not be there",
        "codes": f"{names} is of the list [{rule.code_list}](codes.md#{_anchor(rule.code_list)})",
        "any_of": f"one at least of {names}",
        "together": f"all or none of {names}",
        "order": f"{names} in this order",
        "paths": f"{names} are fields of this type",
    }
    return when + forms[rule.form]


def _render_codes(catalog: Catalog) -> str:
    users: dict[str, set[str]] = {name: set() for name in catalog.code_lists}
    for name in catalog.names():
        for node in walk(catalog.get(name).schema.root):
            inner = node.type.item if isinstance(node.type, Array) else node.type
            lists = [rule.code_list for rule in inner.rules] if isinstance(inner, Record) else _lists(inner)
            for used in filter(None, lists):
                users[used].add(name)
    lines = [
        _NOTE,
        "",
        "# Code lists",
        "",
        "Data files in `schemas/codes`, each with its source. A list may grow, never shrink.",
    ]
    for name, code_list in catalog.code_lists.items():
        lines += ["", f"## {name}", "", f"{code_list.title}. Source: {code_list.source}."]
        if code_list.note:
            lines.append(code_list.note)
        lines += ["", f"Used in: {', '.join(sorted(users[name]))}.", "", "| code | meaning |", "| --- | --- |"]
        lines += [f"| `{code}` | {_cell(text)} |" for code, text in code_list.codes.items()]
    return "\n".join(lines) + "\n"


def _lists(scalar: Scalar) -> list[str]:
    return [*scalar.char_lists, scalar.code_list or ""]


def _render_index(catalog: Catalog) -> str:
    lines = [
        _NOTE,
        "",
        "# Event types",
        "",
        "One page for each type; [code lists](codes.md). Schemas: `schemas/avro`. Examples: `schemas/examples`.",
        "",
        "| type | version | compartments | what it is |",
        "| --- | --- | --- | --- |",
    ]
    for name in catalog.names():
        event_type = catalog.get(name)
        compartments = " ".join(f"`{compartment}`" for compartment in event_type.compartments)
        lines.append(
            f"| [{name}]({name}.md) | {event_type.version} | {compartments} | {_cell(event_type.schema.doc)} |"
        )
    return "\n".join(lines) + "\n"


def _names(paths: tuple[str, ...]) -> str:
    shown = ", ".join(f"`{path}`" for path in paths[:_SHORT_LIST])
    more = len(paths) - _SHORT_LIST
    return (shown or "nothing: it is all here") + (f" and {more} more" if more > 0 else "")


def _anchor(name: str) -> str:
    return name.replace(".", "")


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
