"""What publish() answers with: what became of an event, or why not."""

from __future__ import annotations

from dataclasses import dataclass

from hub.errors import RejectedError, UnavailableError
from hub.model import AgencyId, EventId, EventRef


@dataclass(frozen=True, slots=True)
class Published:
    """The event is durable in the outbox, sealed; it will be sent however often the process is killed.

    ``duplicate``: the source's key was seen before with the same content; nothing new was sealed, and ``event_id``,
    ``published_at_ms`` and ``recipients`` are those of the first time.
    ``amends``: the key was seen before with other content; this is a new event in reply to that one.
    ``waiting``: it is durable and not sealed yet, for there is no valid directory now (or the clock is far ahead). Who
    gets it is decided when it is sealed; ``recipients`` is empty. Where it is refused then, the log and the outbox's
    list of late refusals say so.
    ``left_out``: agencies that would have got it but have no usable key in the directory, with the code of the reason.
    """

    event_id: EventId
    published_at_ms: int
    recipients: tuple[AgencyId, ...]
    duplicate: bool = False
    amends: EventRef | None = None
    left_out: tuple[tuple[AgencyId, str], ...] = ()
    waiting: bool = False


class NobodyReleased(RejectedError):
    """Release and agreements let no agency have any of it (or none that can be sealed to).

    An error and not an empty ``Published``: a rule that is too narrow would otherwise lose intelligence in silence.
    ``hub policy explain`` says which rule or clause decided.
    """

    code = "release.nobody"


class EventExpired(RejectedError):
    """``expires_at`` is not in the future: nobody may keep it."""

    code = "event.expired"


class EventLabelInvalid(RejectedError):
    """The caller's event id, correlation id, reference or time has not the form that an event header takes."""

    code = "event.label_invalid"


class EventIdRepeated(RejectedError):
    """The event id was given to another event a moment ago."""

    code = "event.id_repeated"


class OutboxFull(UnavailableError):
    """As much waits for Kafka, or for a directory, as is allowed to; nothing of this call was taken."""

    code = "outbox.full"


class PublisherClosed(UnavailableError):
    """The publisher is stopping or has stopped; this event was not taken."""

    code = "publisher.closed"
