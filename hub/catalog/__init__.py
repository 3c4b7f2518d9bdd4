"""The catalog: every event type, its compartments, its constraints, its code lists, and its strict Avro codec.

``schemas/avro`` is the only place where a field's compartment and constraints are said. What is here is derived from
it: the sub-schema of each compartment, the pydantic models, the validators, the encoder and the decoder.
"""

from hub.catalog.catalog import Catalog
from hub.catalog.codes import CodeList
from hub.catalog.errors import (
    CodeUnknown,
    CompartmentUnknown,
    DateInvalid,
    EventInvalid,
    FieldMissing,
    FieldPattern,
    FieldRange,
    FieldTypeWrong,
    FieldUnknown,
    Problem,
    RuleBroken,
    SchemaInvalid,
    SectionMalformed,
    SectionTooLarge,
    TypeUnknown,
    VersionUnknown,
)
from hub.catalog.event_type import EventType
from hub.catalog.evolution import EvolutionBroken, check_evolution
from hub.catalog.fields import Field
from hub.catalog.frozen import check_frozen, freeze

__all__ = [
    "Catalog",
    "EventType",
    "Field",
    "CodeList",
    "Problem",
    "EventInvalid",
    "TypeUnknown",
    "VersionUnknown",
    "FieldMissing",
    "FieldUnknown",
    "FieldTypeWrong",
    "FieldRange",
    "FieldPattern",
    "CodeUnknown",
    "DateInvalid",
    "RuleBroken",
    "CompartmentUnknown",
    "SectionTooLarge",
    "SectionMalformed",
    "SchemaInvalid",
    "EvolutionBroken",
    "check_evolution",
    "check_frozen",
    "freeze",
]
