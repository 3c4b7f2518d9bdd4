"""Every word of the log, declared once, with its level and what it tells. ``say`` is the only way to write one.

No content of an event, no key and no secret ever goes into a log: facts are agencies, topics, places, counts, codes.
"""

from __future__ import annotations

import logging
from typing import Final, Literal, get_args

LogWord = Literal[
    "process.started",
    "process.ready",
    "process.stopping",
    "process.stopped",
    "process.failed",
    "directory.loaded",
    "directory.refused",
    "directory.unavailable",
    "subscription.loaded",
    "subscription.refused",
    "subscription.agency_unlisted",
    "outbox.opened",
    "outbox.drained",
    "instance.started",
    "publish.rejected",
    "publish.unavailable",
    "bundle.quarantined",
    "event.rejected",
    "event.id_reused",
    "router.unavailable",
    "router.rebalanced",
    "subscriber.unavailable",
    "subscriber.rebalanced",
    "sequence.gap",
    "sequence.equivocation",
    "source.started",
    "source.finished",
    "source.unavailable",
    "sink.opened",
    "sink.unavailable",
    "library.warned",
]

_INFO: Final = logging.INFO
_WARN: Final = logging.WARNING
_ERROR: Final = logging.ERROR

    "exporter.unavailable",
WORDS: Final[dict[LogWord, tuple[int, str]]] = {
    "process.started": (_INFO, "A process has read its configuration and begins."),
    "process.ready": (_INFO, "It has what it needs and makes progress."),
    "process.stopping": (_INFO, "A signal or a failure ends it; what is begun is brought to an end."),
    "process.stopped": (_INFO, "It has stopped; `seconds` up."),
    "process.failed": (_ERROR, "It stops for the reason in `code`."),
    "directory.loaded": (_INFO, "A directory snapshot was verified and is in use."),
    "directory.refused": (_ERROR, "A new snapshot file is refused; the directory in use stays in use."),
    "directory.unavailable": (_WARN, "No valid directory: nothing is sealed, routed or opened until there is one."),
    "subscription.loaded": (_INFO, "An agency's changed subscription is in use; `clauses` 0: it asks for nothing."),
    "subscription.refused": (_ERROR, "A changed subscription is wrong: until it is mended its agency gets nothing."),
    "subscription.agency_unlisted": (_WARN, "A subscription names agencies that the directory does not list."),
    "outbox.opened": (_INFO, "The outbox is open; `records` wait in it."),
    "outbox.drained": (_INFO, "Kafka has acknowledged all of it."),
    "instance.started": (_INFO, "A publisher begins a new instance."),
    "publish.rejected": (_WARN, "An event was refused before it was sealed."),
    "publish.unavailable": (_WARN, "Kafka does not take records now; they wait in the outbox."),
    "bundle.quarantined": (_WARN, "A record was refused and kept in quarantine."),
    "event.rejected": (_WARN, "An event of an opened record does not fit its schema."),
    "event.id_reused": (_ERROR, "An event id came back with another header."),
    "router.unavailable": (_WARN, "Routing waits for something outside; nothing is committed."),
    "router.rebalanced": (_INFO, "The partitions of this router changed; what it held is read again."),
    "subscriber.unavailable": (_WARN, "Receiving waits for something outside; nothing is committed."),
    "subscriber.rebalanced": (_INFO, "The partitions of this subscriber changed; what it held is read again."),
    "sequence.gap": (_WARN, "Sequence numbers are missing and no notice explains them."),
    "sequence.equivocation": (_ERROR, "One sequence number came with two heads."),
    "source.started": (_INFO, "A source begins to read."),
    "source.finished": (_INFO, "A source has read all there is."),
    "source.unavailable": (_WARN, "A source waits for something outside; it goes on from its last position."),
    "sink.opened": (_INFO, "A sink is ready to write."),
    "sink.unavailable": (_WARN, "A sink does not take events now; nothing is committed."),
    "library.warned": (_WARN, "A library that we use warned in its own words."),
}

if frozenset(WORDS) != frozenset(get_args(LogWord)):
    raise RuntimeError("hub/log_words.py: LogWord and WORDS do not name the same words")


def say(word: LogWord, /, **facts: object) -> None:
    """Write ``word`` with its facts at its declared level."""
    import structlog  # a site's command line starts without it

    structlog.get_logger("hub").log(WORDS[word][0], word, **facts)


class _Libraries(logging.Handler):
    "exporter.unavailable": (_WARN, "The broker does not answer the exporter; what it said last stands."),
    """What libraries log by themselves, under one word of ours."""

    def emit(self, record: logging.LogRecord) -> None:
        say("library.warned", library=record.name, text=record.getMessage())


def configure(*, json: bool, level: int = logging.INFO) -> None:
    """Send the log to standard error: one JSON object a line, or lines for a person. Libraries: from warnings on."""
    import sys

    import structlog

    render: structlog.typing.Processor = (
        structlog.processors.JSONRenderer() if json else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
    )
    if not any(isinstance(handler, _Libraries) for handler in logging.root.handlers):
        logging.root.addHandler(_Libraries(logging.WARNING))


def render_table() -> str:
    """The words as a Markdown table, for docs/guides/operate.md."""
    lines = ["| word | level | meaning |", "| --- | --- | --- |"]
    lines += [f"| `{word}` | {logging.getLevelName(level).lower()} | {doc} |" for word, (level, doc) in WORDS.items()]
    return "\n".join(lines) + "\n"
