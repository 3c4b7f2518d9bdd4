"""One port a process: /metrics for Prometheus, /livez (the loop answers), /readyz (the workers get further).

Plain HTTP: it says counts and codes, never content, and is meant for an address that only the operator's network
reaches. What identifies nobody needs no more; docs/guides/operate.md says so.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from hub.adapters.file_lock import FileLock
from hub.adapters.progress import ProgressObserver
from hub.adapters.prometheus import PrometheusObserver
from hub.errors import ConfigError

_STOP_SECONDS: Final = 2
_LOOK_SECONDS: Final = 0.01


class MetricsAddressTaken(ConfigError):
    """The address for metrics cannot be bound: another process has it, or it is not this machine's."""

    code = "metrics.address_taken"


class _Server(uvicorn.Server):
    """A server that leaves the process's signals to the process."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def health_app(metrics: PrometheusObserver, progress: ProgressObserver, refresh: Callable[[], None]) -> Starlette:
    """The three pages. ``refresh`` sets the gauges that depend on the time, before each scrape."""

    async def serve_metrics(_request: Request) -> Response:
        refresh()
        progress.gauge("cgi_ready", float(progress.ready()))
        text, content_type = metrics.render()
        return Response(text, media_type=content_type)

    async def serve_livez(_request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def serve_readyz(_request: Request) -> Response:
        ready = progress.ready()
        seconds = {worker: None if age is None else round(age, 3) for worker, age in progress.standing().items()}
        answer = {"ready": ready, "seconds_since_progress": seconds}
        return JSONResponse(answer, status_code=200 if ready else 503)

    return Starlette(
        routes=[
            Route("/metrics", serve_metrics),
            Route("/livez", serve_livez),
            Route("/readyz", serve_readyz),
        ]
    )


@asynccontextmanager
async def serve_health(app: Starlette, *, listen: str, address_file: Path) -> AsyncIterator[str]:
    """Serve ``app`` on ``listen`` (``HOST:PORT``, port 0: a free one) while the context is open; gives the address.

    The address stands in ``address_file`` too, which is removed at the end. Raises :class:`MetricsAddressTaken`, and
    ``StoreInUse`` where another process has its address there.
    """
    with _held(address_file), contextlib.closing(_bind(listen)) as listener:
        async with _serve(app, listener, address_file) as address:
            yield address


@contextmanager
def _held(address_file: Path) -> Iterator[None]:
    """A second process on one state folder must neither replace nor remove the first one's address."""
    address_file.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(address_file.with_name(f"{address_file.name}.lock"))
    lock.acquire()
    try:
        yield
    finally:
        lock.release()


@asynccontextmanager
async def _serve(app: Starlette, listener: socket.socket, address_file: Path) -> AsyncIterator[str]:
    host, port = listener.getsockname()[:2]
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    config = uvicorn.Config(
        app, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=_STOP_SECONDS, ws="none"
    )
    server = _Server(config)
    async with asyncio.TaskGroup() as group:
        serving = group.create_task(server.serve(sockets=[listener]))
        while not server.started and not serving.done():  # noqa: ASYNC110  uvicorn has no event to wait for
            await asyncio.sleep(_LOOK_SECONDS)
        _write_address(address_file, address)
        try:
            yield address
        finally:
            server.should_exit = True
            _remove_address(address_file)


def _bind(listen: str) -> socket.socket:
    host, _, port = listen.rpartition(":")
    host = host.strip("[]")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise MetricsAddressTaken(f"the address for metrics is none of this machine: {error}", listen=listen) from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(64)
    except OSError as error:
        listener.close()
        raise MetricsAddressTaken(
            f"the address for metrics cannot be taken: {error.strerror}", listen=listen
        ) from error
    listener.setblocking(False)
    return listener


def _write_address(path: Path, address: str) -> None:
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    partial.write_text(f"{address}\n", encoding="ascii")
    partial.replace(path)


def _remove_address(path: Path) -> None:
    path.unlink(missing_ok=True)
