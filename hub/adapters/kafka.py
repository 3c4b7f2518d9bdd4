"""The bus on Apache Kafka, through aiokafka: mutual TLS, all acknowledgements, nothing committed unless asked.

aiokafka sets nothing safe by itself, so every setting that matters stands here. Where its behaviour is not the port's:

* An idempotent producer retries for ever and cannot be told to give up. After a time limit or any failure it is thrown
  away, with what it held, and the next ``send`` starts a new one: the caller sends the same again (hub/ports.py).
  A failed batch would otherwise leave a hole in the partition's sequence, on which every later batch fails.
* ``seek_to_committed`` does nothing where nothing was committed. Ours goes to the start then.
* An unknown topic, a broker that is away and a refused certificate look alike. Ours asks again, and tells them apart.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka import errors as kafka

from hub.adapters import kafka_records
from hub.adapters.tls import TlsFiles, client_context
from hub.errors import (
    BusNotAuthorized,
    BusRebalanced,
    BusRecordTooLarge,
    BusTopicUnknown,
    BusUnavailable,
    ConfigError,
    HubError,
    InvariantError,
)
from hub.ports import IncomingRecord, OutgoingRecord, Position

kafka_records.install()

MAX_RECORD_BYTES: Final = 1_000_000
"""The largest record that is sent (key, value, headers): under the topics' max.message.bytes with its batch's frame."""

SEND_SECONDS: Final = 30.0
"""How long one ``send`` may take until everything is acknowledged."""

WINDOW_BYTES: Final = 8_000_000
"""How much of one ``send`` is on its way at a time: aiokafka puts all partitions of a node into one request, which must
stay under the broker's socket.request.max.bytes however many recipients there are."""

BATCH_BYTES: Final = 400_000
"""How large a batch grows; a larger record is a batch by itself. aiokafka copies each request many times on its way to
the socket, and copies beyond a core's cache are dear: to send three records of 85 kB cost 0.9 ms of CPU in batches of
1 MB, and 0.5 ms in these.
"""

REQUEST_SECONDS: Final = 10.0
METADATA_SECONDS: Final = 5.0
"""How long a topic that was just made may take to show."""

JOIN_SECONDS: Final = 15.0
"""How long joining a group may take; other members notice a newcomer with their next heartbeat."""

_PROBE_SECONDS: Final = 2.0
_REFUSED: Final = (
    kafka.TopicAuthorizationFailedError,
    kafka.GroupAuthorizationFailedError,
    kafka.ClusterAuthorizationFailedError,
    kafka.AuthenticationFailedError,
)
_TOO_LARGE: Final = (kafka.MessageSizeTooLargeError, kafka.RecordTooLargeError, kafka.RecordListTooLargeError)
_REBALANCED: Final = (kafka.CommitFailedError, kafka.IllegalStateError, kafka.RebalanceInProgressError)


class KafkaProducer:
    """``hub.ports.BusProducer`` on Kafka. ``bootstrap`` is ``host:port[,host:port...]``."""

    def __init__(
        self,
        bootstrap: str,
        tls: TlsFiles,
        *,
        client_id: str = "hub",
        seconds: float = SEND_SECONDS,
        metadata_seconds: float = METADATA_SECONDS,
    ) -> None:
        self._bootstrap = bootstrap
        self._tls = tls
        self._client_id = client_id
        self._seconds = seconds
        self._metadata_seconds = metadata_seconds
        self._producer: AIOKafkaProducer | None = None
        self._started = False
        self._starting = asyncio.Lock()

    async def start(self) -> None:
        """Connect. Raises :class:`BusUnavailable`, :class:`BusNotAuthorized`, ``TlsFileInvalid``."""
        self._started = True
        await self._ready()

    async def send(self, records: Sequence[OutgoingRecord]) -> int | None:
        if not self._started:
            raise InvariantError("the producer is not started")
        for record in records:
            if _size(record) > MAX_RECORD_BYTES:
                raise BusRecordTooLarge("record too large", topic=record.topic, bytes=_size(record))
        producer = await self._ready()
        appended: list[int] = []
        try:
            async with _translated(self._bootstrap):
                for topic in {record.topic for record in records}:
                    await self._know(producer, topic)
                async with asyncio.timeout(self._seconds):
                    for window in _windows(records):
                        appended += await _send_all(producer, window)
        except HubError:
            await self._discard(producer)
            raise
        return max(appended, default=None)

    async def stop(self) -> None:
        """Disconnect. What was not acknowledged by then was not sent for anyone who awaited it."""
        self._started = False
        if self._producer is not None:
            await self._discard(self._producer)

    async def _ready(self) -> AIOKafkaProducer:
        async with self._starting:
            if self._producer is not None:
                return self._producer
            context = client_context(self._tls)
            producer = AIOKafkaProducer(
                bootstrap_servers=self._bootstrap,
                client_id=self._client_id,
                security_protocol="SSL",
                ssl_context=context,
                acks="all",
                enable_idempotence=True,
                compression_type=None,  # ciphertext does not shrink
                linger_ms=0,  # the Publisher lingers, not we
                max_batch_size=BATCH_BYTES,
                max_request_size=MAX_RECORD_BYTES + 10_000,
                request_timeout_ms=int(REQUEST_SECONDS * 1000),
                retry_backoff_ms=100,
                metadata_max_age_ms=60_000,
            )
            try:
                async with _translated(self._bootstrap), asyncio.timeout(REQUEST_SECONDS):
                    await producer.start()
            except BaseException as error:
                await producer.stop()
                if isinstance(error, BusUnavailable):
                    await _raise_if_refused(self._bootstrap, context)
                raise
            self._producer = producer
            return producer

    async def _know(self, producer: AIOKafkaProducer, topic: str) -> None:
        """Have the topic's metadata, or say why not."""
        if producer.client.cluster.partitions_for_topic(topic) is not None:
            return
        try:
            async with asyncio.timeout(self._metadata_seconds):
                await producer.partitions_for(topic)
        except (TimeoutError, kafka.UnknownTopicOrPartitionError) as error:
            async with asyncio.timeout(REQUEST_SECONDS):
                await producer.client.fetch_all_metadata()  # raises where the broker is away
            raise BusTopicUnknown("no such topic", topic=topic) from error

    async def _discard(self, producer: AIOKafkaProducer) -> None:
        if self._producer is producer:
            self._producer = None
        # There is no public way to stop without waiting for ever for what cannot be sent. First the sender, which lets
        # requests on their way end (REQUEST_SECONDS at most), then what it would have tried again, then the rest.
        await asyncio.sleep(0)  # a sender that has not begun yet could not catch that it is cancelled
        await producer._sender.close()
        producer._message_accumulator.fail_all(kafka.ProducerClosed())
        await producer.stop()


def _windows(records: Sequence[OutgoingRecord]) -> Iterator[Sequence[OutgoingRecord]]:
    """``records`` in order, in parts of up to :data:`WINDOW_BYTES`."""
    begin, size = 0, 0
    for index, record in enumerate(records):
        if size and size + _size(record) > WINDOW_BYTES:
            yield records[begin:index]
            begin, size = index, 0
        size += _size(record)
    yield records[begin:]


async def _send_all(producer: AIOKafkaProducer, records: Sequence[OutgoingRecord]) -> list[int]:
    """Returns when all of them are acknowledged: when the broker appended them. Raises what the first that failed did.

    Where the topic keeps its writers' times, the list is empty.
    """
    sent: list[asyncio.Future[object]] = []
    try:
        for record in records:
            future = await producer.send(record.topic, record.value, record.key, headers=list(record.headers))
            sent.append(future)  # one by one: what was sent before a failure must be known
        outcomes = await asyncio.gather(*sent, return_exceptions=True)
    finally:
        for future in sent:
            future.cancel()  # of those that nobody will look at any more
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
    moments = [kafka_records.appended_ms(outcome) for outcome in outcomes]
    return [moment for moment in moments if moment is not None]


class KafkaConsumer:
    """``hub.ports.BusConsumer`` on Kafka: a member of ``group`` that reads ``topics``, or all that ``pattern`` names.

    Where the group has committed nothing, it reads from the start. ``pattern`` is a regular expression for whole names;
    topics that come later are found within ``refresh_seconds``.
    """

    def __init__(
        self,
        bootstrap: str,
        tls: TlsFiles,
        *,
        group: str,
        topics: Sequence[str] = (),
        pattern: str | None = None,
        client_id: str = "hub",
        refresh_seconds: float = 5.0,
        session_seconds: float = 10.0,
        join_seconds: float = JOIN_SECONDS,
    ) -> None:
        if bool(topics) == (pattern is not None):
            raise ConfigError("a consumer reads either topics or a pattern", group=group)
        self._bootstrap = bootstrap
        self._tls = tls
        self._group = group
        self._topics = tuple(topics)
        self._pattern = pattern
        self._client_id = client_id
        self._refresh_seconds = refresh_seconds
        self._session_seconds = session_seconds
        self._join_seconds = join_seconds
        self._consumer: AIOKafkaConsumer | None = None
        self._watch = _RebalanceWatch()
        self._polled_generation = -1

    async def start(self) -> None:
        """Connect and join the group.

        Raises :class:`BusUnavailable`, :class:`BusNotAuthorized`, :class:`BusTopicUnknown`, ``TlsFileInvalid``.
        """
        context = client_context(self._tls)
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._bootstrap,
            client_id=self._client_id,
            group_id=self._group,
            security_protocol="SSL",
            ssl_context=context,
            enable_auto_commit=False,
            auto_offset_reset="earliest",  # what was never committed was never handled
            isolation_level="read_committed",
            # TLS guards the way, our own hashes and signature every byte of a value (spec 9, 10). A record that a disk
            # has changed is refused by itself; a failed checksum would stop its partition for good.
            check_crcs=False,
            fetch_max_bytes=16 * 1024 * 1024,
            max_partition_fetch_bytes=2 * 1024 * 1024,
            fetch_max_wait_ms=500,
            request_timeout_ms=int(REQUEST_SECONDS * 1000),
            retry_backoff_ms=100,
            metadata_max_age_ms=int(self._refresh_seconds * 1000),
            session_timeout_ms=int(self._session_seconds * 1000),
            heartbeat_interval_ms=int(self._session_seconds * 1000 / 10),
            max_poll_interval_ms=300_000,
        )
        if self._pattern is None:
            consumer.subscribe(topics=list(self._topics), listener=self._watch)
        else:
            consumer.subscribe(pattern=rf"(?:{self._pattern})\Z", listener=self._watch)
        try:
            async with _translated(self._bootstrap):
                await self._join(consumer)
        except BaseException as error:
            await consumer.stop()
            if isinstance(error, BusUnavailable):
                await _raise_if_refused(self._bootstrap, context)
            raise
        self._consumer = consumer
        self._polled_generation = self._watch.generation

    async def poll(self, *, max_records: int, wait: float) -> Sequence[IncomingRecord]:
        async with _translated(self._bootstrap):
            got = await self._running().getmany(timeout_ms=int(wait * 1000), max_records=max_records)
        # Nothing was awaited since the records were taken out, so they belong to this generation.
        self._polled_generation = self._watch.generation
        return [
            IncomingRecord(
                record.topic,
                record.partition,
                record.offset,
                record.timestamp,
                record.key,
                record.value if record.value is not None else b"",
                tuple(record.headers),
                kafka_records.appended_ms(record),
            )
            for records in got.values()
            for record in records
        ]

    async def commit(self, positions: Mapping[Position, int]) -> None:
        consumer = self._running()
        if self._polled_generation != self._watch.generation:
            raise BusRebalanced("the partitions were handed out anew", group=self._group)
        offsets = {TopicPartition(*position): offset for position, offset in positions.items()}
        if offsets:
            async with _translated(self._bootstrap), asyncio.timeout(REQUEST_SECONDS):
                await consumer.commit(offsets)

    async def seek_to_committed(self) -> None:
        consumer = self._running()
        consumer.resume(*consumer.paused())
        async with _translated(self._bootstrap), asyncio.timeout(REQUEST_SECONDS):
            # All at once: each return to a start waits for the fetcher's next round, and a router has many partitions.
            partitions = list(consumer.assignment())
            offsets = await asyncio.gather(*(consumer.committed(partition) for partition in partitions))
            never = []
            for partition, offset in zip(partitions, offsets, strict=True):
                if offset is None:
                    never.append(partition)
                else:
                    consumer.seek(partition, offset)
            if never and not await consumer.seek_to_beginning(*never):
                raise TimeoutError

    async def hold(self, positions: Mapping[Position, int]) -> None:
        consumer = self._running()
        assigned = consumer.assignment()
        for position, offset in positions.items():
            partition = TopicPartition(*position)
            if partition in assigned:
                consumer.pause(partition)
                consumer.seek(partition, offset)

    async def release(self, positions: Collection[Position]) -> None:
        consumer = self._running()
        wanted = {TopicPartition(*position) for position in positions}
        consumer.resume(*(wanted & consumer.paused()))

    def assignment(self) -> frozenset[Position]:
        return frozenset((partition.topic, partition.partition) for partition in self._running().assignment())

    def generation(self) -> int:
        return self._watch.generation

    async def lag(self) -> Mapping[Position, int]:
        consumer = self._running()
        async with _translated(self._bootstrap), asyncio.timeout(REQUEST_SECONDS):
            ends = await consumer.end_offsets(consumer.assignment())
            return {
                (partition.topic, partition.partition): max(0, end - await consumer.position(partition))
                for partition, end in ends.items()
            }

    async def stop(self) -> None:
        """Leave the group. Nothing is committed."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await consumer.stop()

    async def _join(self, consumer: AIOKafkaConsumer) -> None:
        try:
            async with asyncio.timeout(self._join_seconds):
                await consumer.start()
        except (TimeoutError, kafka.UnknownTopicOrPartitionError) as error:
            async with asyncio.timeout(REQUEST_SECONDS):
                there = await consumer.topics()  # raises where the broker is away
            missing = sorted(set(self._topics) - there)
            if missing:
                raise BusTopicUnknown("no such topic", topics=missing) from error
            raise BusUnavailable("the group could not be joined in time", group=self._group) from error

    def _running(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            raise InvariantError("the consumer is not started")
        return self._consumer


class _RebalanceWatch(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """Counts how often the partitions were taken back: from that moment, what was polled must not be committed."""

    def __init__(self) -> None:
        self.generation = 0

    def on_partitions_revoked(self, revoked: object) -> None:
        self.generation += 1

    def on_partitions_assigned(self, assigned: object) -> None:
        pass


@asynccontextmanager
async def _translated(bootstrap: str) -> AsyncIterator[None]:
    """aiokafka's errors as ours: one branch for each reaction."""
    try:
        yield
    except _REFUSED as error:
        raise BusNotAuthorized("refused by the broker", what=_words(error), bootstrap=bootstrap) from error
    except _TOO_LARGE as error:
        raise BusRecordTooLarge("the broker takes no record of this size", bootstrap=bootstrap) from error
    except _REBALANCED as error:
        raise BusRebalanced("the partitions were handed out anew", bootstrap=bootstrap) from error
    except (kafka.KafkaError, TimeoutError, OSError) as error:
        raise BusUnavailable("the broker does not answer", what=_words(error), bootstrap=bootstrap) from error


async def _raise_if_refused(bootstrap: str, context: ssl.SSLContext) -> None:
    """After a failure to connect: whether TLS was the reason, for that does not heal by trying again.

    Raises :class:`BusNotAuthorized` where a broker refuses our certificate, or we its.
    """
    for address in bootstrap.split(","):
        host, _, port = address.rpartition(":")
        try:
            async with asyncio.timeout(_PROBE_SECONDS):
                reader, writer = await asyncio.open_connection(host, int(port), ssl=context)
                try:
                    await reader.read(1)  # in TLS 1.3 the verdict on our certificate comes after the handshake
                finally:
                    writer.transport.abort()
        except ssl.SSLCertVerificationError as error:
            raise BusNotAuthorized("the broker's certificate is not good", broker=address, what=str(error)) from error
        except ssl.SSLError as error:
            raise BusNotAuthorized("the broker refuses our certificate", broker=address, what=str(error)) from error
        except (OSError, TimeoutError):
            continue


def _words(error: BaseException) -> str:
    return f"{type(error).__name__} {error}".strip()


def _size(record: OutgoingRecord) -> int:
    size = len(record.key or b"") + len(record.value)
    if record.headers:
        size += sum(len(name.encode()) + len(value) for name, value in record.headers)
    return size
