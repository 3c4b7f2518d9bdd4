"""hub/adapters/kafka_records.py: one record with a header name that is not UTF-8 must not stop whoever reads it."""

import pytest
from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords

import hub.adapters.kafka
from hub.adapters.kafka_records import ReadableRecords, mask_header_names

NAME = "NAME"


def batch(*records: tuple[bytes | None, bytes | None, list[tuple[str, bytes | None]]], compression: int = 0) -> bytes:
    builder = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=compression,
        is_transactional=0,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=1 << 20,
    )
    for offset, (key, value, headers) in enumerate(records):
        builder.append(offset, 1_700_000_000_000 + offset, key, value, headers)
    return bytes(builder.build())


def read(data: bytes) -> list[tuple[bytes | None, bytes | None, list[tuple[str, bytes | None]]]]:
    records = ReadableRecords(data)
    found = []
    while records.has_next():
        found += [(record.key, record.value, list(record.headers)) for record in records.next_batch()]
    return found


GOOD = batch((b"k0", b"v0", [("é", b"1")]), (None, None, []))
BAD = batch(
    (b"k0", b"v0", [("é", b"1"), ("plain", None)]),
    (None, b"v1", [("a", b"2"), (NAME, b"3")]),
    (b"k2", b"v2" * 200, [(NAME, None)]),
    (b"k3", None, []),
).replace(NAME.encode(), b"N\xffM\xfe")


def test_aiokafka_itself_raises() -> None:
    records = MemoryRecords(BAD)
    with pytest.raises(UnicodeDecodeError):
        list(records.next_batch())


def test_every_record_is_read_once_and_in_order() -> None:
    assert read(BAD) == [
        (b"k0", b"v0", [("é", b"1"), ("plain", None)]),
        (None, b"v1", [("a", b"2"), ("N?M?", b"3")]),
        (b"k2", b"v2" * 200, [("N?M?", None)]),
        (b"k3", None, []),
    ]


def test_the_batches_around_it_are_read_too() -> None:
    good = [(b"k0", b"v0", [("é", b"1")]), (None, None, [])]
    assert read(GOOD + BAD + GOOD) == [*good, *read(BAD), *good]


def test_what_aiokafka_asks_of_records_and_batches() -> None:
    records = ReadableRecords(GOOD)
    assert records.size_in_bytes() == len(GOOD)
    found = records.next_batch()
    assert found.validate_crc()
    assert (found.base_offset, found.next_offset, found.is_control_batch) == (0, 2, False)
    assert next(iter(found)).key == b"k0"
    assert not records.has_next()
    assert records.next_batch() is None
    assert not ReadableRecords(GOOD[:-1]).has_next()


def test_a_compressed_batch_is_not_guessed_at() -> None:
    with pytest.raises(CorruptRecordException):
        mask_header_names(memoryview(batch((None, b"v" * 500, []), compression=1)))


def test_consumers_read_through_it() -> None:
    assert hub.adapters.kafka.KafkaConsumer
    assert fetcher.MemoryRecords is ReadableRecords
