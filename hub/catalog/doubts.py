"""Compiles the rules of a type to one quick question: could any of them be broken?

:mod:`hub.catalog.rules` says which and where; it is asked only where the answer here is yes. So the hot path pays for
comparisons alone. What is asked here is at least as strict as the rules (tests/property holds it to that).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from hub.catalog.emitter import Emitter
from hub.catalog.fields import Array, Node, Record, Rule
from hub.catalog.rules import compile_finder, find_node, mandatory_nodes
from hub.model import Compartment

Doubt = Callable[[Mapping[str, Any]], bool]


def compile_doubt(root: Record, granted: frozenset[Compartment], paths: frozenset[str], title: str) -> Doubt:
    """The question for a holder of ``granted``. It takes a body that passed its validator, or its decoder."""
    emitter = Emitter("doubt(body)")
    emitter.constant("PATHS", paths)
    questions = _Questions(emitter, granted)
    questions.record(root, "body")
    find = compile_finder(root, granted)
    mandatory = mandatory_nodes(root, granted)
    if find is not None and mandatory:
        emitter.constant("FIND", find)
        lacking = " or ".join(questions.lacks(root, node.path, "body") for node in mandatory)
        emitter.line(f"if ({lacking}) and FIND(body): return True")
    emitter.line("return False")
    return emitter.compile(f"doubt {title}")


class _Questions:
    def __init__(self, emitter: Emitter, granted: frozenset[Compartment]) -> None:
        self._emit = emitter
        self._granted = granted

    def record(self, record: Record, source: str) -> None:
        for rule in self._checkable(record):
            self._emit.line(f"if {self._broken(rule, record, source)}: return True")
        for node in record.fields:
            inner = node.record
            if inner is None or not self._has_rules(node):
                continue
            item = self._emit.name()
            if isinstance(node.type, Array):
                with self._emit.block(f"for {item} in {source}[{node.name!r}]:"):
                    self.record(inner, item)
            elif node.nullable:
                self._emit.line(f"{item} = {source}[{node.name!r}]")
                with self._emit.block(f"if {item} is not None:"):
                    self.record(inner, item)
            else:
                self._emit.line(f"{item} = {source}[{node.name!r}]")
                self.record(inner, item)

    def lacks(self, record: Record, path: str, source: str) -> str:
        """An expression: the field at ``path`` is null or empty."""
        node = find_node(record.fields, path)
        value = self._value(record, path, source)
        if isinstance(node.type, Array):
            return f"not {value}"
        return f"{value} is None"

    def _checkable(self, record: Record) -> list[Rule]:
        found = []
        for rule in record.rules:
            named = [find_node(record.fields, path) for path in (*rule.fields, rule.when) if path]
            if all(node.visible(self._granted) for node in named):
                found.append(rule)
        return found

    def _has_rules(self, node: Node) -> bool:
        inner = node.record
        if inner is None or not node.visible(self._granted):
            return False
        return bool(self._checkable(inner)) or any(self._has_rules(below) for below in inner.fields)

    def _value(self, record: Record, path: str, source: str) -> str:
        """An expression of the value at ``path``; null where a record on the way is."""
        names = path.split(".")
        expression, guards = source, []
        for depth, name in enumerate(names):
            expression = f"{expression}[{name!r}]"
            node = find_node(record.fields, ".".join(names[: depth + 1]))
            if node.nullable and depth < len(names) - 1:
                guards.append(f"{expression} is None")
        return f"(None if {' or '.join(guards)} else {expression})" if guards else expression

    def _broken(self, rule: Rule, record: Record, source: str) -> str:
        lacks = [self.lacks(record, path, source) for path in rule.fields if rule.form != "paths"]
        values = [self._value(record, path, source) for path in rule.fields if rule.form != "paths"]
        if rule.form == "require":
            broken = " or ".join(lacks)
        elif rule.form == "forbid":
            broken = " or ".join(f"not ({lack})" for lack in lacks)
        elif rule.form == "codes":
            codes = self._emit.new_constant(rule.codes)
            broken = f"{values[0]} is not None and {values[0]} not in {codes}"
        elif rule.form == "any_of":
            return " and ".join(f"({lack})" for lack in lacks)
        elif rule.form == "together":
            return " or ".join(f"({lacks[0]}) is not ({lack})" for lack in lacks[1:])
        elif rule.form == "order":
            return f"{values[0]} is not None and {values[1]} is not None and {values[0]} > {values[1]}"
        else:
            list_name, _, inner_name = rule.fields[0].partition("[].")
            return f"{source}[{list_name!r}] and any(x[{inner_name!r}] not in PATHS for x in {source}[{list_name!r}])"
        if not rule.when:
            return broken
        when = self._value(record, rule.when, source)
        if len(rule.values) == 1:
            return f"{when} == {rule.values[0]!r} and ({broken})"
        return f"{when} in {self._emit.new_constant(frozenset(rule.values))} and ({broken})"
