"""Settings out of range are errors that name them."""

from __future__ import annotations

from typing import Any

import pytest

from hub.client.limits import ClientLimitsInvalid, PublisherLimits, SubscriberLimits


@pytest.mark.parametrize(
    ("form", "name", "value"),
    [
        (PublisherLimits, "flush_events", 513),
        (PublisherLimits, "flush_events", 0),
        (PublisherLimits, "intake_events", 100),
        (PublisherLimits, "linger", -0.1),
        (PublisherLimits, "retry_first", 11.0),
        (SubscriberLimits, "batch_records", 0),
        (SubscriberLimits, "poll_wait", 0),
    ],
)
def test_a_setting_out_of_range_is_named(form: Any, name: str, value: float) -> None:
    with pytest.raises(ClientLimitsInvalid, match=name):
        form(**{name: value})


def test_the_defaults_are_in_range() -> None:
    PublisherLimits()
    SubscriberLimits()
