"""The console as an ASGI application. Who asks comes from the certificate (server.py), what is shown from the facts.

Every answer carries a Content-Security-Policy without inline scripts or styles and without another address. A request
that changes something must come from the console's own pages: its ``Origin`` is this console's, and a browser that says
``Sec-Fetch-Site`` says ``same-origin``. A client certificate is sent by a browser with every request, whoever made it
send it: without that check any page could act in an operator's name.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final, Protocol
from urllib.parse import parse_qs, urlencode

from starlette.applications import Starlette
from starlette.datastructures import Headers, QueryParams
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hub.console.actions import Action, Actions, AlreadyDecided, RecordGone
from hub.console.facts import Facts, Held
from hub.console.language import LANGUAGES, Words, choose_language, load_languages
from hub.console.openapi import describe_api
from hub.console.pages import Page
from hub.console.people import People, Person, PersonUnknown, RoleTooLow
from hub.console.platform_views import audit_page, directory_page, health_page
from hub.console.quarantine import find_held, held_page, quarantine_page
from hub.console.render import LIVE, environment, render_content, render_page
from hub.console.views import (
    PageUnknown,
    agencies_page,
    agency_page,
    agreements_page,
    exchange_page,
    pair_page,
)
from hub.console.watch import Watch
from hub.errors import HubError, RejectedError, UnavailableError
from hub.log_words import say
from hub.ports import Clock

CSP: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
HEADERS: Final = {
    "Content-Security-Policy": CSP,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # no-referrer would make the Origin of our own forms "null"
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Strict-Transport-Security": "max-age=31536000",
}
MAX_FORM: Final = 16 * 1024
PERSON: Final = "console.person"
CERTIFICATE: Final = "console.certificate"
"""Where server.py puts the peer's certificate (DER) in the ASGI scope, and this application the person."""
LIVE_LEAST: Final = 2.0
LIVE_MOST: Final = 10.0
"""Seconds between two renewals of a page that is watched."""

_SAFE_METHODS: Final = frozenset({"GET", "HEAD"})


class OriginRefused(RejectedError):
    """A request that changes something and does not come from the console's own pages."""

    code = "console.origin_refused"


class FormInvalid(RejectedError):
    """A form of another kind than the pages send."""

    code = "console.form_invalid"


class MakePage(Protocol):
    """A page's function, with what the address and the query say."""

    def __call__(self, facts: Facts, now_ms: int, request: Request) -> Page: ...


@dataclass(frozen=True, slots=True)
class View:
    """A page: its template, its address, and the function that makes it."""

    template: str
    address: str
    make: MakePage
    parent: str = ""


def _filtered(facts: Facts, now_ms: int, request: Request) -> Page:
    query = request.query_params
    return quarantine_page(
        facts,
        now_ms,
        code=query.get("code", "")[:128],
        publisher=query.get("publisher", "")[:64],
        show=query.get("show", ""),
    )


def _held(facts: Facts, now_ms: int, request: Request) -> Page:
    return held_page(facts, held_in(facts, request.path_params["place"]), now_ms)


VIEWS: Final = (
    View("exchange", "/exchange", lambda facts, now, _: exchange_page(facts, now)),
    View("agencies", "/agencies", lambda facts, now, _: agencies_page(facts, now)),
    View(
        "agency",
        "/agencies/{agency}",
        lambda facts, now, request: agency_page(facts, request.path_params["agency"], now),
        parent="agencies",
    ),
    View("agreements", "/agreements", lambda facts, now, _: agreements_page(facts, now)),
    View(
        "pair",
        "/agreements/{originator}/{recipient}",
        lambda facts, now, request: pair_page(
            facts, request.path_params["originator"], request.path_params["recipient"], now
        ),
        parent="agreements",
    ),
    View("quarantine", "/quarantine", _filtered),
    View("held", "/quarantine/{place}", _held, parent="quarantine"),
    View("directory", "/directory", lambda facts, now, _: directory_page(facts, now)),
    View("health", "/health", lambda facts, now, _: health_page(facts, now)),
    View("audit", "/audit", lambda facts, now, _: audit_page(facts, now)),
)


def held_in(facts: Facts, place: str) -> Held:
    """The record at a place. Raises :class:`PageUnknown`."""
    held = find_held(facts, place)
    if held is None:
        raise PageUnknown("there is no such record in quarantine", place=place[:40])
    return held


# --- the application --------------------------------------------------------------------------------------------------


class Console:
    """The application's parts: the facts, the actions (``None``: a console that only shows), who may come in."""

    def __init__(
        self, watch: Watch, people: People, clock: Clock, *, actions: Actions | None, origins: Collection[str]
    ) -> None:
        self._watch = watch
        self._people = people
        self._clock = clock
        self._actions = actions
        self._origins = origins
        self._languages = load_languages()

    def app(self) -> Starlette:
        """The ASGI application."""
        routes: list[Route | Mount] = [Route("/", self._front)]
        for view in VIEWS:
            routes.append(Route(view.address, self._shown(view), methods=["GET"]))
            if view.template in LIVE:
                routes.append(Route(f"/live{view.address}", self._followed(view), methods=["GET"]))
        routes += [
            Route("/quarantine/{place}/{action}", self._act, methods=["POST"]),
            Route("/openapi.json", self._openapi, methods=["GET"]),
            Mount("/static", StaticFiles(directory=str(files("hub.console") / "static"))),
        ]
        return Starlette(
            routes=routes,
            middleware=[Middleware(_Headers), Middleware(_Gate, people=self._people, origins=self._origins)],
            exception_handlers={HubError: self._failed, 404: self._missing, 405: self._missing},
        )

    # --- pages --------------------------------------------------------------------------------------------------------

    async def _front(self, _request: Request) -> Response:
        return RedirectResponse("/exchange", 303)

    def _shown(self, view: View) -> Callable[[Request], Awaitable[Response]]:
        async def show(request: Request) -> Response:
            page = view.make(self._watch.facts, self._clock.now_ms(), request)
            if wants_json(request.headers):
                return _uncached(JSONResponse(page.model_dump(mode="json")))
            words = self._words(request)
            html = render_page(
                view.template,
                page,
                words,
                person=_person(request),
                path=_path(request),
                **self._more(view, page, request),
            )
            return self._remembering(request, _uncached(HTMLResponse(html)))

        return show

    def _followed(self, view: View) -> Callable[[Request], Awaitable[Response]]:
        async def follow(request: Request) -> Response:
            view.make(self._watch.facts, self._clock.now_ms(), request)  # an address that is none is refused now
            return _uncached(StreamingResponse(self._renewals(view, request), media_type="text/event-stream"))

        return follow

    async def _renewals(self, view: View, request: Request) -> AsyncIterator[str]:
        """The content again and again: when something was read, and at least every :data:`LIVE_MOST` seconds."""
        words, path = self._words(request), _path(request).removeprefix("/live")
        version = self._watch.version
        while not await request.is_disconnected():
            try:
                self._people.identify(request.scope["extensions"][CERTIFICATE])  # struck out meanwhile: it ends here
                page = view.make(self._watch.facts, self._clock.now_ms(), request)
            except HubError:
                return  # no renewal: the page says by itself that it is old
            content = render_content(
                view.template, page, words, person=_person(request), path=path, **self._more(view, page, request)
            )
            yield "".join(f"data: {line}\n" for line in content.splitlines()) + "\n"
            await asyncio.sleep(LIVE_LEAST)
            version = await self._watch.changed(version, most=LIVE_MOST - LIVE_LEAST)

    def _more(self, view: View, page: Page, request: Request) -> dict[str, Any]:
        """What a template needs beside the page."""
        more: dict[str, Any] = {"parent": view.parent, "language_link": _language_links(request)}
        if view.template == "agreements":
            more["cells"] = {(cell.originator, cell.recipient): cell for cell in page.cells}  # type: ignore[attr-defined]
        if view.template == "held":
            done = request.query_params.get("done", "")
            words = self._words(request)
            more["notice"] = words(f"done.{done}") if words.has(f"done.{done}") else ""
        return more

    # --- actions ------------------------------------------------------------------------------------------------------

    async def _act(self, request: Request) -> Response:
        person = _person(request)
        person.check_may_act()
        action = _action(request.path_params["action"])
        held = held_in(self._watch.facts, request.path_params["place"])
        if self._actions is None:
            raise RoleTooLow("this console only shows")
        form = await _form(request)
        raw = await self._actions.act(
            action, person, held, reason=form.get("reason", ""), decisions_seen=_count(form.get("seen", ""))
        )
        await self._watch.look("audit")
        if action == "hand-back":
            name = f"quarantine-{held.place}-{re.sub(r'[^A-Za-z0-9.-]', '_', held.code)}.qua"
            return _uncached(
                Response(
                    raw,
                    media_type="application/octet-stream",
                    headers={"Content-Disposition": f'attachment; filename="{name}"'},
                )
            )
        if wants_json(request.headers):
            page = held_page(self._watch.facts, held, self._clock.now_ms())
            return _uncached(JSONResponse(page.model_dump(mode="json")))
        return RedirectResponse(f"/quarantine/{held.place}?done={action}", 303)

    # --- the rest -----------------------------------------------------------------------------------------------------

    async def _openapi(self, _request: Request) -> Response:
        return JSONResponse(describe_api())

    async def _failed(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, HubError)  # noqa: S101  that is what the handler is registered for
        status, kind = _reaction(error)
        return self._error(request, status, kind, error.code, error.message)

    async def _missing(self, request: Request, _error: Exception) -> Response:
        return self._error(request, 404, "unknown", PageUnknown.code, "")

    def _error(self, request: Request, status: int, kind: str, code: str, message: str) -> Response:
        if wants_json(request.headers):
            return _uncached(JSONResponse({"code": code, "message": message}, status_code=status))
        back = request.url.path.rpartition("/")[0] if request.method == "POST" else "/exchange"
        html = (
            environment()
            .get_template("error.html")
            .render(t=self._words(request), kind=kind, code=code, message=message, back=back or "/exchange")
        )
        return _uncached(HTMLResponse(html, status_code=status))

    def _words(self, request: Request) -> Words:
        asked = request.query_params.get("lang", "")
        return self._languages[
            choose_language(asked, request.cookies.get("lang", ""), request.headers.get("accept-language", ""))
        ]

    def _remembering(self, request: Request, response: Response) -> Response:
        asked = request.query_params.get("lang", "")
        if asked in LANGUAGES:
            response.set_cookie("lang", asked, max_age=31_536_000, secure=True, httponly=True, samesite="strict")
        return response


def _reaction(error: HubError) -> tuple[int, str]:
    """The status and the kind of page for an error."""
    match error:
        case PersonUnknown() | RoleTooLow() | OriginRefused():
            return 403, "refused"
        case PageUnknown():
            return 404, "unknown"
        case AlreadyDecided() | RecordGone():
            return 409, "conflict"
        case RejectedError():
            return 400, "invalid"
        case UnavailableError():
            return 503, "unavailable"
        case _:
            return 500, "unavailable"


def wants_json(headers: Headers) -> bool:
    """Whether the one who asks prefers JSON to a page: it names JSON, and no HTML."""
    accept = headers.get("accept", "")
    return "application/json" in accept and "text/html" not in accept


def _person(request: Request) -> Person:
    person: Person = request.scope[PERSON]
    return person


def _path(request: Request) -> str:
    query = _without_language(request.query_params)
    return request.url.path + (f"?{query}" if query else "")


def _without_language(query: QueryParams) -> str:
    return urlencode([(name, value) for name, value in query.multi_items() if name not in ("lang", "done")])


def _language_links(request: Request) -> Callable[[str], str]:
    path = _path(request)
    joint = "&" if "?" in path else "?"
    return lambda code: f"{path}{joint}lang={code}"


def _action(name: str) -> Action:
    match name:
        case "hand-back" | "retry" | "discard":
            return name
        case _:
            raise PageUnknown("there is no such action")


async def _form(request: Request) -> Mapping[str, str]:
    """The fields of a small form. Raises :class:`FormInvalid`."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip()
    if kind != "application/x-www-form-urlencoded":
        raise FormInvalid("a form is application/x-www-form-urlencoded", found=kind[:60])
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MAX_FORM:
            raise FormInvalid(f"a form has at most {MAX_FORM} bytes")
    try:
        found = parse_qs(body.decode("ascii"), keep_blank_values=True, strict_parsing=bool(body), max_num_fields=8)
    except ValueError as error:
        raise FormInvalid("the form cannot be read") from error
    return {name: values[-1] for name, values in found.items()}


def _count(text: str) -> int:
    if not re.fullmatch(r"\d{1,9}", text, re.ASCII):
        raise FormInvalid("the form does not say how many decisions were seen: the field `seen`")
    return int(text)


def _uncached(response: Response) -> Response:
    response.headers["Cache-Control"] = "no-store"
    response.headers["Vary"] = "Accept, Accept-Language, Cookie"
    return response


# --- what stands before every page ------------------------------------------------------------------------------------


class _Headers:
    """Adds the security headers to every answer, an error's too."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._raw = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_more(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *self._raw]
            await send(message)

        await self._app(scope, receive, send_more)


class _Gate:
    """Lets in who has a role, and lets only the console's own pages change something."""

    def __init__(self, app: ASGIApp, *, people: People, origins: Collection[str]) -> None:
        self._app = app
        self._people = people
        self._origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        try:
            scope[PERSON] = self._people.identify(scope.get("extensions", {}).get(CERTIFICATE))
            self._check_origin(scope["method"], Headers(scope=scope))
        except (PersonUnknown, OriginRefused) as error:
            say("console.refused", code=error.code, reason=error.message, **_named(error))
            await self._refuse(error, Headers(scope=scope))(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _check_origin(self, method: str, headers: Headers) -> None:
        if method in _SAFE_METHODS:
            return
        origin, site = headers.get("origin", ""), headers.get("sec-fetch-site", "same-origin")
        if origin not in self._origins or site != "same-origin":
            raise OriginRefused("that did not come from a page of this console", origin=origin[:80])

    def _refuse(self, error: HubError, headers: Headers) -> Response:
        if wants_json(headers):
            return _uncached(JSONResponse({"code": error.code, "message": error.message}, status_code=403))
        words = load_languages()[choose_language("", "", headers.get("accept-language", ""))]
        html = (
            environment()
            .get_template("error.html")
            .render(t=words, kind="refused", code=error.code, message=error.message, back="/exchange")
        )
        return _uncached(HTMLResponse(html, status_code=403))


def _named(error: HubError) -> dict[str, str]:
    return {name: str(value)[:120] for name, value in error.details.items()}
