"""The hub's parts of the subscriptions, read again when their folder changes. docs/adr/0046.

A router asks for every entry; the folder is looked at once a second. A file counts when two looks have found it the
same, or when nobody has touched it for a second, so one that is being written is not read half, and what was put there
while the hub was quiet counts for the first event after it. Each is for one agency, and so is its fault: a file that is
wrong gives that agency nothing until it is mended, for nobody can say what it asks for; the others keep what they have.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final, Protocol

from hub.errors import UnavailableError
from hub.log_words import say
from hub.model import HUB, AgencyId, Decision, NameInvalid, Route, parse_agency_id
from hub.policy.release import CatalogLike
from hub.policy.source import PolicyInvalid
from hub.policy.subscription import Subscription, Subscriptions, load_hub_part
from hub.ports import Clock, Observer
from hub.trust.directory import Directory

_EVERY: Final = 1.0
_Stamp = tuple[int, ...]


class SubscriptionsUnavailable(UnavailableError):
    """The folder of subscriptions cannot be read now. Nothing is decided without it: what is denied stays denied."""

    code = "subscriptions.unavailable"


class Directories(Protocol):
    """``hub.client.directory_source.DirectorySource`` is one."""

    def current(self) -> Directory: ...


class WatchedSubscriptions:
    """``hub.routing.Subscriptions`` on a folder. Raises ``PolicyInvalid`` where any of it is wrong at the start."""

    def __init__(
        self,
        folder: Path,
        catalog: CatalogLike,
        *,
        directory: Directories,
        clock: Clock,
        observer: Observer,
        hub: AgencyId = HUB,
    ) -> None:
        self._folder = folder
        self._catalog = catalog
        self._directory = directory
        self._clock = clock
        self._observer = observer
        self._hub = hub
        self._found: dict[AgencyId, Subscription] = {}
        self._current = Subscriptions({}, hub)
        self._refused: dict[AgencyId, PolicyInvalid] = {}
        self._told: dict[AgencyId, Collection[AgencyId]] = {}
        if not folder.is_dir():
            raise PolicyInvalid(f"{folder}: there is no such folder of subscriptions", file=str(folder))
        stamps = self._stamps()
        for path in stamps:
            self._found[_agency(path)] = load_hub_part(path, catalog, hub=hub)
        self._read = self._seen = stamps
        self._look_at = clock.monotonic() + _EVERY
        self._settle()

    def decide_labels(self, recipient: AgencyId, publisher: AgencyId, route: Route) -> Decision:
        """The recipient's decision, by its file. Raises :class:`SubscriptionsUnavailable`."""
        now = self._clock.monotonic()
        if now >= self._look_at:
            self._look()
            self._look_at = now + _EVERY
        return self._current.decide_labels(recipient, publisher, route)

    # --- the folder ---------------------------------------------------------------------------------------------------

    def _stamps(self) -> dict[Path, _Stamp]:
        stamps: dict[Path, _Stamp] = {}
        try:
            for path in sorted(path for path in self._folder.iterdir() if path.suffix == ".yaml"):
                found = path.stat()
                stamps[path] = (found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino)
        except OSError as error:
            raise SubscriptionsUnavailable(
                f"the folder of subscriptions cannot be read: {error.strerror}", folder=self._folder
            ) from error
        return stamps

    def _look(self) -> None:
        stamps = self._stamps()
        before, self._seen = self._seen, stamps
        for path in sorted(stamps.keys() | self._read.keys() | before.keys()):
            stamp = stamps.get(path)
            if stamp == self._read.get(path) or (stamp != before.get(path) and not self._has_settled(stamp)):
                continue  # as it was read, or it changes right now: see the next look
            if stamp is None:
                del self._read[path]
                self._drop(path)
            else:
                self._read = {**self._read, path: stamp}
                self._take(path)
        self._settle()

    def _has_settled(self, stamp: _Stamp | None) -> bool:
        """Whether the file, or the folder where it is gone, was last touched more than a second ago."""
        if stamp is None:
            folder = self._folder.stat()
            stamp = (folder.st_mtime_ns, folder.st_ctime_ns)
        return time.time_ns() - max(stamp[:2]) > _EVERY * 1e9  # by the clock that the file system goes by

    def _take(self, path: Path) -> None:
        try:
            agency = _agency(path)
        except PolicyInvalid as error:
            say("subscription.refused", agency="", file=path.name, code=error.code, reason=error.message)
            return
        try:
            self._found[agency] = load_hub_part(path, self._catalog, hub=self._hub)
        except PolicyInvalid as error:
            self._found.pop(agency, None)
            self._refused[agency] = error
            say("subscription.refused", agency=agency, file=path.name, code=error.code, reason=error.message)
            return
        self._refused.pop(agency, None)
        say("subscription.loaded", agency=agency, file=path.name, clauses=len(self._found[agency].clauses))

    def _drop(self, path: Path) -> None:
        try:
            agency = _agency(path)
        except PolicyInvalid:
            return  # it was nobody's
        self._found.pop(agency, None)
        self._refused.pop(agency, None)
        say("subscription.loaded", agency=agency, file=path.name, clauses=0)

    def _settle(self) -> None:
        self._current = Subscriptions(self._found, self._hub, refused=self._refused)
        self._observer.gauge("cgi_subscriptions", len(self._found), state="in_force")
        self._observer.gauge("cgi_subscriptions", len(self._refused), state="refused")
        self._tell_unlisted()

    def _tell_unlisted(self) -> None:
        """Agencies that a file names and the directory does not list: nothing is from or for them, but a typo shows."""
        try:
            listed: Mapping[AgencyId, object] = self._directory.current().entries
        except UnavailableError:
            return  # looked at again with the next one
        for agency, subscription in self._found.items():
            named = {agency, *(name for clause in subscription.clauses for name in clause.publishers or ())}
            unlisted = tuple(sorted(named - listed.keys()))
            if unlisted != self._told.get(agency, ()):
                self._told[agency] = unlisted
                if unlisted:
                    say("subscription.agency_unlisted", agency=agency, unlisted=", ".join(unlisted))


def _agency(path: Path) -> AgencyId:
    try:
        return parse_agency_id(path.stem)
    except NameInvalid as error:
        raise PolicyInvalid(f"{path}: its name is no agency's: {error.message}", file=str(path)) from error
