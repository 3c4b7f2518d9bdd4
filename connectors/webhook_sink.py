"""Sink: each opened event as a signed HTTP POST to an agency's own system.

    [[sink]]
    kind = "webhook"
    url = "https://cases.example.gov/hub"
    secret = "keys/webhook.secret"   # whsec_ + base64 of 24 to 64 random bytes, mode 0600

The body is the event's document. Headers are those of Standard Webhooks (standardwebhooks.com), for which receivers
find libraries in every language:

- ``webhook-id``: ``<publisher>.<event id>``, the same at every repetition; ``Idempotency-Key`` has it too
- ``webhook-timestamp``: seconds since 1970; a receiver refuses what is older than some minutes
- ``webhook-signature``: ``v1,`` + base64 of HMAC-SHA256 with the secret over ``<id>.<timestamp>.<body>``

At least once on the wire; once in effect where the receiver remembers ``webhook-id``. What an answer means:

- 2xx: done
- 408, 425, 429, 5xx, no answer: tried again with growing waits, then ``UnavailableError``: nothing is marked
- 3xx, 401, 403, 404, 405, 410: the address or the secret is wrong, so no event would get through: ``ConfigError``
- any other 4xx: this event will never be taken: ``RejectedError``; the Subscriber keeps it apart and goes on

Redirects are not followed: the signature would go to whoever the answer names.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import ipaddress
import json
import os
import random
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
from pydantic import Field

from connectors.toolkit.connector import Connector, ConnectorContext, ConnectorSettings
from connectors.toolkit.errors import ConnectorInvalid
from hub.catalog import Catalog
from hub.document import encode_document
from hub.errors import RejectedError, UnavailableError
from hub.model import OpenedEvent, format_event_id

RETRIED = frozenset({408, 425, 429})
ENDPOINT_WRONG = frozenset({401, 403, 404, 405, 410})
SECRET_PREFIX = "whsec_"  # noqa: S105 - what a secret's text begins with
ANSWER_BYTES = 64 * 1024


class WebhookEndpointRefused(ConnectorInvalid):
    """The receiver's answer says that the address or the secret is wrong, not the event."""

    code = "config.webhook_endpoint"


class WebhookEventRefused(RejectedError):
    """The receiver will never take this event."""

    code = "webhook.event_refused"


class WebhookUnavailable(UnavailableError):
    """The receiver did not take the event within the time for retries."""

    code = "unavailable.webhook"


class WebhookSettings(ConnectorSettings):
    """``unsafe_plain_http`` sends to an ``http://`` address that is not this machine: anyone on the way can read it."""

    url: str
    secret: Path
    ca: Path | None = None
    """PEM of the authority that signed the receiver's certificate; by default the system's."""
    timeout_seconds: float = Field(default=10, gt=0, le=300)
    retry_seconds: float = Field(default=60, ge=0, le=3600)
    """How long one event is tried before the Subscriber backs off."""
    unsafe_plain_http: bool = False


class WebhookSink:
    """One event a request, in order."""

    def __init__(
        self, name: str, settings: WebhookSettings, context: ConnectorContext, *, first_wait: float = 0.5
    ) -> None:
        self.name = name
        self._settings = settings
        self._catalog: Catalog = context.catalog
        self._secret = load_secret(context.path(settings.secret))
        self._ca = None if settings.ca is None else context.path(settings.ca)
        self._first_wait = first_wait
        self._client: httpx.AsyncClient | None = None
        self._now: Callable[[], float] = time.time
        check_url(settings.url, unsafe_plain_http=settings.unsafe_plain_http)
        self._host = httpx.URL(settings.url).host  # in messages: many receivers put a token into the path

    async def open(self, state: Mapping[str, Any] | None) -> None:
        """Nothing to go back to: what is sent again has the same ``webhook-id``."""
        await self.close()
        verify: ssl.SSLContext | bool = True
        if self._ca is not None:
            verify = ssl.create_default_context(cafile=str(self._ca))
        # trust_env off: a proxy or a netrc of the environment must not get what is meant for the receiver
        self._client = httpx.AsyncClient(
            verify=verify, follow_redirects=False, trust_env=False, timeout=self._settings.timeout_seconds
        )

    async def write(self, events: Sequence[OpenedEvent]) -> None:
        """Returns when each was taken. Raises ``WebhookUnavailable``, ``WebhookEventRefused``, ``ConfigError``."""
        for event in events:
            await self._deliver(event)

    async def close(self) -> None:
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def _deliver(self, event: OpenedEvent) -> None:
        body = json.dumps(encode_document(event, self._catalog), ensure_ascii=False, separators=(",", ":")).encode()
        identifier = f"{event.publisher}.{format_event_id(event.event_id)}"
        deadline = time.monotonic() + self._settings.retry_seconds
        wait = self._first_wait
        while True:
            status, after = await self._post(identifier, body)
            if 200 <= status < 300:
                return
            if 300 <= status < 400 or status in ENDPOINT_WRONG:
                raise WebhookEndpointRefused(
                    f"{self._host} answered {status}: the address or the secret is wrong", status=status
                )
            if 400 <= status < 500 and status not in RETRIED:
                raise WebhookEventRefused(f"the receiver answered {status} for good", status=status)
            pause = max(after, wait * random.uniform(0.5, 1.0))  # noqa: S311 - spreads retries, is no secret
            if time.monotonic() + pause > deadline:
                raise WebhookUnavailable("the receiver does not take the event now", status=status or "no answer")
            await asyncio.sleep(pause)
            wait = min(wait * 2, 30.0)

    async def _post(self, identifier: str, body: bytes) -> tuple[int, float]:
        """The status (0: no answer) and the seconds that the receiver asks to wait."""
        if self._client is None:
            raise WebhookUnavailable("the sink is not open")
        timestamp = str(int(self._now()))
        headers = {
            "content-type": "application/json",
            "user-agent": "cgi-hub-webhook",
            "webhook-id": identifier,
            "webhook-timestamp": timestamp,
            "webhook-signature": sign(self._secret, identifier, timestamp, body),
            "idempotency-key": identifier,
        }
        try:
            async with self._client.stream("POST", self._settings.url, content=body, headers=headers) as response:
                read = 0
                async for chunk in response.aiter_raw():  # so that the connection can be used again
                    read += len(chunk)
                    if read > ANSWER_BYTES:
                        break
                return response.status_code, _retry_after(response.headers.get("retry-after", ""))
        except httpx.TransportError:
            return 0, 0.0


def sign(secret: bytes, identifier: str, timestamp: str, body: bytes) -> str:
    """The value of ``webhook-signature`` (Standard Webhooks, symmetric): ``v1,<base64>``."""
    signed = f"{identifier}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode()


def load_secret(path: Path) -> bytes:
    """24 to 64 bytes from a file that holds ``whsec_`` and base64. Raises ``ConnectorInvalid``."""
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConnectorInvalid(f"{path}: the webhook's secret cannot be read", path=str(path)) from error
    if os.name == "posix" and mode & 0o077:
        raise ConnectorInvalid(f"{path}: others can read the webhook's secret: chmod 600", path=str(path))
    try:
        secret = base64.b64decode(text.removeprefix(SECRET_PREFIX), validate=True)
    except ValueError as error:
        raise ConnectorInvalid(f"{path}: {SECRET_PREFIX} and base64 are wanted", path=str(path)) from error
    if not text.startswith(SECRET_PREFIX) or not 24 <= len(secret) <= 64:
        raise ConnectorInvalid(f"{path}: {SECRET_PREFIX} and 24 to 64 bytes in base64 are wanted", path=str(path))
    return secret


def check_url(url: str, *, unsafe_plain_http: bool) -> None:
    """``https``, or ``http`` to this machine. Raises ``ConnectorInvalid``."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise ConnectorInvalid(f"url: {error}") from error
    if parsed.userinfo:
        raise ConnectorInvalid("url: a password in the address would stand in logs; the signature says who sends")
    if parsed.scheme == "https" and parsed.host:
        return
    if parsed.scheme == "http" and parsed.host and (_loopback(parsed.host) or unsafe_plain_http):
        return
    raise ConnectorInvalid("url: https://... is wanted (http only to 127.0.0.1, ::1 or localhost)", host=parsed.host)


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _retry_after(text: str) -> float:
    """Seconds, at most five minutes; a date is not taken: the two clocks may differ."""
    return min(float(text), 300.0) if text.isascii() and text.isdigit() and len(text) < 7 else 0.0


def make_webhook(settings: WebhookSettings, context: ConnectorContext) -> WebhookSink:
    """Raises ``ConnectorInvalid`` (address, secret)."""
    return WebhookSink(context.name, settings, context)


connector = Connector("webhook", "sink", WebhookSettings, make_webhook)
