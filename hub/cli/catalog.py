"""``hub catalog``: the event types, shown, checked and rendered."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from hub.catalog import Catalog, EventInvalid, EventType, Field, check_frozen, freeze
from hub.catalog.codes import read_json
from hub.catalog.render import render_all
from hub.document import parse_document
from hub.errors import ConfigError, RejectedError
from hub.model import parse_compartment

_SCHEMAS = Path("schemas")
_PAGES = Path("docs") / "catalog"


class PagesOutdated(ConfigError):
    """docs/catalog does not say what the schemas say."""

    code = "config.pages_outdated"


@click.group()
def cli() -> None:
    """Event types: show, check, render."""


@cli.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_types(as_json: bool) -> None:
    """All event types with version and compartments."""
    catalog = Catalog.load()
    types = [catalog.get(name) for name in catalog.names()]
    if as_json:
        rows = [{"type": t.name, "version": t.version, "compartments": t.compartments} for t in types]
        click.echo(json.dumps(rows, indent=2))
        return
    for event_type in types:
        compartments = ",".join(event_type.compartments)
        click.echo(f"{event_type.name:20} v{event_type.version:<3} {compartments:25} {event_type.schema.title}")


@cli.command("show")
@click.argument("event_type", metavar="TYPE")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--avro", metavar="COMPARTMENT", help="The Avro schema of a compartment's section.")
@click.option("--json-schema", is_flag=True, help="The JSON Schema of the body.")
def show(event_type: str, as_json: bool, avro: str | None, json_schema: bool) -> None:
    """The fields of TYPE: kind, compartments, constraints."""
    found = Catalog.load().get(event_type)
    if avro is not None:
        compartment = parse_compartment(avro)
        if compartment not in found.compartments:
            raise click.BadParameter(f"{found.name} has {', '.join(found.compartments)}", param_hint="--avro")
        click.echo(json.dumps(found.avro(compartment), indent=2))
    elif json_schema:
        click.echo(json.dumps(found.model.model_json_schema(), indent=2))
    elif as_json:
        click.echo(json.dumps(_as_json(found), indent=2))
    else:
        click.echo(f"{found.name} v{found.version}: {found.schema.title}\n{found.schema.doc}\n")
        for field in found.fields.values():
            optional = "?" if field.nullable else ""
            click.echo(
                f"  {field.path + optional:48} {field.kind:10} {','.join(field.compartments):26} {_limits(field)}"
            )


def _as_json(event_type: EventType) -> dict[str, Any]:
    return {
        "type": event_type.name,
        "version": event_type.version,
        "title": event_type.schema.title,
        "doc": event_type.schema.doc,
        "compartments": event_type.compartments,
        "needs": dict(event_type.needs),
        "fields": [
            {
                "path": field.path,
                "kind": field.kind,
                "nullable": field.nullable,
                "compartments": field.compartments,
                "personal": field.personal,
                "constraints": dict(field.constraints),
                "symbols": sorted(field.codes) if field.codes is not None and field.code_list is None else None,
                "doc": field.doc,
            }
            for field in event_type.fields.values()
        ],
    }


def _limits(field: Field) -> str:
    if field.codes is not None and field.code_list is None:
        return ",".join(sorted(field.codes))
    return " ".join(f"{name}={value}" for name, value in field.constraints.items())


@cli.command("validate")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def validate(files: tuple[Path, ...], as_json: bool) -> int:
    """Check documents: a .json file has one, a .jsonl file one a line. Exit code 1 where one is refused."""
    catalog = Catalog.load()
    rows = [_validated(where, document, catalog) for path in files for where, document in _documents(path)]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
    for row in () if as_json else rows:
        if row["ok"]:
            click.echo(f"{row['where']}: ok: {row['type']}")
        for problem in row["problems"]:
            field = f"{problem['field']}: " if "field" in problem else ""
            click.echo(f"{row['where']}: {problem['code']}: {field}{problem['message']}")
    return 0 if all(row["ok"] for row in rows) else 1


def _validated(where: str, document: Any, catalog: Catalog) -> dict[str, Any]:
    problems: list[dict[str, str]] = []
    name = ""
    try:
        name = parse_document(document, catalog).event_type
    except EventInvalid as error:
        problems = [
            {"code": problem.code, "field": problem.field or "the document", "message": problem.message}
            for problem in error.problems
        ]
    except RejectedError as error:
        problems = [{"code": error.code, "message": error.message}]
    return {"where": where, "ok": not problems, "type": name, "problems": problems}


def _documents(path: Path) -> Iterator[tuple[str, Any]]:
    if path.suffix != ".jsonl":
        yield str(path), read_json(path)
        return
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: {error}", file=str(path)) from error
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                yield f"{path}:{number}", json.loads(line)
            except ValueError as error:
                raise ConfigError(f"{path}:{number}: {error}", file=str(path), line=number) from error


@cli.command("check")
@click.option("--schemas", type=click.Path(path_type=Path), default=_SCHEMAS, show_default=True, help="Where they are.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def check(schemas: Path, as_json: bool) -> None:
    """Check all schemas and code lists, and that released versions stand unchanged.

    Each compartment's sub-schema is also read by fastavro, as any other reader of sections would.
    """
    catalog = Catalog.load(schemas)
    check_frozen(schemas)
    parts = sum(_check_as_avro(catalog.get(name)) for name in catalog.names())
    if as_json:
        found = {"types": len(catalog.names()), "compartments": parts, "code_lists": len(catalog.code_lists)}
        click.echo(json.dumps(found))
        return
    click.echo(f"{len(catalog.names())} types, {parts} compartments, {len(catalog.code_lists)} code lists: all well")


def _check_as_avro(event_type: EventType) -> int:
    """How many compartments the type has. Raises ``ConfigError`` where fastavro does not take one for Avro."""
    import fastavro

    for compartment in event_type.compartments:
        try:
            fastavro.parse_schema(event_type.avro(compartment))
        except (fastavro.schema.SchemaParseException, fastavro.schema.UnknownType) as error:
            raise ConfigError(f"not Avro: {error}", type=event_type.name, compartment=compartment) from error
    return len(event_type.compartments)


@cli.command("freeze")
@click.option("--schemas", type=click.Path(path_type=Path), default=_SCHEMAS, show_default=True, help="Where they are.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def freeze_versions(schemas: Path, as_json: bool) -> None:
    """Put new versions into the history: from then on they do not change."""
    Catalog.load(schemas)
    written = [str(path) for path in freeze(schemas)]
    if as_json:
        click.echo(json.dumps({"wrote": written}))
    for path in () if as_json else written:
        click.echo(f"wrote {path}")


@cli.command("render")
@click.option("--schemas", type=click.Path(path_type=Path), default=_SCHEMAS, show_default=True, help="Where they are.")
@click.option("--out", type=click.Path(path_type=Path), default=_PAGES, show_default=True, help="Where the pages go.")
@click.option("--check", "check_only", is_flag=True, help="Write nothing; fail where a page is not up to date.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def render(schemas: Path, out: Path, check_only: bool, as_json: bool) -> None:
    """Render a page for each type."""
    pages = render_all(Catalog.load(schemas))
    present = {path.name for path in out.glob("*.md")}
    outdated = sorted(
        name
        for name in present | set(pages)
        if name not in pages or name not in present or _differs(out, name, pages[name])
    )
    if check_only:
        if outdated:
            raise PagesOutdated(f"run `hub catalog render`: {', '.join(outdated)}", folder=str(out))
        click.echo(json.dumps({"pages": len(pages)}) if as_json else f"{len(pages)} pages: up to date")
        return
    out.mkdir(parents=True, exist_ok=True)
    for name in outdated:
        if name in pages:
            (out / name).write_text(pages[name], "utf-8")
        else:
            (out / name).unlink()
        if not as_json:
            click.echo(f"{'wrote' if name in pages else 'removed'} {out / name}")
    if as_json:
        wrote = [str(out / name) for name in outdated if name in pages]
        click.echo(json.dumps({"wrote": wrote, "removed": [str(out / name) for name in outdated if name not in pages]}))


def _differs(out: Path, name: str, text: str) -> bool:
    return (out / name).read_text("utf-8") != text
