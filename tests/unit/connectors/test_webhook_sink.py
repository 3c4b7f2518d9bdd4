"""The webhook sink beyond the contract: the signature, what answers mean, addresses that are refused."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import pytest

from connectors import webhook_sink
from connectors.toolkit.errors import ConnectorInvalid
from connectors.webhook_sink import (
    WebhookEndpointRefused,
    WebhookEventRefused,
    WebhookSettings,
    WebhookSink,
    WebhookUnavailable,
    check_url,
    load_secret,
    sign,
)
from hub.errors import ConfigError, RejectedError, UnavailableError
from tests.support.opened import connector_context, opened_event
from tests.support.receiver import Receiver, Request

SECRET = bytes(range(32))
EVENT = opened_event("trace.result", 1)


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_text("whsec_" + base64.b64encode(SECRET).decode() + "\n")
    path.chmod(0o600)
    return path


async def send(receiver: Receiver, secret: Path, *events: Any, **settings: Any) -> None:
    made = WebhookSettings(url=receiver.url, secret=secret, **{"retry_seconds": 0, **settings})
    sink = WebhookSink("out", made, connector_context(secret.parent), first_wait=0.01)
    await sink.open(None)
    try:
        await sink.write(events or [EVENT])
    finally:
        await sink.close()


async def test_a_receiver_can_check_the_signature(secret: Path) -> None:
    async with Receiver() as receiver:
        await send(receiver, secret)
    (request,) = receiver.requests
    signed = f"{request.headers['webhook-id']}.{request.headers['webhook-timestamp']}.".encode() + request.body
    expected = base64.b64encode(hmac.new(SECRET, signed, hashlib.sha256).digest()).decode()
    assert request.headers["webhook-signature"] == f"v1,{expected}"
    assert request.headers["webhook-id"] == "JCF.00000000-0000-0000-0000-000000000001"
    assert request.headers["idempotency-key"] == request.headers["webhook-id"]
    assert request.headers["content-type"] == "application/json"
    assert json.loads(request.body)["type"] == "trace.result"


def test_the_signature_is_that_of_standard_webhooks() -> None:
    """The example of the specification's reference libraries (standard-webhooks/standard-webhooks)."""
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    body = b'{"test": 2432232314}'
    assert sign(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", body) == (
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    )


async def test_what_is_tried_again_has_the_same_id(secret: Path) -> None:
    answers = iter([503, 429, 408, 200])
    async with Receiver(answer=lambda _: (next(answers), {})) as receiver:
        await send(receiver, secret, retry_seconds=5)
    assert len(receiver.requests) == 4
    assert len({request.headers["webhook-id"] for request in receiver.requests}) == 1
    assert len(receiver.accepted) == 1


@pytest.mark.parametrize("status", [500, 502, 503, 408, 425, 429])
async def test_the_worlds_faults_are_unavailable(status: int, secret: Path) -> None:
    async with Receiver(answer=lambda _: (status, {})) as receiver:
        with pytest.raises(WebhookUnavailable) as caught:
            await send(receiver, secret)
    assert isinstance(caught.value, UnavailableError)


async def test_no_one_there_is_unavailable(secret: Path) -> None:
    async with Receiver() as receiver:
        pass
    with pytest.raises(WebhookUnavailable):
        await send(receiver, secret)


@pytest.mark.parametrize("status", [301, 302, 307, 308, 401, 403, 404, 405, 410])
async def test_a_wrong_address_or_secret_stops_the_sink(status: int, secret: Path) -> None:
    async with Receiver() as elsewhere:

        def answer(_: Request) -> tuple[int, dict[str, str]]:
            return status, {"location": elsewhere.url}

        async with Receiver(answer=answer) as receiver:
            with pytest.raises(WebhookEndpointRefused) as caught:
                await send(receiver, secret)
    assert isinstance(caught.value, ConfigError)
    assert elsewhere.requests == []


async def test_no_message_has_the_address_beyond_its_host(secret: Path) -> None:
    async with Receiver(answer=lambda _: (404, {})) as receiver:
        made = WebhookSettings(url=f"{receiver.url}/t0ken?key=t0ken", secret=secret)
        sink = WebhookSink("out", made, connector_context(secret.parent))
        await sink.open(None)
        with pytest.raises(WebhookEndpointRefused, match="127") as answered:
            await sink.write([EVENT])
        await sink.close()
    with pytest.raises(ConnectorInvalid) as refused:
        check_url("http://cases.example/t0ken", unsafe_plain_http=False)
    assert "t0ken" not in answered.value.diagnostics() + refused.value.diagnostics()


@pytest.mark.parametrize("status", [400, 409, 413, 415, 422])
async def test_what_the_receiver_never_takes_is_rejected(status: int, secret: Path) -> None:
    async with Receiver(answer=lambda _: (status, {})) as receiver:
        with pytest.raises(WebhookEventRefused) as caught:
            await send(receiver, secret)
    assert isinstance(caught.value, RejectedError)
    assert len(receiver.requests) == 1


async def test_the_wait_that_is_asked_for_is_kept(secret: Path) -> None:
    answers = iter([(429, {"retry-after": "3600"})])
    async with Receiver(answer=lambda _: next(answers)) as receiver:
        with pytest.raises(WebhookUnavailable):
            await send(receiver, secret, retry_seconds=60)
    assert len(receiver.requests) == 1


async def test_one_connection_serves_a_batch(secret: Path) -> None:
    async with Receiver() as receiver:
        await send(receiver, secret, *(opened_event("trace.result", number) for number in range(1, 6)))
    assert [json.loads(request.body)["event_id"][-1] for request in receiver.requests] == list("12345")


async def test_proxies_of_the_environment_are_not_used(secret: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with Receiver() as proxy, Receiver() as receiver:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("ALL_PROXY", proxy.url)
        await send(receiver, secret)
    assert (len(proxy.requests), len(receiver.requests)) == (0, 1)


@pytest.mark.parametrize(
    "url", ["https://a.example/x", "http://127.0.0.1:8/x", "http://[::1]:8/x", "http://localhost/x"]
)
def test_addresses_that_are_taken(url: str) -> None:
    check_url(url, unsafe_plain_http=False)


@pytest.mark.parametrize(
    "url",
    [
        "http://a.example/x",
        "http://127.0.0.1.a.example/",
        "http://10.0.0.1/",
        "ftp://a.example/",
        "a.example",
        "https:///x",
        "https://user:word@a.example/",
        "file:///etc/passwd",
    ],
)
def test_addresses_that_are_refused(url: str) -> None:
    with pytest.raises(ConnectorInvalid):
        check_url(url, unsafe_plain_http=False)


def test_plain_http_elsewhere_is_for_who_says_unsafe() -> None:
    check_url("http://a.example/x", unsafe_plain_http=True)


def test_secrets_that_are_refused(secret: Path, tmp_path: Path) -> None:
    assert load_secret(secret) == SECRET
    secret.chmod(0o640)
    with pytest.raises(ConnectorInvalid, match="chmod 600"):
        load_secret(secret)
    secret.chmod(0o600)
    for text in (
        "",
        "hello",
        "whsec_!!",
        "whsec_" + base64.b64encode(b"short").decode(),
        base64.b64encode(SECRET).decode(),
    ):
        secret.write_text(text)
        with pytest.raises(ConnectorInvalid):
            load_secret(secret)
    with pytest.raises(ConnectorInvalid, match="cannot be read"):
        load_secret(tmp_path / "none")


def test_it_is_built_of_settings(secret: Path) -> None:
    context = connector_context(secret.parent)
    built = webhook_sink.connector.build({"url": "https://a.example/x", "secret": "secret"}, context)
    assert isinstance(built, WebhookSink)
    with pytest.raises(ConnectorInvalid, match="https"):
        webhook_sink.connector.build({"url": "http://a.example/x", "secret": "secret"}, context)
