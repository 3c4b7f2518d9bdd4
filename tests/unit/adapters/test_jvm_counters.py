"""hub/adapters/jvm_counters.py: HotSpot's counter files, read as they are, and whatever is none refused."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest

from hub.adapters.jvm_counters import JvmCountersMissing, JvmFigures, parse_counters, read_kafka_jvm

KAFKA: dict[str, int | str] = {
    "sun.rt.javaCommand": "kafka.Kafka server.properties",
    "sun.gc.generation.0.space.0.used": 100,
    "sun.gc.generation.0.space.1.used": 20,
    "sun.gc.generation.1.space.0.used": 3,
    "sun.gc.generation.0.maxCapacity": 400,
    "sun.gc.generation.1.maxCapacity": 600,
    "sun.gc.generation.0.capacity": 77,
    "sun.gc.collector.0.invocations": 4,
    "sun.gc.collector.1.invocations": 1,
    "sun.gc.collector.0.time": 1_500,
    "sun.gc.collector.1.time": 500,
    "sun.os.hrt.frequency": 1_000,
    "java.threads.live": 94,
}


def encode(counters: dict[str, int | str], *, order: str = "<") -> bytes:
    """A file as HotSpot writes it (perfMemory.hpp)."""
    entries = b""
    for name, value in counters.items():
        said = name.encode() + b"\0"
        said += b"\0" * (-len(said) % 8)
        data = struct.pack(f"{order}q", value) if isinstance(value, int) else value.encode() + b"\0\0\0"
        size, kind = (0, b"J") if isinstance(value, int) else (len(data), b"B")
        head = struct.pack(f"{order}iii", 20 + len(said) + len(data), 20, size)
        entries += head + kind + b"\0\0\0" + struct.pack(f"{order}i", 20 + len(said)) + said + data
    prologue = bytes.fromhex("cafec0c0") + bytes([order == "<", 2, 0, 1]) + bytes(16)
    return prologue + struct.pack(f"{order}ii", 32, len(counters)) + entries


@pytest.mark.parametrize("order", ["<", ">"])
def test_the_figures_of_a_kafka(tmp_path: Path, order: str) -> None:
    (tmp_path / "7").write_bytes(encode(KAFKA, order=order))
    assert read_kafka_jvm(tmp_path) == JvmFigures(123, 1_000, 5, 2.0, 94)


def test_another_java_is_none_and_the_newest_kafka_counts(tmp_path: Path) -> None:
    (tmp_path / "1").write_bytes(encode({**KAFKA, "java.threads.live": 1}))
    os.utime(tmp_path / "1", (1, 1))
    (tmp_path / "2").write_bytes(encode(KAFKA))
    os.utime(tmp_path / "2", (2, 2))
    (tmp_path / "3").write_bytes(encode({**KAFKA, "sun.rt.javaCommand": "maven"}))
    assert read_kafka_jvm(tmp_path).threads == 94
    for name in ("1", "2"):
        (tmp_path / name).unlink()
    with pytest.raises(JvmCountersMissing, match="no Kafka"):
        read_kafka_jvm(tmp_path)


@pytest.mark.parametrize("cut", [0, 3, 31, 40, 60, 200])
def test_a_cut_file(tmp_path: Path, cut: int) -> None:
    (tmp_path / "1").write_bytes(encode(KAFKA)[:cut])
    with pytest.raises(JvmCountersMissing):
        read_kafka_jvm(tmp_path)


def test_what_is_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(JvmCountersMissing):
        read_kafka_jvm(tmp_path / "none")
    for raw in (b"", b"\0" * 64, bytes.fromhex("cafec0c0") + b"\x01\x03" + bytes(40)):
        with pytest.raises(ValueError, match="perfdata"):
            parse_counters(raw)
    endless = bytearray(encode(KAFKA))
    endless[32:36] = bytes(4)
    with pytest.raises(ValueError, match="without a length"):
        parse_counters(bytes(endless))


def test_without_a_counter_that_is_needed(tmp_path: Path) -> None:
    (tmp_path / "1").write_bytes(
        encode({name: value for name, value in KAFKA.items() if name != "sun.os.hrt.frequency"})
    )
    with pytest.raises(JvmCountersMissing):
        read_kafka_jvm(tmp_path)
