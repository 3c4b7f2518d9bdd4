"""What a site refused: list it, and read it again. Nothing here needs the broker."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from hub.adapters.found_connectors import build_sink, connector_context
from hub.adapters.key_files import load_kem_keys
from hub.adapters.sqlite_inbox import SqliteInbox, read_rejected
from hub.app.keys import key_access
from hub.app.process import SettingMissing, start_process
from hub.client.inbox import RejectedRecord
from hub.client.rejected import Refusal, describe
from hub.client.retry import Retried, Retry
from hub.client.sink import Sink
from hub.errors import ConfigError
from hub.policy.subscription import load_subscription
from hub.settings import ConnectorTable, SiteSettings


class RejectedUnknown(ConfigError):
    """No refused entry has this id: see ``hub site rejected``."""

    code = "rejected.unknown"


@dataclass(frozen=True, slots=True)
class Choice:
    """Which entries are read again: those with these ids and this code; all, where neither is given."""

    ids: Collection[str] = ()
    code: str | None = None

    def choose(self, entries: Sequence[RejectedRecord]) -> list[RejectedRecord]:
        """Those of ``entries`` that are meant. Raises :class:`RejectedUnknown` for an id that none has."""
        missing = set(self.ids) - {entry.id for entry in entries}
        if missing:
            raise RejectedUnknown("there is no such entry: see `hub site rejected`", ids=", ".join(sorted(missing)))
        return [
            entry
            for entry in entries
            if (not self.ids or entry.id in self.ids) and (self.code is None or entry.code == self.code)
        ]


def list_rejected(settings: SiteSettings) -> Iterator[Refusal]:
    """What the site refused and keeps, newest first. The site may be running. Raises as ``read_rejected``."""
    return describe(read_rejected(settings.state / "inbox.sqlite", agency=settings.agency))


async def retry_rejected(settings: SiteSettings, choice: Choice) -> list[Retried]:
    """Read the chosen entries again, and write to the site's sinks what is right now; the site must not be running.

    Raises ``StoreInUse`` where it runs, :class:`RejectedUnknown`, and what ``Retry`` raises.
    """
    if settings.keys.kem is None or settings.subscription is None or not settings.sink:
        raise SettingMissing("to receive, the site needs keys.kem, subscription and a [[sink]]")
    process = start_process(settings, "site")
    kem_folder = settings.keys.kem

    def make_sink(table: ConnectorTable) -> Sink:
        context = connector_context(settings, table, "sink", catalog=process.catalog, observer=process.progress)
        return build_sink(table, context)

    retry = Retry(
        agency=settings.agency,
        hub=settings.hub,
        kem_keys=lambda: load_kem_keys(kem_folder, key_access(settings.keys)),
        catalog=process.catalog,
        content=load_subscription(settings.subscription, process.catalog),
        directory=process.directory,
        inbox=SqliteInbox(settings.state / "inbox.sqlite", agency=settings.agency),
        sinks=[make_sink(table) for table in settings.sink],
        clock=process.clock,
        observer=process.progress,
    )
    results: list[Retried] = []
    async with retry:
        await retry.run(choice.choose, results.append)
    return results
