"""Loads the schemas and hands out event types."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final

from hub.catalog.codes import CodeList, load_code_lists, read_json
from hub.catalog.errors import SchemaInvalid, TypeUnknown
from hub.catalog.event_type import EventType
from hub.catalog.evolution import check_evolution
from hub.catalog.frozen import load_shared
from hub.catalog.nesting import check_nesting
from hub.catalog.schema import SchemaParser, TypeSchema

_PACKAGED: Final = Path(__file__).resolve().parent.parent / "_schemas"
"""``hub/_schemas``: in the checkout a symlink to ``schemas/``, in the wheel a copy of it."""


class Catalog:
    """Every event type and code list. Immutable after :meth:`load`; codecs are compiled at their first use."""

    def __init__(self, types: Mapping[str, EventType], code_lists: Mapping[str, CodeList]) -> None:
        self._types = dict(sorted(types.items()))
        self.code_lists: Mapping[str, CodeList] = dict(code_lists)

    @classmethod
    def load(cls, root: Path | None = None) -> Catalog:
        """Reads ``avro`` (with ``common`` and ``history``) and ``codes`` below ``root`` (default: the package's own).

        Raises ``ConfigError`` on any fault (:class:`SchemaInvalid`, ``EvolutionBroken``), naming file and field; also
        for a shared record or a code list that nothing uses. The package's own is read once a process.
        """
        return cls._read(root) if root is not None else _packaged()

    @classmethod
    def _read(cls, folder: Path) -> Catalog:
        avro = folder / "avro"
        if not avro.is_dir():
            raise SchemaInvalid(f"{avro}: no such folder", file=str(avro))
        code_lists = load_code_lists(folder / "codes")
        parser = SchemaParser(load_shared(avro / "common"), code_lists)
        present: dict[str, TypeSchema] = {}
        for path in sorted(avro.glob("*.avsc")):
            schema = parser.parse(read_json(path), str(path))
            if schema.name != path.stem:
                raise SchemaInvalid(
                    f"{path}: its event is {schema.name!r}, the file says {path.stem!r}", file=str(path)
                )
            present[schema.name] = schema
        types = {name: EventType(schema, _load_history(avro, schema, parser)) for name, schema in present.items()}
        for schema in present.values():
            check_nesting(schema)
        _refuse_orphans(avro, parser, code_lists)
        return cls(types, code_lists)

    def names(self) -> tuple[str, ...]:
        """The names of all types, sorted."""
        return tuple(self._types)

    def get(self, name: str) -> EventType:
        """The type of this name. Raises :class:`TypeUnknown`."""
        found = self._types.get(name)
        if found is None:
            close = difflib.get_close_matches(name[:64], self._types, 1)
            hint = f" (did you mean {close[0]}?)" if close else f": there are {', '.join(self._types)}"
            raise TypeUnknown(f"no event type of this name{hint}", type=name[:40])
        return found


@cache
def _packaged() -> Catalog:
    return Catalog._read(_PACKAGED)


def _refuse_orphans(avro: Path, parser: SchemaParser, code_lists: Mapping[str, CodeList]) -> None:
    for path in sorted((avro / "common").glob("*.avsc")):
        if f"cgi.{path.stem}" not in parser.used_records:
            raise SchemaInvalid(f"{path}: no event type uses this record", file=str(path))
    for name in sorted(set(code_lists) - parser.used_code_lists):
        raise SchemaInvalid(f"codes/{name}.json: no field uses this code list", file=f"codes/{name}.json")


def _load_history(avro: Path, schema: TypeSchema, parser: SchemaParser) -> dict[int, TypeSchema]:
    """The versions before the present one; each must be followed by what came after it."""
    history: dict[int, TypeSchema] = {}
    for path in sorted((avro / "history" / schema.name).glob("v*.avsc")):
        former = parser.parse(read_json(path), str(path))
        if former.name != schema.name or path.stem != f"v{former.version}" or former.version > schema.version:
            raise SchemaInvalid(f"{path}: it is {former.name} version {former.version}", file=str(path))
        if former.version < schema.version:
            check_evolution(former, schema)
            history[former.version] = former
    return history
