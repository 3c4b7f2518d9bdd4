"""Every key of a configuration file as one row of a table, from hub/settings.py: for docs/guides/operate.md."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from hub import settings

FILES: dict[str, type[settings.Settings]] = {
    "site": settings.SiteSettings,
    "router": settings.RouterSettings,
    "exporter": settings.ExporterSettings,
    "follow": settings.BrokerSettings,
    "console": settings.ConsoleSettings,
}
"""The kinds of file, as the table calls them."""

_FORMS = {
    "Agency": "an agency's code",
    "AnyPath": "a path",
    "ExistingFile": "a file",
    "ExistingFolder": "a folder",
    "Address": "HOST:PORT",
    "Servers": "HOST:PORT,...",
    "Name": "a name: a-z 0-9 . _ -",
    "Seconds": "seconds",
    "bool": "true, false",
}


@dataclass(frozen=True, slots=True)
class Key:
    """One key of one kind of file."""

    name: str
    form: str
    default: str
    meaning: str


def render_settings() -> str:
    """A row for each key; the kinds of file that have it alike share one."""
    rows: dict[Key, list[str]] = {}
    for kind, model in FILES.items():
        for key in keys(model):
            rows.setdefault(key, []).append(kind)
    order = {name: place for place, name in enumerate(dict.fromkeys(_group(key.name) for key in rows))}
    lines = ["| key | in | form | default | meaning |", "| --- | --- | --- | --- | --- |"]
    for key, kinds in sorted(rows.items(), key=lambda row: order[_group(row[0].name)]):
        found = "all" if len(kinds) == len(FILES) else ", ".join(kinds)
        lines.append(f"| `{key.name}` | {found} | {key.form} | {key.default} | {key.meaning} |")
    return "\n".join(lines) + "\n"


def keys(model: type[BaseModel], before: str = "", given: BaseModel | None = None) -> Iterator[Key]:
    """All keys of a model, those of its tables by their full names. Raises ``ValueError`` for one without a text.

    ``given``: what the file has where it lacks the whole table; its values are the defaults then.
    """
    annotations, texts = _source(model)
    for name, info in model.model_fields.items():
        inner = _table(info)
        if inner is not None:
            opening = f"[[{name}]] " if info.annotation is not inner else f"{name}."
            yield from keys(inner, before + opening, info.default if isinstance(info.default, inner) else None)
            continue
        if name not in texts:
            raise ValueError(f"{model.__name__}.{name} has no text")
        default = info.default if given is None else getattr(given, name)
        yield Key(before + name, _form(annotations[name]), _default(default), texts[name])


def _group(name: str) -> str:
    """Keys of the file itself first, then table by table."""
    return name.rpartition(" ")[0] or name.rpartition(".")[0]


def _table(info: FieldInfo) -> type[BaseModel] | None:
    for kind in (info.annotation, *get_args(info.annotation)):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return kind
    return None


def _source(model: type[BaseModel]) -> tuple[dict[str, str], dict[str, str]]:
    """Each field's annotation as it is written, and the text below it; inherited ones too."""
    annotations: dict[str, str] = {}
    texts: dict[str, str] = {}
    for kind in reversed(model.__mro__):
        if kind.__module__ != settings.__name__:
            continue
        (body,) = ast.parse(inspect.getsource(kind)).body
        assert isinstance(body, ast.ClassDef)
        for statement, following in zip(body.body, [*body.body[1:], None], strict=True):
            if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
                annotations[statement.target.id] = ast.unparse(statement.annotation)
                match following:
                    case ast.Expr(value=ast.Constant(value=str(text))):
                        texts[statement.target.id] = _plain(text)
    return annotations, texts


def _plain(text: str) -> str:
    return re.sub(r"``([^`]*)``", r"`\1`", " ".join(text.split())).replace("|", "\\|")


def _form(annotation: str) -> str:
    """In words. Raises ``ValueError`` for one that has none yet."""
    written = annotation.removesuffix(" | None")
    if written in _FORMS:
        return _FORMS[written]
    if choice := re.fullmatch(r"Literal\[(.*)\]", written):
        return choice[1].replace("'", "`")
    if bounds := re.fullmatch(r"Annotated\[(int|float), Field\(ge=([\d._]+), le=(.*)\)\]", written):
        most = prod(int(factor) for factor in bounds[3].replace("_", "").split(" * "))
        return f"{float(bounds[2].replace('_', '')):,g} to {most:,}"
    if "pattern='^https?://" in written:
        return "http:// or https:// ..."
    if written.startswith("tuple[") and "https://" in written:
        return "a list of https:// ..."
    if written.startswith("Annotated[str, Field(pattern="):
        return "a name"
    raise ValueError(f"no words for the form {written!r}")


def _default(value: object) -> str:
    if value is PydanticUndefined:
        return "**needed**"
    if value is None or value == ():
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:,g}" if isinstance(value, int | float) else f"`{value}`"
