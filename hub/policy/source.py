"""Policy files: YAML read with the line of every part, so that each fault names its file and line. Pure: text in.

A strict part of YAML is taken: one document of mappings, lists and scalars; no anchors, no tags of one's own, no key
twice. Text is taken as it is written: ``NO`` stays Norway, and ``2026-01-01`` a text until a field says otherwise.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import yaml

from hub.errors import ConfigError

MAX_POLICY: Final = 16 * 1024 * 1024
"""Bytes of one policy file."""
MAX_DEPTH: Final = 100
"""Mappings and lists in each other. Conditions end at 16 (hub/policy/condition.py), of up to 3 of these each."""

_Loader: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_PLAIN: Final = "tag:yaml.org,2002:"
_TAGS: Final = frozenset(_PLAIN + name for name in ("map", "seq", "str", "null", "bool", "int", "float", "timestamp"))


class PolicyInvalid(ConfigError):
    """A policy file says something that cannot be meant. ``file`` and ``line`` say where."""

    code = "policy.invalid"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`` (did you mean X?)``, or nothing where no name is near. Letters' case does not count."""
    by_fold = {name.casefold(): name for name in sorted(known)}
    near = difflib.get_close_matches(word.casefold(), list(by_fold), 1)
    return f" (did you mean {by_fold[near[0]]!r}?)" if near else ""


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a policy file, with its place. Reading it as what it should be raises :class:`PolicyInvalid`."""

    node: Any
    file: str

    @property
    def line(self) -> int:
        """The line on which it begins, from 1."""
        return int(self.node.start_mark.line) + 1

    @property
    def place(self) -> str:
        """``release.yaml:14``."""
        return f"{self.file}:{self.line}"

    def fault(self, message: str) -> PolicyInvalid:
        """The error for this place."""
        return PolicyInvalid(f"{self.place}: {message}", file=self.file, line=self.line)

    @property
    def is_mapping(self) -> bool:
        return isinstance(self.node, yaml.MappingNode)

    @property
    def is_list(self) -> bool:
        return isinstance(self.node, yaml.SequenceNode)

    def keys(self) -> Mapping[str, Part]:
        """The mapping's parts by key, in the file's order."""
        if not self.is_mapping:
            raise self.fault("a mapping (name: value) is wanted here")
        found: dict[str, Part] = {}
        for key, value in self.node.value:
            name = Part(key, self.file)
            text = name.text()
            if text in found:
                raise name.fault(f"{text!r} stands twice")
            found[text] = Part(value, self.file)
        return found

    def mapping(self, *, required: Iterable[str] = (), optional: Iterable[str] = ()) -> Mapping[str, Part]:
        """The mapping's parts, after checking that every key is known and none is missing."""
        found = self.keys()
        required = tuple(required)
        known = (*required, *optional)
        for key, part in found.items():
            if key not in known:
                raise part.fault(f"unknown key {key!r}{did_you_mean(key, known)}; known here: {', '.join(known)}")
        for key in required:
            if key not in found:
                raise self.fault(f"{key!r} is missing")
        return found

    def parts(self) -> tuple[Part, ...]:
        """The list's parts."""
        if not self.is_list:
            raise self.fault("a list is wanted here")
        return tuple(Part(item, self.file) for item in self.node.value)

    def parts_or_one(self) -> tuple[Part, ...]:
        """The list's parts, of which there must be some; a single value is a list of one."""
        found = self.parts() if self.is_list else (self,)
        if not found:
            raise self.fault("an empty list: nothing is meant by it, so it is refused")
        return found

    def text(self) -> str:
        """The scalar as it is written."""
        if not isinstance(self.node, yaml.ScalarNode) or self.node.tag == f"{_PLAIN}null":
            raise self.fault("a single value is wanted here")
        return str(self.node.value)

    def boolean(self) -> bool:
        """``true`` or ``false``, nothing else."""
        text = self.text()
        if text not in ("true", "false"):
            raise self.fault(f"true or false is wanted, not {text!r}")
        return text == "true"

    def one_of(self, known: Iterable[str], what: str) -> str:
        """A text that is one of ``known``."""
        text, known = self.text(), tuple(known)
        if text not in known:
            listed = f"; known: {', '.join(sorted(known))}" if len(known) <= 16 else ""
            raise self.fault(f"{text!r} is not {what}{did_you_mean(text, known)}{listed}")
        return text


def read_policy(text: str, file: str) -> Part:
    """The whole file as a :class:`Part`. ``file`` is its name in messages. Raises :class:`PolicyInvalid`."""
    if len(text) > MAX_POLICY:
        raise PolicyInvalid(f"{file}: over {MAX_POLICY} characters", file=file)
    try:
        _refuse_deep(text, file)
        root = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark is not None else 1
        problem = error.problem or "not YAML"
        raise PolicyInvalid(f"{file}:{line}: not YAML: {problem}", file=file, line=line) from error
    except (yaml.YAMLError, RecursionError) as error:
        raise PolicyInvalid(f"{file}: not YAML: {error}", file=file) from error
    if root is None:
        raise PolicyInvalid(f"{file}: the file is empty", file=file)
    _refuse_strange(root, file)
    return Part(root, file)


def _refuse_deep(text: str, file: str) -> None:
    """Before anything is built: libyaml builds by recursion without a limit, and would end the process."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            line = 1 if event.start_mark is None else event.start_mark.line + 1
            raise PolicyInvalid(f"{file}:{line}: nested over {MAX_DEPTH} deep", file=file, line=line)


def _refuse_strange(root: Any, file: str) -> None:
    """No alias (a small file could stand for a huge one) and no tag of one's own."""
    seen: set[int] = set()
    left = [root]
    while left:
        node = left.pop()
        if id(node) in seen:
            raise Part(node, file).fault("an anchor that is used again (&, *): write it out")
        seen.add(id(node))
        if node.tag not in _TAGS:
            raise Part(node, file).fault(f"the tag {node.tag!r} means nothing here")
        if isinstance(node, yaml.MappingNode):
            left.extend(child for pair in node.value for child in pair)
        elif isinstance(node, yaml.SequenceNode):
            left.extend(node.value)
