"""Every word of the log, declared once, with its level and what it tells. ``say`` is the only way to write one.

No content of an event, no key and no secret ever goes into a log: facts are agencies, topics, places, counts, codes.
What others write (libraries, Python's warnings, an error that nobody caught) comes in the same form, and is cut to what
cannot quote a value: docs/guides/logs.md.
"""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from hub.stacks import describe, failed_at

if TYPE_CHECKING:
    import structlog

LogWord = Literal[
    "process.started",
    "process.ready",
    "process.stopping",
    "process.stopped",
    "process.failed",
    "directory.fault",
    "directory.file_refused",
    "directory.loaded",
    "directory.refused",
    "directory.unavailable",
    "directory.unreachable",
    "certificate.renewed",
    "certificate.refused",
    "broker.applied",
    "broker.drifted",
    "broker.unavailable",
    "subscription.loaded",
    "subscription.refused",
    "subscription.agency_unlisted",
    "outbox.opened",
    "outbox.drained",
    "instance.started",
    "publish.rejected",
    "publish.unavailable",
    "publish.waiting",
    "publish.resumed",
    "publish.refused_late",
    "clock.skewed",
    "kem_keys.changed",
    "kem_keys.refused",
    "bundle.quarantined",
    "event.rejected",
    "event.id_reused",
    "router.unavailable",
    "router.rebalanced",
    "subscriber.unavailable",
    "subscriber.rebalanced",
    "exporter.unavailable",
    "sequence.gap",
    "sequence.equivocation",
    "source.started",
    "source.finished",
    "source.unavailable",
    "sink.opened",
    "sink.unavailable",
    "console.source_unavailable",
    "console.people_refused",
    "console.refused",
    "console.acted",
    "library.warned",
    "error.uncaught",
    "state.written",
]

_INFO: Final = logging.INFO
_WARN: Final = logging.WARNING
_ERROR: Final = logging.ERROR

WORDS: Final[dict[LogWord, tuple[int, str]]] = {
    "process.started": (_INFO, "A process has read its configuration and begins."),
    "process.ready": (_INFO, "It has what it needs and makes progress."),
    "process.stopping": (_INFO, "A signal or a failure ends it; what is begun is brought to an end."),
    "process.stopped": (_INFO, "It has stopped; `seconds` up."),
    "process.failed": (_ERROR, "It stops for the reason in `code`."),
    "directory.fault": (
        _WARN,
        "A part of the directory does not hold: that agency has no keys, that agreement is none.",
    ),
    "directory.file_refused": (_WARN, "A record on the directory's topic is no file of a repository; it is left out."),
    "directory.loaded": (_INFO, "A version of the directory was verified and is in use."),
    "directory.refused": (_ERROR, "A new directory is refused; the one in use stays in use."),
    "directory.unavailable": (_WARN, "No valid directory: nothing is sealed, routed or opened until there is one."),
    "directory.unreachable": (_WARN, "The topic with the directory cannot be read; what was read of it stays in use."),
    "certificate.renewed": (_INFO, "New connections show the certificate that was put in the old one's place."),
    "certificate.refused": (_ERROR, "New TLS files cannot be used; those in use stay in use."),
    "broker.applied": (_INFO, "The cluster was brought in line with the directory; `changes` were made."),
    "broker.drifted": (_WARN, "Someone else had changed what the directory says; it was changed back."),
    "broker.unavailable": (_WARN, "The cluster cannot be brought in line now; it is tried again."),
    "subscription.loaded": (_INFO, "An agency's changed subscription is in use; `clauses` 0: it asks for nothing."),
    "subscription.refused": (_ERROR, "A changed subscription is wrong: until it is mended its agency gets nothing."),
    "subscription.agency_unlisted": (_WARN, "A subscription names agencies that the directory does not list."),
    "outbox.opened": (_INFO, "The outbox is open; `records` wait in it."),
    "outbox.drained": (_INFO, "Kafka has acknowledged all of it."),
    "instance.started": (_INFO, "A publisher begins a new instance."),
    "publish.rejected": (_WARN, "An event was refused before it was sealed."),
    "publish.unavailable": (_WARN, "Kafka does not take records now; they wait in the outbox."),
    "publish.waiting": (_WARN, "Nothing can be sealed now, for the reason in `code`: events are taken, and wait."),
    "publish.resumed": (_INFO, "What waited to be sealed is sealed; `seconds` since the first of it."),
    "publish.refused_late": (_WARN, "An event that was taken, and waited, may go to nobody: `hub site refused`."),
    "kem_keys.changed": (_INFO, "The folder of KEM keys is another than before: `held` are used from now on."),
    "kem_keys.refused": (_ERROR, "A file in the folder of KEM keys is no key that can be used."),
    "clock.skewed": (_WARN, "This clock and the broker's differ by a minute or more: set it right."),
    "bundle.quarantined": (_WARN, "A record was refused and kept in quarantine."),
    "event.rejected": (_WARN, "An event of an opened record does not fit its schema."),
    "event.id_reused": (_ERROR, "An event id came back with another header."),
    "router.unavailable": (_WARN, "Routing waits for something outside; nothing is committed."),
    "router.rebalanced": (_INFO, "The partitions of this router changed; what it held is read again."),
    "subscriber.unavailable": (_WARN, "Receiving waits for something outside; nothing is committed."),
    "subscriber.rebalanced": (_INFO, "The partitions of this subscriber changed; what it held is read again."),
    "exporter.unavailable": (_WARN, "The broker does not answer the exporter; what it said last stands."),
    "sequence.gap": (_WARN, "Sequence numbers are missing and no notice explains them."),
    "sequence.equivocation": (_ERROR, "One sequence number came with two heads."),
    "source.started": (_INFO, "A source begins to read."),
    "source.finished": (_INFO, "A source has read all there is."),
    "source.unavailable": (_WARN, "A source waits for something outside; it goes on from its last position."),
    "sink.opened": (_INFO, "A sink is ready to write."),
    "sink.unavailable": (_WARN, "A sink does not take events now; nothing is committed."),
    "console.source_unavailable": (
        _WARN,
        "A source of the console does not answer; the pages say how old what they show is.",
    ),
    "console.people_refused": (_ERROR, "The console's file of people is wrong: until it is mended nobody comes in."),
    "console.refused": (_WARN, "The console refused a certificate without a role, or a request from another page."),
    "console.acted": (_INFO, "An operator decided about a record in quarantine; the audit log has the entry."),
    "library.warned": (_WARN, "A library that we use warned; its own words where they cannot quote an event."),
    "error.uncaught": (_ERROR, "An error that nobody caught, in a thread, a callback or the whole process."),
    "state.written": (_INFO, "SIGUSR1: what the process is doing stands in `file`."),
}

if frozenset(WORDS) != frozenset(get_args(LogWord)):
    raise RuntimeError("hub/log_words.py: LogWord and WORDS do not name the same words")


_KEPT: Final = 32
_recent: deque[tuple[LogWord, dict[str, object]]] = deque(maxlen=_KEPT)
_identity: dict[str, str] = {}


def say(word: LogWord, /, **facts: object) -> None:
    """Write ``word`` with its facts at its declared level."""
    import structlog  # a site's command line starts without it

    level = WORDS[word][0]
    if level >= _WARN:
        _recent.append((word, facts))
    structlog.get_logger("hub").log(level, word, **facts)


def recent_warnings() -> list[tuple[LogWord, Mapping[str, object]]]:
    """The last warnings and errors of this process, the oldest first, with their facts as they were said."""
    return list(_recent)


def identify(role: str) -> str:
    """Every line from here on names this process: ``<role>/<8 random digits>``, new with each start, which is given."""
    _identity["process"] = f"{role}/{os.urandom(4).hex()}"
    return _identity["process"]


def _name_process(_logger: Any, _method: str, facts: structlog.typing.EventDict) -> structlog.typing.EventDict:
    return {**facts, **_identity}


# --- what others write ------------------------------------------------------------------------------------------------

_TEXT: Final = 300
_IN_OWN_WORDS: Final = frozenset({"aiokafka", "kafka", "uvicorn", "tuf", "securesystemslib"})
"""Libraries that speak of brokers, partitions, requests and signed metadata, and see no event but as sealed bytes:
their line is shown with what was put into it. Of all others the template alone, for what is put in may be a value.
"""


class _Libraries(logging.Handler):
    """What libraries log by themselves, under one word of ours."""

    def emit(self, record: logging.LogRecord) -> None:
        facts: dict[str, object] = {"library": record.name, "text": _text_of(record), "line": record.lineno}
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            facts |= {"error": describe(error), "at": failed_at(error.__traceback__)[-3:]}
        say("library.warned", **facts)


def _text_of(record: logging.LogRecord) -> str:
    """One line of what a library says, as far as it cannot quote a value."""
    library = record.name.split(".")[0]
    if library in _IN_OWN_WORDS:
        return _filled(record).partition("\n")[0][:_TEXT]
    text = str(record.msg).partition("\n")[0][:_TEXT]
    if library == "asyncio":  # "Exception in callback name(arguments)": it fills its templates itself
        return text.partition("(")[0]
    return text if record.args else record.module  # nothing was put in by logging: it may be in it already


def _filled(record: logging.LogRecord) -> str:
    args = record.args if isinstance(record.args, tuple) else ()
    try:
        return str(record.msg) % tuple(_harmless(each) for each in args) if args else str(record.msg)
    except (TypeError, ValueError):  # a template that wants numbers, or names
        return str(record.msg)


def _harmless(value: object) -> object:
    """What such a library puts into its line: bytes never, an error of others by its kind."""
    if isinstance(value, BaseException):
        ours = type(value).__module__.split(".")[0] in _IN_OWN_WORDS
        return str(value)[:_TEXT] if ours else describe(value)
    return "..." if isinstance(value, bytes | bytearray | memoryview) else value


def _say_uncaught(error: BaseException | None, where: str) -> None:
    if error is not None and not isinstance(error, KeyboardInterrupt | SystemExit):
        say("error.uncaught", where=where, error=describe(error), at=failed_at(error.__traceback__)[-8:])


@contextmanager
def nothing_printed_beside() -> Iterator[None]:
    """While it is open, what Python would print by itself comes as words of ours.

    A warning of pydantic's, and many an error that nobody caught, quotes the value that it is about.
    """
    import sys
    import threading
    import warnings

    def show_warning(_message: object, category: type[Warning], filename: str, lineno: int, *_rest: object) -> None:
        say("library.warned", library="warnings", text=category.__name__, at=[f"{filename[-80:]}:{lineno}"])

    before = warnings.showwarning, sys.excepthook, threading.excepthook, sys.unraisablehook
    warnings.showwarning = show_warning  # type: ignore[assignment]  # it has no file to print to
    sys.excepthook = lambda _kind, error, _trace: _say_uncaught(error, "main")
    threading.excepthook = lambda found: _say_uncaught(found.exc_value, "thread")
    sys.unraisablehook = lambda found: _say_uncaught(found.exc_value, "destructor")
    try:
        yield
    finally:
        warnings.showwarning, sys.excepthook, threading.excepthook, sys.unraisablehook = before


def configure(*, json: bool, level: int = logging.INFO) -> None:
    """Send the log to standard error: one JSON object a line, or lines for a person. Libraries: from warnings on."""
    import sys

    import structlog

    if not _identity:
        identify("hub")
    render: structlog.typing.Processor = (
        structlog.processors.JSONRenderer() if json else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _name_process,
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
