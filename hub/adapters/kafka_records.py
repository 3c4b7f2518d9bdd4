"""Header names of Kafka records that are not UTF-8: aiokafka raises on them, in the consumer and not about the record.

The protocol says that a header's name is text; the broker does not check it. So anyone who may write to one partition
could stop every consumer of it, for good, with one record. Nothing of ours rests on headers, therefore such a name is
read with ``?`` in place of each byte that is not ASCII, and the record goes the way of every other.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatch
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import decode_varint

# Kafka, "Record Batch": where the fields of a batch of version 2 are.
_LENGTH: Final = slice(8, 12)
_AFTER_LENGTH: Final = 12
_VERSION: Final = 16
_ATTRIBUTES: Final = slice(21, 23)
_COMPRESSION: Final = 0x07
_COUNT: Final = slice(57, 61)
_RECORDS: Final = 61

_LOG_APPEND_TIME: Final = 1
"""Kafka, "Record Batch", attributes, bit 3: ``message.timestamp.type=LogAppendTime``."""


def install() -> None:
    """Every consumer of this process reads its batches through :class:`ReadableRecords` from now on."""
    fetcher.MemoryRecords = ReadableRecords


def appended_ms(record: Any) -> int | None:
    """When the broker appended what was read, or acknowledged; None where the topic keeps the time of its writer.

    A writer cannot pretend: the broker refuses a batch that says "append time" on a topic that keeps writers' times,
    and writes its own time over the batch's on ours (Kafka, ``LogValidator``; schemas/topics).
    """
    return int(record.timestamp) if record.timestamp_type == _LOG_APPEND_TIME else None


class ReadableRecords:
    """aiokafka's ``MemoryRecords``: the batches of one partition in one answer of the broker."""

    def __init__(self, data: bytes) -> None:
        self._data = memoryview(data)
        self._records = MemoryRecords(data)
        self._at = 0

    def size_in_bytes(self) -> int:
        return int(self._records.size_in_bytes())

    def has_next(self) -> bool:
        return bool(self._records.has_next())

    def next_batch(self) -> Any:
        begin = self._at
        batch = self._records.next_batch()
        self._at += _AFTER_LENGTH + int.from_bytes(self._data[begin:][_LENGTH], "big")
        return None if batch is None else _Batch(batch, self._data[begin : self._at])


class _Batch:
    """aiokafka's batch; its records are read again, with masked names, from the one on that aiokafka cannot read."""

    def __init__(self, batch: Any, raw: memoryview) -> None:
        self._batch = batch
        self._raw = raw

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __next__(self) -> Any:
        return next(self._batch)

    def __iter__(self) -> Iterator[Any]:
        done = 0
        try:
            for record in self._batch:
                done += 1
                yield record
        except UnicodeDecodeError:
            yield from islice(DefaultRecordBatch(mask_header_names(self._raw)), done, None)


def mask_header_names(batch: memoryview) -> bytearray:
    """The bytes of an uncompressed batch with ``?`` for the bytes over 127 in the header names that are not UTF-8.

    Its CRC is not made anew: it was checked before. Raises ``CorruptRecordException`` for a compressed batch, which
    the topics do not keep (schemas/topics/).
    """
    data = bytearray(batch)
    if data[_VERSION] != 2 or int.from_bytes(data[_ATTRIBUTES], "big") & _COMPRESSION:
        raise CorruptRecordException("a compressed batch with a header name that is not UTF-8")
    at = _RECORDS
    for _ in range(int.from_bytes(data[_COUNT], "big")):
        _, at = decode_varint(data, at)  # the record's length
        at += 1  # its attributes
        _, at = decode_varint(data, at)  # its time
        _, at = decode_varint(data, at)  # its offset
        at = _after_bytes(data, at)  # its key
        at = _after_bytes(data, at)  # its value
        headers, at = decode_varint(data, at)
        for _ in range(headers):
            end = _after_bytes(data, at)
            _, begin = decode_varint(data, at)
            data[begin:end] = _readable(bytes(data[begin:end]))
            at = _after_bytes(data, end)
    return data


def _after_bytes(data: bytearray, at: int) -> int:
    length, at = decode_varint(data, at)
    return int(at) + max(0, int(length))


def _readable(name: bytes) -> bytes:
    try:
        name.decode("utf-8")
    except UnicodeDecodeError:
        return bytes(byte if byte < 0x80 else ord("?") for byte in name)
    return name
