"""Pages as HTML: Jinja2 with autoescape always on, words by language, no inline script or style."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from hub.console.drawing import draw_chart, draw_map
from hub.console.language import LANGUAGES, Words
from hub.console.pages import Page
from hub.console.people import Person

VENDOR: Final = ("htmx.min.js", "hx-sse.min.js")
"""What `make setup-console` fetches from npm; without them pages are refreshed by hand."""
HTMX_CONFIG: Final = json.dumps({"includeIndicatorCSS": False, "history": False, "transitions": False})

SECTIONS: Final = ("exchange", "agencies", "agreements", "quarantine", "directory", "health", "audit")
LIVE: Final = frozenset({"exchange", "agencies", "agency", "quarantine", "health", "directory", "audit"})
"""Pages that are kept fresh by server-sent events. One with a form is not: it would change under the hand."""


@cache
def environment() -> Environment:
    """The templates. ``StrictUndefined``: a name that nothing fills is an error, never an empty place."""
    env = Environment(
        loader=PackageLoader("hub.console", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.globals.update(
        draw_map=draw_map,
        draw_chart=draw_chart,
        sections=SECTIONS,
        languages=LANGUAGES,
        iso=iso,
        moment=moment,
        day=day,
        htmx_config=HTMX_CONFIG,
    )
    return env


@cache
def scripts() -> tuple[str, ...]:
    """The scripts that are there: both, or none."""
    folder = files("hub.console") / "static" / "vendor"
    return VENDOR if all((folder / name).is_file() for name in VENDOR) else ()


def render_page(
    template: str,
    page: Page,
    words: Words,
    *,
    person: Person,
    path: str,
    notice: str = "",
    **more: Any,
) -> str:
    """A whole page. ``path`` is its address with its query, for the links that stay on it."""
    return environment().get_template("layout.html").render(_names(template, page, words, person, path, notice, more))


def render_content(template: str, page: Page, words: Words, *, person: Person, path: str, **more: Any) -> str:
    """The part of a page that changes: what server-sent events bring."""
    return environment().get_template(f"{template}.html").render(_names(template, page, words, person, path, "", more))


def _names(
    template: str, page: Page, words: Words, person: Person, path: str, notice: str, more: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        "page": page,
        "t": words,
        "person": person,
        "path": path,
        "notice": notice,
        "template": template,
        "live": template in LIVE and bool(scripts()),
        "scripts": scripts(),
        "now": page.made_at_ms,
        **more,
    }


def iso(at_ms: int) -> str:
    """For ``<time datetime>``."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def moment(at_ms: int) -> str:
    """A time as people read it, UTC."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def day(at_ms: int) -> str:
    """A date, UTC."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d")
