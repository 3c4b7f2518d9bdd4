"""The OpenAPI description of the JSON twins, made from the pages' models: it cannot say anything else than they are."""

from __future__ import annotations

from functools import cache
from importlib.metadata import version
from typing import Any, Final

from pydantic.json_schema import models_json_schema

from hub.console.pages import PAGES

_REF: Final = "#/components/schemas/{model}"

ADDRESSES: Final[dict[str, str]] = {
    "/exchange": "exchange",
    "/agencies": "agencies",
    "/agencies/{agency}": "agency",
    "/agreements": "agreements",
    "/agreements/{originator}/{recipient}": "pair",
    "/quarantine": "quarantine",
    "/quarantine/{place}": "held",
    "/directory": "directory",
    "/health": "health",
    "/audit": "audit",
}
"""Each page's address, by the name of its model in ``hub.console.pages.PAGES``."""

ACTIONS: Final[dict[str, str]] = {
    "hand-back": "Hand the record back to its originator: the answer is the record, as a file.",
    "retry": "Give the record to the routers again.",
    "discard": "Discard the record; the form's `reason` says why.",
}
_QUERY: Final[dict[str, dict[str, str]]] = {
    "/quarantine": {
        "code": "Only records that were refused with this code.",
        "publisher": "Only records from this agency's ingest topic.",
        "show": "`all`: those too about which is decided.",
    }
}


@cache
def describe_api() -> dict[str, Any]:
    """The description, OpenAPI 3.1."""
    _, definitions = models_json_schema([(model, "serialization") for model in PAGES.values()], ref_template=_REF)
    schemas = dict(definitions["$defs"])
    schemas["Refusal"] = {
        "type": "object",
        "properties": {"code": {"type": "string"}, "message": {"type": "string"}},
        "required": ["code", "message"],
        "additionalProperties": False,
    }
    paths: dict[str, Any] = {address: {"get": _get(address, name)} for address, name in ADDRESSES.items()}
    for action, summary in ACTIONS.items():
        paths[f"/quarantine/{{place}}/{action}"] = {"post": _post(action, summary)}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "CGI Hub console",
            "version": version("cgi-hub"),
            "description": "The console's pages as JSON: ask with `Accept: application/json` and a client certificate. "
            "Times are milliseconds since 1970, UTC; null means not known.",
        },
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": {"certificate": {"type": "mutualTLS"}}},
        "security": [{"certificate": []}],
    }


def _get(address: str, name: str) -> dict[str, Any]:
    model = PAGES[name]
    return {
        "operationId": name,
        "summary": " ".join((model.__doc__ or "").split()),
        "parameters": _parameters(address),
        "responses": {
            "200": _json(model.__name__),
            "403": _json("Refusal"),
            "404": _json("Refusal"),
            "503": _json("Refusal"),
        },
    }


def _post(action: str, summary: str) -> dict[str, Any]:
    done = {
        "description": "Done.",
        "content": {"application/octet-stream": {}}
        if action == "hand-back"
        else {"application/json": {"schema": {"$ref": _REF.format(model="HeldPage")}}},
    }
    return {
        "operationId": action,
        "summary": summary,
        "description": "For operators. The header `Origin` must be the console's own.",
        "parameters": _parameters("/quarantine/{place}"),
        "requestBody": {
            "required": True,
            "content": {
                "application/x-www-form-urlencoded": {
                    "schema": {
                        "type": "object",
                        "properties": {
                            "reason": {"type": "string", "maxLength": 500},
                            "seen": {
                                "type": "integer",
                                "description": "Decisions that the record had when it was shown.",
                            },
                        },
                        "required": ["seen", "reason"] if action == "discard" else ["seen"],
                    }
                }
            },
        },
        "responses": {
            "200": done,
            **{status: _json("Refusal") for status in ("400", "403", "404", "409", "503")},
        },
    }


def _parameters(address: str) -> list[dict[str, Any]]:
    parts = [part[1:-1] for part in address.split("/") if part.startswith("{")]
    found = [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in parts]
    return found + [
        {"name": name, "in": "query", "description": text, "schema": {"type": "string"}}
        for name, text in _QUERY.get(address, {}).items()
    ]


def _json(model: str) -> dict[str, Any]:
    return {
        "description": model,
        "content": {"application/json": {"schema": {"$ref": _REF.format(model=model)}}},
    }
