"""A webhook's receiver on this machine: keeps what came, answers as told, remembers ``webhook-id``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Request:
    """A request as it came."""

    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """``answer`` gives the status and extra headers of a request; by default 204."""

    answer: Callable[[Request], tuple[int, dict[str, str]]] = lambda _: (204, {})
    requests: list[Request] = field(default_factory=list)
    accepted: dict[str, bytes] = field(default_factory=dict)
    """Bodies by ``webhook-id``, the first of each: the effect."""
    url: str = ""

    async def __aenter__(self) -> Receiver:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        host, port = self._server.sockets[0].getsockname()[:2]
        self.url = f"http://{host}:{port}/hub"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                lines = head.decode("latin-1").split("\r\n")
                pairs = (line.partition(":") for line in lines[1:] if line)
                headers = {name.lower(): value.strip() for name, _, value in pairs}
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                request = Request(headers, body)
                self.requests.append(request)
                status, extra = self.answer(request)
                if 200 <= status < 300:
                    self.accepted.setdefault(headers["webhook-id"], body)
                answer = [f"HTTP/1.1 {status} X", "content-length: 0", *(f"{k}: {v}" for k, v in extra.items()), "", ""]
                writer.write("\r\n".join(answer).encode())
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
