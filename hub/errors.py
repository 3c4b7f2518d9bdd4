"""The whole exception tree: one branch for each reaction (docs/adr/0002).

Every leaf has a stable ``code``. It is the metric label, the quarantine reason, the word in the log, and what a test
vector expects. A code is never reused and never changes its meaning.
"""

from __future__ import annotations

from typing import ClassVar


class HubError(Exception):
    """The base. ``message`` is for a person; ``details`` are named facts (no content of an event, no key)."""

    code: ClassVar[str] = "hub.error"

    def __init__(self, message: str, **details: object) -> None:
        super().__init__(message)
        self.message = message
        self.details = details

    def diagnostics(self) -> str:
        """The message and the details as one line, for a terminal and for a log."""
        facts = ", ".join(f"{name}={value}" for name, value in self.details.items())
        return f"{self.code}: {self.message}" + (f" ({facts})" if facts else "")


# --- the operator's fault: one clear message, exit 2 -----------------------------------------------------------------


class ConfigError(HubError):
    """A setting, a policy file, a key file or a schema is wrong. Nothing starts."""

    code = "config.invalid"


# --- the message's fault: quarantine and log, go on, never retry ----------------------------------------------------


class RejectedError(HubError):
    """This record, event or row can never be accepted as it is."""

    code = "rejected"


# --- the world's fault: back off and retry, commit nothing ------------------------------------------------------------


class UnavailableError(HubError):
    """Something outside is not there now: a broker, a disk, a newer directory."""

    code = "unavailable"


# --- our own bug: stop ------------------------------------------------------------------------------------------------


class InvariantError(HubError):
    """What cannot happen has happened. The process stops."""

    code = "invariant"


# --- leaves that several modules raise --------------------------------------------------------------------------------


class BusUnavailable(UnavailableError):
    """The broker cannot be reached, has no quorum, or did not acknowledge in time."""

    code = "bus.unavailable"


class BusRebalanced(UnavailableError):
    """The consumer group has handed the partitions out anew: what was polled before must be dropped."""

    code = "bus.rebalanced"


class BusNotAuthorized(ConfigError):
    """The broker does not let this principal do that, or does not accept its certificate."""

    code = "bus.not_authorized"


class BusTopicUnknown(ConfigError):
    """The topic does not exist on the broker (nothing is created automatically)."""

    code = "bus.topic_unknown"


class BusRecordTooLarge(ConfigError):
    """The record is larger than the topic takes."""

    code = "bus.record_too_large"
