"""The client's settings: sizes in bytes, times in seconds. The protocol's limits are in hub/wire/limits.py."""

from __future__ import annotations

from dataclasses import dataclass

from hub.errors import ConfigError
from hub.wire import limits as wire


class ClientLimitsInvalid(ConfigError):
    """A setting of the publisher or the subscriber is out of its range."""

    code = "client.limits_invalid"


@dataclass(frozen=True, slots=True)
class PublisherLimits:
    """How a Publisher gathers, waits and gives up. Raises :class:`ClientLimitsInvalid`."""

    linger: float = 0.02
    """An open flush closes so long after its first event ..."""
    flush_events: int = wire.EVENTS_A_FLUSH
    """... or with so many events ..."""
    flush_bytes: int = 2_000_000
    """... or when their sections have so many bytes."""
    intake_events: int = 4 * wire.EVENTS_A_FLUSH
    """Events that wait to be sealed; more callers than that wait in publish()."""
    outbox_bytes: int = 2 * 1024**3
    """Bytes that may wait for Kafka, and to be sealed; beyond them publish() waits, then raises ``OutboxFull``."""
    full_wait: float = 5.0
    """How long publish() waits for room in the outbox. 0: not at all."""
    heartbeat: float = 30.0
    """Between heartbeats. 0: none."""
    drain: float = 10.0
    """On a clean stop, how long the outbox may take to empty; what is left is sent by the next start."""
    held_look: float = 1.0
    """Where nothing can be sealed now, how often it is looked whether that is over."""
    retry_first: float = 0.2
    retry_most: float = 10.0
    send_records: int = 64
    """Records that are handed to Kafka at once ..."""
    send_bytes: int = 8_000_000
    """... and their bytes."""
    keep_keys: float | None = None
    """Source keys older than this are forgotten at the start. None: never."""

    def __post_init__(self) -> None:
        _check(
            self,
            linger=(0, 10),
            flush_events=(1, wire.EVENTS_A_FLUSH),
            flush_bytes=(1, 64_000_000),
            intake_events=(self.flush_events, 1_000_000),
            outbox_bytes=(1, 2**50),
            full_wait=(0, 86_400),
            heartbeat=(0, 86_400),
            drain=(0, 86_400),
            held_look=(0.001, 3_600),
            retry_first=(0.001, self.retry_most),
            retry_most=(0.001, 3_600),
            send_records=(1, 10_000),
            send_bytes=(1, 256_000_000),
        )


@dataclass(frozen=True, slots=True)
class SubscriberLimits:
    """How a Subscriber reads, waits and reports. Raises :class:`ClientLimitsInvalid`."""

    batch_records: int = 64
    """Records of one step: what is read, opened, written and marked together."""
    poll_wait: float = 0.5
    gap_grace: float = 60.0
    """A gap that neither its record nor a notice has closed for so long is reported."""
    retry_first: float = 0.2
    retry_most: float = 10.0

    def __post_init__(self) -> None:
        _check(
            self,
            batch_records=(1, 10_000),
            poll_wait=(0.001, 60),
            gap_grace=(0, 30 * 86_400),
            retry_first=(0.001, self.retry_most),
            retry_most=(0.001, 3_600),
        )


def _check(limits: PublisherLimits | SubscriberLimits, **ranges: tuple[float, float]) -> None:
    for name, (least, most) in ranges.items():
        value = getattr(limits, name)
        if not least <= value <= most:
            raise ClientLimitsInvalid(f"{name} must be from {least} to {most}", value=value)
