"""The directory's repository on its compacted topic: key = a file's path, value = its bytes, none = no longer wanted.

Only the operator writes there; every agency and every router reads it into a folder of its own, and trusts nothing of
it before hub/adapters/tuf_reader.py has verified it. docs/spec/directory.md, section 9.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Final, NoReturn

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka import errors as kafka

from hub.adapters.directory_files import MAX_FILE, DirectoryBundleMalformed, FolderFiles, check_path, in_order
from hub.adapters.kafka_reader import read_topic
from hub.adapters.tls import TlsFiles, client_context
from hub.errors import BusNotAuthorized, BusRecordTooLarge, BusTopicUnknown, BusUnavailable
from hub.log_words import say
from hub.topics import DIRECTORY

_SECONDS: Final = 30.0
"""For each answer of the broker."""
_FETCH_BYTES: Final = 4 * 1024 * 1024


async def publish_files(bootstrap: str, tls: TlsFiles, files: Mapping[str, bytes]) -> int:
    """Make the topic hold exactly ``files``: what is new, in an order in which each file follows what it names, and
    nothing for what is no longer wanted. Gives how many records were written.

    Raises ``BusUnavailable``, ``BusNotAuthorized``, ``BusTopicUnknown``, ``BusRecordTooLarge``, ``TlsFileInvalid``.
    """
    there = await read_files(bootstrap, tls)
    wanted = [(path, files[path]) for path in in_order(files) if there.get(path) != files[path]]
    gone = [path for path in there if path not in files]
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap,
        client_id="directory",
        security_protocol="SSL",
        ssl_context=client_context(tls),
        acks="all",
        enable_idempotence=True,
        max_request_size=MAX_FILE,
    )
    try:
        async with asyncio.timeout(_SECONDS):
            await producer.start()
        for path, value in (*wanted, *((path, None) for path in gone)):
            async with asyncio.timeout(_SECONDS):
                await producer.send_and_wait(DIRECTORY, value, key=path.encode(), partition=0)
    except kafka.MessageSizeTooLargeError as error:
        raise BusRecordTooLarge("a file of the directory is larger than its topic takes", topic=DIRECTORY) from error
    except (kafka.TopicAuthorizationFailedError, kafka.AuthenticationFailedError) as error:
        raise BusNotAuthorized("refused by the broker: only the operator writes there", topic=DIRECTORY) from error
    except (kafka.KafkaError, TimeoutError, OSError) as error:
        raise BusUnavailable("the broker does not answer", what=str(error), bootstrap=bootstrap) from error
    finally:
        await producer.stop()
    return len(wanted) + len(gone)


async def read_files(bootstrap: str, tls: TlsFiles) -> dict[str, bytes]:
    """What stands on the topic now, by path; nothing of it is verified. Raises as :func:`publish_files` does."""
    files: dict[str, bytes] = {}
    records = read_topic(bootstrap, tls, DIRECTORY)
    async with aclosing(records):
        async for record in records:
            path = (record.key or b"").decode("utf-8", "replace")
            if record.value:
                files[path] = record.value
            else:
                files.pop(path, None)
    return files


async def fetch_topic(bootstrap: str, tls: TlsFiles, mirror: FolderFiles) -> None:
    """Bring ``mirror`` once to what stands on the topic now. Raises as :func:`read_files`, and ``FileUnreadable``."""
    for path, value in (await read_files(bootstrap, tls)).items():
        await asyncio.to_thread(_take, mirror, path.encode(), value)


async def mirror_topic(
    bootstrap: str, tls: TlsFiles, mirror: FolderFiles, changed: Callable[[], Awaitable[None]]
) -> NoReturn:
    """Keep ``mirror`` as the topic is, from its beginning on, and call ``changed`` whenever something in it is new.

    Ends by cancelling only, or raises ``BusUnavailable``, ``BusNotAuthorized``, ``BusTopicUnknown``,
    ``TlsFileInvalid``, ``FileUnreadable``: call it again.
    """
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        security_protocol="SSL",
        ssl_context=client_context(tls),
        group_id=None,
        enable_auto_commit=False,
        max_partition_fetch_bytes=_FETCH_BYTES,
    )
    partition = TopicPartition(DIRECTORY, 0)
    try:
        async with asyncio.timeout(_SECONDS):
            await consumer.start()
            if not consumer.partitions_for_topic(DIRECTORY) and DIRECTORY not in await consumer.topics():
                raise BusTopicUnknown("no such topic, or this agency may not read it", topic=DIRECTORY)
            consumer.assign([partition])
            await consumer.seek_to_beginning(partition)
        while True:
            got = await consumer.getmany(timeout_ms=500)
            new = False
            for record in got.get(partition, ()):
                new |= await asyncio.to_thread(_take, mirror, record.key or b"", record.value)
            if new:
                await changed()
    except kafka.UnknownTopicOrPartitionError as error:
        raise BusTopicUnknown("no such topic", topic=DIRECTORY) from error
    except (kafka.TopicAuthorizationFailedError, kafka.AuthenticationFailedError) as error:
        raise BusNotAuthorized("refused by the broker", topic=DIRECTORY) from error
    except (kafka.KafkaError, TimeoutError, OSError) as error:
        raise BusUnavailable("the broker does not answer", what=str(error), bootstrap=bootstrap) from error
    finally:
        await consumer.stop()


def _take(mirror: FolderFiles, key: bytes, value: bytes | None) -> bool:
    """One record into the mirror; says whether anything changed. A name that is none of a repository's is left out."""
    try:
        path = check_path(key.decode("utf-8", "replace"))
        if not value:
            mirror.remove(path)
            return False  # what is no longer wanted changes nothing for a reader
        if len(value) > MAX_FILE:
            raise DirectoryBundleMalformed(f"the file is longer than {MAX_FILE} bytes", path=path)
    except DirectoryBundleMalformed as error:
        say("directory.file_refused", code=error.code, reason=error.message)
        return False
    if mirror.read(path) == value:
        return False
    mirror.write(path, value)
    return True
