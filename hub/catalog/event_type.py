"""One event type: validate, encode, decode, and what a holder of some compartments sees of it."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any

import pydantic
from pydantic_core import SchemaValidator, ValidationError

from hub.catalog import limits
from hub.catalog.avro import compartment_schema
from hub.catalog.decoder import MALFORMED, Decode, compile_decoder
from hub.catalog.doubts import Doubt, compile_doubt
from hub.catalog.encoder import Encode, compile_encoder
from hub.catalog.errors import (
    CompartmentUnknown,
    Problem,
    SectionMalformed,
    SectionTooLarge,
    VersionUnknown,
    event_invalid,
)
from hub.catalog.evolution import upgrade
from hub.catalog.fields import Field, Record, flatten
from hub.catalog.rules import Check, compile_check
from hub.catalog.schema import TypeSchema
from hub.catalog.validators import build_model, compile_validator, translate
from hub.errors import InvariantError
from hub.model import Compartment

_ENCODER_FAULTS = (KeyError, TypeError, AttributeError, ValueError, IndexError, OverflowError)


@dataclass(frozen=True, slots=True)
class _View:
    """What a set of granted compartments sees, compiled at its first use."""

    validator: SchemaValidator
    doubt: Doubt
    check: Check | None

    def broken_rules(self, body: Mapping[str, Any]) -> tuple[Problem, ...]:
        """The rules that a valid body breaks."""
        return tuple(self.check(body)) if self.check is not None and self.doubt(body) else ()


class EventType:
    """A type in its present version. ``history`` has the older versions by number, for decoding."""

    def __init__(self, schema: TypeSchema, history: Mapping[int, TypeSchema] = MappingProxyType({})) -> None:
        self.schema = schema
        self.name = schema.name
        self.version = schema.version
        self.compartments = schema.compartments
        self.needs: Mapping[Compartment, tuple[Compartment, ...]] = MappingProxyType(dict(schema.needs))
        self.fields: Mapping[str, Field] = MappingProxyType(flatten(schema.root))
        self._history = {**history, schema.version: schema}
        self._all = frozenset(schema.compartments)
        self._views: dict[frozenset[Compartment], _View] = {}
        self._decoders: dict[tuple[int, frozenset[Compartment]], tuple[Decode, tuple[Compartment, ...]]] = {}
        self._withheld: dict[frozenset[Compartment], tuple[str, ...]] = {}
        self._paths = frozenset(self.fields)

    @cached_property
    def model(self) -> type[pydantic.BaseModel]:
        """The whole body as a frozen pydantic model: for programmers, not for the hot path. Rules are not in it."""
        return build_model(self.schema.root, self.schema.root.name)

    @property
    def versions(self) -> tuple[int, ...]:
        """The versions that can be decoded."""
        return tuple(sorted(self._history))

    def avro(self, compartment: Compartment, version: int | None = None) -> dict[str, Any]:
        """The plain Avro schema of a compartment's section. Raises :class:`VersionUnknown`."""
        schema = self._version(version or self.version)
        return compartment_schema(self.name, schema.version, schema.root, compartment)

    # --- before sealing ---------------------------------------------------------------------------------------------

    def validate(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """A new dict with every field of the type, defaults filled in, texts canonical: what :meth:`encode` takes.

        Raises a leaf of :class:`EventInvalid`, whose ``problems`` has everything that is wrong.
        """
        view = self._full
        try:
            valid: dict[str, Any] = view.validator.validate_python(body)
        except ValidationError as error:
            raise translate(error, self.schema.root, self.name, suggest=True) from None
        problems = view.broken_rules(valid)
        if problems:
            raise event_invalid(self.name, problems)
        return valid

    @cached_property
    def _full(self) -> _View:
        return self._view(self._all)

    @cached_property
    def _encode(self) -> Encode:
        return compile_encoder(self.schema.root, self.compartments, f"{self.name} v{self.version}")

    def encode(self, body: Mapping[str, Any]) -> tuple[bytes, ...]:
        """The Avro section of each compartment, in the order of ``compartments``. ``body`` came from :meth:`validate`.

        Raises :class:`SectionTooLarge`, and what :meth:`validate` raises where the body was not valid and that shows.
        """
        try:
            sections = self._encode(body)
        except _ENCODER_FAULTS as error:
            self.validate(body)
            raise InvariantError("a valid body does not encode", type=self.name) from error
        for section, compartment in zip(sections, self.compartments, strict=True):
            if len(section) > limits.SECTION_BYTES:
                raise SectionTooLarge(
                    f"{self.name}: the {compartment} part is over {limits.SECTION_BYTES} bytes: send it as several"
                    " events, and refer to what is large by its hash",
                    type=self.name,
                    field="",
                    compartment=compartment,
                    bytes=len(section),
                )
        return sections

    # --- after opening ----------------------------------------------------------------------------------------------

    def decode(self, sections: Mapping[Compartment, bytes], version: int | None = None) -> dict[str, Any]:
        """The merged body of the granted ``sections``, which a publisher of ``version`` encoded.

        An older version's body comes out as the present version's: new fields have their defaults. Only the one
        canonical encoding is taken. Constraints are not checked: that is :meth:`validate_granted`, or :meth:`read` for
        both at once. Raises :class:`SectionMalformed`, :class:`VersionUnknown`.
        """
        return self._decode(sections, self.version if version is None else version)[0]

    def read(self, sections: Mapping[Compartment, bytes], version: int | None = None) -> dict[str, Any]:
        """:meth:`decode` and :meth:`validate_granted` in one, at half the price. Raises what they raise."""
        wanted = self.version if version is None else version
        body, doubtful = self._decode(sections, wanted)
        granted = frozenset(sections)
        if wanted != self.version:
            self.validate_granted(body, self._seen(granted, wanted))
        elif doubtful or self._view(granted).doubt(body):
            self.validate_granted(body, granted)
        return body

    def _seen(self, granted: frozenset[Compartment], version: int) -> frozenset[Compartment]:
        """What a holder of ``granted`` of an event of ``version`` may see of it in the present version.

        A compartment that came later was part of others then: who holds all those that it needs has what is in it.
        """
        if version == self.version:
            return granted
        later = self._all - set(self._version(version).compartments)
        return granted | {each for each in later if self.needs.get(each) and granted.issuperset(self.needs[each])}

    def _decode(self, sections: Mapping[Compartment, bytes], version: int) -> tuple[dict[str, Any], bool]:
        granted = frozenset(sections)
        found = self._decoders.get((version, granted))
        decode, order = found if found is not None else self._compile_decoder(version, granted)
        for section in sections.values():
            if len(section) > limits.SECTION_BYTES:
                raise SectionMalformed(f"{self.name}: a section is over {limits.SECTION_BYTES} bytes", type=self.name)
        try:
            body, doubtful = decode(*[sections[compartment] for compartment in order])
        except MALFORMED as error:
            # what the decoder says names no value; what Python says (of UTF-8) may show bytes, and is left out
            why = str(error) if type(error) is ValueError else type(error).__name__
            raise SectionMalformed(f"{self.name}: a section is malformed: {why}", type=self.name) from None
        if version != self.version:
            seen = self._seen(granted, version)
            body = upgrade(body, self._history[version].root, self.schema.root, seen)
        return body, doubtful

    def _compile_decoder(self, version: int, granted: frozenset[Compartment]) -> tuple[Decode, tuple[Compartment, ...]]:
        schema = self._version(version)
        order = self._order(granted, schema.compartments)
        decode = compile_decoder(schema.root, order, f"{self.name} v{version} {'+'.join(order)}")
        self._decoders[version, granted] = (decode, order)
        return decode, order

    def validate_granted(self, body: Mapping[str, Any], granted: Collection[Compartment]) -> None:
        """Checks a decoded body that has the fields of ``granted``, and only those. Raises :class:`EventInvalid`."""
        view = self._view(frozenset(granted))
        try:
            valid = view.validator.validate_python(body)
        except ValidationError as error:
            raise translate(error, self.schema.root, self.name, suggest=False) from None
        problems = view.broken_rules(valid)
        if problems:
            raise event_invalid(self.name, problems)

    def withheld_fields(self, granted: Iterable[Compartment]) -> tuple[str, ...]:
        """The paths that a holder of ``granted`` cannot see: a record that is withheld whole stands for its fields."""
        key = frozenset(granted) & self._all
        found = self._withheld.get(key)
        if found is None:
            found = self._withheld[key] = tuple(_withheld(self.schema.root, key))
        return found

    # --- within -----------------------------------------------------------------------------------------------------

    def subsets(self) -> tuple[tuple[Compartment, ...], ...]:
        """Every set of compartments that can be granted, in the type's order."""
        return tuple(
            subset
            for size in range(1, len(self.compartments) + 1)
            for subset in itertools.combinations(self.compartments, size)
        )

    def _view(self, granted: frozenset[Compartment]) -> _View:
        view = self._views.get(granted)
        if view is None:
            self._order(granted, self.compartments)
            root = self.schema.root
            view = _View(
                compile_validator(root, granted),
                compile_doubt(root, granted, self._paths, self.name),
                compile_check(root, granted, self._paths),
            )
            self._views[granted] = view
        return view

    def _order(self, granted: frozenset[Compartment], compartments: tuple[Compartment, ...]) -> tuple[Compartment, ...]:
        order = tuple(compartment for compartment in compartments if compartment in granted)
        if len(order) != len(granted) or not order:
            raise CompartmentUnknown(
                f"{self.name} has {', '.join(compartments)}: granted are others, or none", type=self.name
            )
        return order

    def _version(self, version: int) -> TypeSchema:
        schema = self._history.get(version)
        if schema is None:
            raise VersionUnknown(
                f"{self.name}: version {version} is not in this catalog, which has"
                f" {', '.join(map(str, self.versions))}: bring the newer schemas",
                type=self.name,
                version=version,
            )
        return schema


def _withheld(record: Record, granted: frozenset[Compartment]) -> Iterable[str]:
    for node in record.fields:
        if not node.visible(granted):
            yield node.path
        elif node.record is not None:
            yield from _withheld(node.record, granted)
