"""Serves the console with mutual TLS: who shows no certificate of the people's CA does not even get a request through.

uvicorn checks the certificate but does not show it to the application, so its protocol is widened by a few lines.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from hub.adapters.tls import TlsFiles
from hub.console.web import CERTIFICATE
from hub.errors import ConfigError

_STOP_SECONDS: Final = 2
_LOOK_SECONDS: Final = 0.01


class ConsoleAddressTaken(ConfigError):
    """The console's address cannot be bound: another process has it, or it is not this machine's."""

    code = "console.address_taken"


@dataclass(frozen=True, slots=True)
class ServerTls:
    """The console's own certificate and key, and the CA of the people who may connect."""

    certificate: Path
    key: Path
    people_ca: Path

    def check(self) -> None:
        """Raises ``TlsFileInvalid``."""
        TlsFiles(self.people_ca, self.certificate, self.key).check()


class PeerProtocol(H11Protocol):
    """uvicorn's HTTP/1.1, which gives each request the certificate of its connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]
        tls: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
        certificate = None if tls is None else tls.getpeercert(binary_form=True)
        self.app = _with_certificate(self.app, certificate)


def _with_certificate(app: Any, certificate: bytes | None) -> ASGIApp:
    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        scope.setdefault("extensions", {})[CERTIFICATE] = certificate
        await app(scope, receive, send)

    return call


def _bind(listen: str) -> socket.socket:
    host, _, port = listen.rpartition(":")
    host = host.strip("[]")
    try:
        listener = socket.create_server((host, int(port)), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise ConsoleAddressTaken(f"the console's address cannot be taken: {error.strerror}", listen=listen) from error
    listener.setblocking(False)
    return listener


class _Server(uvicorn.Server):
    """A server that leaves the process's signals to the process."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def serve_console(app: ASGIApp, *, listen: str, tls: ServerTls) -> AsyncIterator[str]:
    """Serve ``app`` on ``listen`` (``HOST:PORT``, port 0: a free one) while the context is open; gives the address.

    TLS 1.3 with a client's certificate, always. Raises ``TlsFileInvalid``, :class:`ConsoleAddressTaken`.
    """
    tls.check()
    with contextlib.closing(_bind(listen)) as listener:
        host, port = listener.getsockname()[:2]
        config = uvicorn.Config(
            app,
            http=PeerProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=_STOP_SECONDS,
            ssl_certfile=str(tls.certificate),
            ssl_keyfile=str(tls.key),
            ssl_ca_certs=str(tls.people_ca),
            ssl_cert_reqs=ssl.CERT_REQUIRED,
        )
        config.load()
        assert config.ssl is not None  # noqa: S101  it was given files
        config.ssl.minimum_version = ssl.TLSVersion.TLSv1_3
        server = _Server(config)
        async with asyncio.TaskGroup() as group:
            serving = group.create_task(server.serve(sockets=[listener]), name="console-server")
            while not server.started and not serving.done():  # noqa: ASYNC110  uvicorn has no event to wait for
                await asyncio.sleep(_LOOK_SECONDS)
            try:
                yield f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            finally:
                server.should_exit = True
