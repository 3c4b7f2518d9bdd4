"""The console over its real TLS: who comes in, who may act, what each answer carries, JSON as OpenAPI says."""

from __future__ import annotations

import json
import re
import ssl
from pathlib import Path
from typing import Any

import httpx
import pytest

from hub.console.audit import parse_entry
from hub.console.openapi import ADDRESSES, describe_api
from hub.console.pages import PAGES
from hub.console.server import ConsoleAddressTaken, ServerTls, serve_console
from hub.console.web import HEADERS, VIEWS
from hub.topics import AUDIT, QUARANTINE, RETRY
from tests.console.conftest import Running
from tests.console.people import OPERATOR, PEOPLE_TOML, PeopleAuthority

JSON = {"accept": "application/json"}
PATHS = {
    "/exchange": "exchange",
    "/agencies": "agencies",
    "/agencies/JCF": "agency",
    "/agreements": "agreements",
    "/agreements/JCF/ATF": "pair",
    "/quarantine": "quarantine",
    "/quarantine?show=all&code=frame.malformed": "quarantine",
    "/quarantine/0-0": "held",
    "/directory": "directory",
    "/health": "health",
    "/audit": "audit",
}


# --- who comes in -----------------------------------------------------------------------------------------------------


def test_a_stranger_is_refused_by_tls(shared: Running, tmp_path: Path) -> None:
    stranger = PeopleAuthority(tmp_path / "strangers", "Strangers").issue(OPERATOR)  # the right names, another CA
    for pair in (None, stranger):
        with pytest.raises(httpx.TransportError):
            shared.client(pair).get("/exchange")


def test_an_older_tls_is_refused(shared: Running) -> None:
    context = ssl.create_default_context(cafile=str(shared.stage.authority.ca))
    context.load_cert_chain(shared.viewer.certificate, shared.viewer.key)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with httpx.Client(verify=context, trust_env=False) as client, pytest.raises(httpx.TransportError):
        client.get(f"{shared.url}/exchange")


def test_a_certificate_without_a_role_gets_nothing_at_all(shared: Running) -> None:
    client = shared.client(shared.nobody)
    for path in (*PATHS, "/", "/openapi.json", "/static/console.css", "/live/exchange"):
        answer = client.get(path)
        assert answer.status_code == 403, path
        assert "JCF" not in answer.text
    refusal = client.get("/exchange", headers=JSON)
    assert refusal.json()["code"] == "console.person_unknown"


def test_who_is_struck_out_is_refused_on_the_open_connection(running: Running) -> None:
    client = running.client(running.operator)
    assert client.get("/exchange").status_code == 200
    running.stage.people_file.write_text(PEOPLE_TOML.split("\n\n")[0])
    assert client.get("/exchange").status_code == 403


async def test_an_address_that_is_taken_is_one_clear_error(running: Running) -> None:
    server = running.stage.authority.issue("second", server=True)
    tls = ServerTls(server.certificate, server.key, running.stage.authority.ca)
    with pytest.raises(ConsoleAddressTaken):
        async with serve_console(running.stage.console.app(), listen=running.url.removeprefix("https://"), tls=tls):
            pass


# --- what is shown ----------------------------------------------------------------------------------------------------


def test_every_page_and_its_twin(shared: Running) -> None:
    client = shared.client(shared.viewer)
    for path, name in PATHS.items():
        page = client.get(path)
        assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8"), path
        assert "<h1>" in page.text
        twin = client.get(path, headers=JSON)
        assert twin.status_code == 200
        PAGES[name].model_validate_json(twin.text)  # nothing more and nothing less than the model
    assert {view.address: view.template for view in VIEWS} == ADDRESSES


def test_openapi_says_what_the_twins_are(shared: Running) -> None:
    described = shared.client(shared.viewer).get("/openapi.json").json()
    assert described == json.loads(json.dumps(describe_api()))
    assert described["openapi"] == "3.1.0"
    assert {path for path, item in described["paths"].items() if "get" in item} == set(ADDRESSES)
    for path, item in described["paths"].items():
        for operation in item.values():
            named = {parameter["name"] for parameter in operation["parameters"] if parameter["in"] == "path"}
            assert named == set(re.findall(r"{(\w+)}", path))
    schemas = described["components"]["schemas"]
    for reference in re.findall(r'"\$ref": "#/components/schemas/(\w+)"', json.dumps(described)):
        assert reference in schemas
    client = shared.client(shared.viewer)
    for path, name in PATHS.items():
        check_schema(client.get(path, headers=JSON).json(), schemas[PAGES[name].__name__], schemas, path)


def check_schema(value: Any, schema: dict[str, Any], schemas: dict[str, Any], place: str) -> None:
    """As much of JSON Schema as the models use."""
    if "$ref" in schema:
        check_schema(value, schemas[schema["$ref"].rsplit("/", 1)[1]], schemas, place)
    elif "anyOf" in schema:
        assert any(_fits(value, each, schemas) for each in schema["anyOf"]), place
    elif schema.get("type") == "object" and "properties" in schema:
        assert set(schema.get("required", ())) <= set(value) <= set(schema["properties"]), place
        for name, each in value.items():
            check_schema(each, schema["properties"][name], schemas, f"{place}.{name}")
    elif schema.get("type") == "object":
        assert isinstance(value, dict), place
        for each in value.values():
            check_schema(each, schema["additionalProperties"], schemas, place)
    elif schema.get("type") == "array":
        for each in value:
            check_schema(each, schema["items"], schemas, f"{place}[]")
    else:
        assert _fits(value, schema, schemas), place


def _fits(value: Any, schema: dict[str, Any], schemas: dict[str, Any]) -> bool:
    if "$ref" in schema or schema.get("type") in ("object", "array"):
        try:
            check_schema(value, schema, schemas, "")
        except (AssertionError, TypeError):
            return False
        return True
    kinds: dict[str, Any] = {"string": str, "integer": int, "number": (int, float), "boolean": bool, "null": type(None)}
    return isinstance(value, kinds[schema["type"]]) and ("enum" not in schema or value in schema["enum"])


def test_every_answer_is_guarded(shared: Running) -> None:
    client = shared.client(shared.viewer)
    nobody = shared.client(shared.nobody)
    for answer in (
        client.get("/exchange"),
        client.get("/static/console.css"),
        client.get("/nothing/here"),
        client.post("/quarantine/0-0/discard"),
        nobody.get("/exchange"),
    ):
        for name, value in HEADERS.items():
            assert answer.headers[name] == value
    policy = client.get("/exchange").headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "http" not in policy
    assert client.get("/exchange").headers["cache-control"] == "no-store"


def test_no_page_has_an_inline_script_or_style_or_an_address_outside(shared: Running) -> None:
    client = shared.client(shared.operator)
    for path in PATHS:
        text = client.get(path).text
        assert not re.search(r"<script(?![^>]*\bsrc=\"/static/)|<style|\sstyle=|\son[a-z]+=|javascript:", text), path
        assert not re.search(r"(?:src|href|action)=\"(?:https?:)?//", text), path


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/agencies/XYZ",
        "/agencies/..%2f..%2fetc%2fpasswd",
        "/agreements/JCF/XYZ",
        "/quarantine/9-9",
        "/quarantine/0-0-0",
        "/quarantine/<b>",
        "/static/../web.py",
        "/static/%2e%2e/web.py",
        "/live/agencies/XYZ",
    ],
)
def test_what_is_not_there_is_404(shared: Running, path: str) -> None:
    client = shared.client(shared.viewer)
    assert client.get(path).status_code == 404
    assert client.get(path, headers=JSON).json()["code"] == "console.page_unknown" or "static" in path


def test_the_language_is_chosen_and_remembered(shared: Running) -> None:
    client = shared.client(shared.viewer)
    assert 'lang="fr"' in client.get("/exchange", headers={"accept-language": "fr-HT,ht;q=0.9"}).text
    answer = client.get("/quarantine?code=frame.malformed&lang=es", headers={"accept-language": "fr"})
    assert "Cuarentena" in answer.text
    cookie = answer.headers["set-cookie"]
    assert all(part in cookie for part in ("lang=es", "Secure", "HttpOnly", "SameSite=strict"))
    assert "/quarantine?code=frame.malformed&amp;lang=fr" in answer.text
    assert "Intercambio" in client.get("/exchange", headers={"accept-language": "fr"}).text
    assert "set-cookie" not in client.get("/exchange?lang=xx").headers


def test_who_is_struck_out_sees_no_renewal_of_a_page_that_is_open(running: Running) -> None:
    client = running.client(running.operator)
    with client.stream("GET", "/live/exchange") as answer:
        lines = answer.iter_lines()
        assert next(lines).startswith("data: ")
        running.stage.people_file.write_text(PEOPLE_TOML.split("\n\n")[0])
        running.stage.call(running.stage.watch.look("audit"))
        renewals = 0
        for line in lines:
            renewals += line == ""
            assert renewals < 4, "it goes on"


def test_a_page_that_is_watched_is_renewed(shared: Running) -> None:
    client = shared.client(shared.viewer)
    with client.stream("GET", "/live/exchange", headers={"accept": "text/html, text/event-stream"}) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        renewals = 0
        for line in answer.iter_lines():
            assert line == "" or line.startswith("data: ")
            renewals += line == ""
            if renewals == 2:
                break
            shared.stage.call(shared.stage.watch.look("audit"))  # something was read
    assert client.get("/live/quarantine/0-0").status_code == 404  # a page with forms does not change under the hand


# --- who acts ---------------------------------------------------------------------------------------------------------


def form(running: Running, **fields: str) -> dict[str, Any]:
    return {"data": {"seen": "0", "reason": "because", **fields}, "headers": {"origin": running.url}}


def test_an_operator_acts_and_it_is_written_down(running: Running) -> None:
    client, broker = running.client(running.operator), running.stage.broker
    done = client.post("/quarantine/0-0/retry", **form(running))
    assert (done.status_code, done.headers["location"]) == (303, "/quarantine/0-0?done=retry")
    assert "Given to the routers again" in client.get(done.headers["location"]).text
    done = client.post("/quarantine/0-1/discard", **form(running, reason="Nachtigall é"))
    assert done.status_code == 303
    file = client.post("/quarantine/0-2/hand-back", **form(running))
    assert file.content == broker.records(QUARANTINE)[2].value
    assert file.headers["content-disposition"] == 'attachment; filename="quarantine-0-2-limit.exceeded.qua"'
    entries = [parse_entry(record.value) for record in broker.records(AUDIT)]
    assert [(entry.what, entry.reason) for entry in entries] == [
        ("quarantine.retried", "because"),
        ("quarantine.discarded", "Nachtigall é"),
        ("quarantine.handed_back", "because"),
    ]
    assert [record.value for record in broker.records(RETRY)] == [broker.records(QUARANTINE)[0].value]
    log = client.get("/audit", headers=JSON).json()
    assert [entry["number"] for entry in log["entries"]] == [3, 2, 1]
    assert client.get("/quarantine", headers=JSON).json()["undecided"] == 1


def test_an_action_as_json(running: Running) -> None:
    client = running.client(running.operator, **JSON)
    done = client.post("/quarantine/0-1/discard", **form(running))
    assert [each["what"] for each in done.json()["held"]["decisions"]] == ["discarded"]
    again = client.post("/quarantine/0-1/discard", **form(running))
    assert (again.status_code, again.json()["code"]) == (409, "console.already_decided")


def test_a_viewer_sees_no_form_and_may_not_act(shared: Running) -> None:
    client = shared.client(shared.viewer)
    assert "<form" not in client.get("/quarantine/0-0").text
    for action in ("retry", "discard", "hand-back"):
        answer = client.post(f"/quarantine/0-0/{action}", **form(shared))
        assert answer.status_code == 403
    assert not shared.stage.broker.records(AUDIT)
    assert not shared.stage.broker.records(RETRY)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "{url}.evil.example"},
        {"origin": "http://127.0.0.1"},
        {"origin": "{url}", "sec-fetch-site": "cross-site"},
        {"origin": "{url}", "sec-fetch-site": "same-site"},
        {"referer": "{url}/quarantine/0-0"},
    ],
)
def test_another_page_cannot_act_in_an_operators_name(shared: Running, headers: dict[str, str]) -> None:
    client = shared.client(shared.operator)
    sent = {name: value.replace("{url}", shared.url) for name, value in headers.items()}
    answer = client.post("/quarantine/0-0/retry", data={"seen": "0", "reason": ""}, headers=sent)
    assert answer.status_code == 403
    assert not shared.stage.broker.records(RETRY)
    assert not shared.stage.broker.records(AUDIT)


@pytest.mark.parametrize(
    ("action", "content", "kind", "status"),
    [
        ("discard", "seen=0", "application/x-www-form-urlencoded", 400),
        ("discard", "seen=0&reason=", "application/x-www-form-urlencoded", 400),
        ("retry", "", "application/x-www-form-urlencoded", 400),
        ("retry", "seen=-1", "application/x-www-form-urlencoded", 400),
        ("retry", "seen=0&" + "a=b&" * 20, "application/x-www-form-urlencoded", 400),
        ("retry", "seen=0&reason=" + "x" * 20_000, "application/x-www-form-urlencoded", 400),
        ("retry", "seen=0&more=" + "x" * 20_000, "application/x-www-form-urlencoded", 400),
        ("retry", "\xff\xfe", "application/x-www-form-urlencoded", 400),
        ("retry", '{"seen": 0}', "application/json", 400),
        ("retry", "seen=0", "text/plain", 400),
        ("retry", "seen=1", "application/x-www-form-urlencoded", 409),
        ("burn", "seen=0", "application/x-www-form-urlencoded", 404),
    ],
)
def test_a_form_of_another_kind_does_nothing(
    shared: Running, action: str, content: str, kind: str, status: int
) -> None:
    client = shared.client(shared.operator)
    answer = client.post(
        f"/quarantine/0-0/{action}",
        content=content.encode("latin-1"),
        headers={"origin": shared.url, "content-type": kind},
    )
    assert answer.status_code == status
    assert not shared.stage.broker.records(AUDIT)


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_no_other_method_does_anything(shared: Running, method: str) -> None:
    client = shared.client(shared.operator)
    assert client.request(method, "/quarantine/0-0", headers={"origin": shared.url}).status_code in (404, 405)
    assert client.request(method, "/quarantine/0-0/retry", headers={"origin": shared.url}).status_code in (404, 405)
    assert not shared.stage.broker.records(AUDIT)
