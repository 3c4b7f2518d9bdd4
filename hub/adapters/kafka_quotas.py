"""Client quotas of a Kafka cluster: read all of them, set and remove some (KIP-546).

confluent-kafka has no calls for them. aiokafka, whose connections we use anyway, has the message that reads and leaves
out the one that changes, which stands here as Kafka's protocol has it (docs/adr/0080).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar, Final

from aiokafka import errors as kafka
from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.admin import DescribeClientQuotasRequest
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Boolean, Float64, Int16, Int32, Schema, String

from hub.adapters.tls import TlsFiles, client_context
from hub.cluster import Entity, QuotaKey
from hub.errors import BusNotAuthorized, BusUnavailable, ConfigError

_SECONDS: Final = 10.0
_REFUSED: Final = (kafka.ClusterAuthorizationFailedError, kafka.AuthenticationFailedError)

_ENTITY: Final = ("entity", Array(("entity_type", String("utf-8")), ("entity_name", String("utf-8"))))


class _AlterResponse(Response):  # type: ignore[misc]  # aiokafka has no types
    API_KEY: ClassVar[int] = 49
    API_VERSION: ClassVar[int] = 0
    SCHEMA: ClassVar[Any] = Schema(
        ("throttle_time_ms", Int32),
        ("entries", Array(("error_code", Int16), ("error_message", String("utf-8")), _ENTITY)),
    )


class _AlterRequestStruct(RequestStruct):  # type: ignore[misc]
    API_KEY: ClassVar[int] = 49
    API_VERSION: ClassVar[int] = 0
    RESPONSE_TYPE: ClassVar[Any] = _AlterResponse
    SCHEMA: ClassVar[Any] = Schema(
        (
            "entries",
            Array(_ENTITY, ("ops", Array(("key", String("utf-8")), ("value", Float64), ("remove", Boolean)))),
        ),
        ("validate_only", Boolean),
    )


class _AlterRequest(Request[_AlterRequestStruct]):  # type: ignore[misc]
    API_KEY: ClassVar[int] = 49

    def __init__(self, changes: Iterable[tuple[Entity, str, float | None]]) -> None:
        operations: dict[Entity, list[tuple[str, float, bool]]] = {}
        for entity, name, value in changes:
            operations.setdefault(entity, []).append((name, 0.0 if value is None else value, value is None))
        self._entries = [(list(entity), asked) for entity, asked in operations.items()]

    def build(self, request_struct_class: Any) -> Any:
        return request_struct_class(self._entries, False)


def read_quotas(bootstrap: str, tls: TlsFiles) -> dict[QuotaKey, float]:
    """Every quota of the cluster, whomever it is for.

    Raises :class:`BusUnavailable`, :class:`BusNotAuthorized`, ``TlsFileInvalid``.
    """
    answer = _ask(bootstrap, tls, DescribeClientQuotasRequest([], False))
    _check(answer.error_code, answer.error_message, bootstrap)
    return {
        (tuple(sorted((kind, name) for kind, name in entity)), quota): value
        for entity, values in answer.entries or ()
        for quota, value in values
    }


def alter_quotas(bootstrap: str, tls: TlsFiles, changes: Iterable[tuple[Entity, str, float | None]]) -> None:
    """Set each quota, or remove it where no value is given. Raises as :func:`read_quotas`, and :class:`ConfigError`."""
    answer = _ask(bootstrap, tls, _AlterRequest(changes))
    for code, message, _entity in answer.entries:
        _check(code, message, bootstrap)


def _ask(bootstrap: str, tls: TlsFiles, request: Any) -> Any:
    """One request, from a thread of its own: the caller may be inside a loop."""
    with ThreadPoolExecutor(1, "quotas") as pool:
        return pool.submit(lambda: asyncio.run(_send(bootstrap, tls, request))).result()


async def _send(bootstrap: str, tls: TlsFiles, request: Any) -> Any:
    client = AIOKafkaClient(
        bootstrap_servers=bootstrap,
        client_id="hub-quotas",
        security_protocol="SSL",
        ssl_context=client_context(tls),
        request_timeout_ms=int(_SECONDS * 1000),
    )
    try:
        async with asyncio.timeout(_SECONDS):
            await client.bootstrap()
            return await client.send(client.get_random_node(), request)
    except (kafka.KafkaError, TimeoutError, OSError) as error:
        raise BusUnavailable(
            "the cluster cannot be asked for its quotas", bootstrap=bootstrap, what=str(error)
        ) from error
    finally:
        await client.close()


def _check(code: int, message: str | None, bootstrap: str) -> None:
    if not code:
        return
    kind = kafka.for_code(code)
    facts = {"bootstrap": bootstrap, "kafka": kind.__name__}
    if issubclass(kind, _REFUSED):
        raise BusNotAuthorized("the cluster refuses: quotas are the operator's", **facts)
    if kind.retriable:
        raise BusUnavailable("the cluster cannot change its quotas now", **facts)
    raise ConfigError(f"the cluster refuses: {message or kind.__name__}", **facts)
