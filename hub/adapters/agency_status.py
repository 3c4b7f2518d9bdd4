"""What of an agency's keys, certificates and listings ends when, and what should be done about it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final

from hub.adapters.agency_folder import CA, STATEMENT, TLS_CERTIFICATE, AgencyFolder
from hub.adapters.files import read_file
from hub.adapters.key_files import MAX_KEY_FILE, read_secret
from hub.adapters.standing import own_key_end_ms
from hub.adapters.tls import TlsFileInvalid, certificate_expiry_ms, is_encrypted
from hub.adapters.tuf_roles import STATEMENT_LIFETIME
from hub.errors import ConfigError
from hub.trust.agency_state import DAY_MS, OwnKey, Slot, Stage, destroyable, retained_until_ms
from hub.trust.directory import Directory
from hub.trust.keys import describe_key

DIRECTORY_DAYS: Final = 10
"""The operator dates the directory every day, for 14: less than this says that nobody does it any more."""


class Standing(str, Enum):
    """How a thing stands. Everything but ``OK`` and ``NOTE`` wants somebody."""

    OK = "ok"
    NOTE = "note"
    SOON = "soon"
    OVER = "over"
    WRONG = "wrong"

    @property
    def wants_somebody(self) -> bool:
        return self not in (Standing.OK, Standing.NOTE)


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that ends, or is not as it should be. ``ends_ms`` is None where it does not end by itself."""

    what: str
    standing: Standing
    text: str = ""
    ends_ms: int | None = None

    def days(self, now_ms: int) -> int | None:
        """Whole days until the end; below zero after it."""
        return None if self.ends_ms is None else (self.ends_ms - now_ms) // DAY_MS


@dataclass(frozen=True, slots=True)
class Examination:
    """``now_ms`` and ``warn_days`` decide what is soon; without a directory nothing is said of listings."""

    agency: AgencyFolder
    directory: Directory | None
    now_ms: int
    warn_days: int

    def items(self) -> list[Item]:
        """Everything, the keys first."""
        return [*self._keys(), *self._statement(), *self._certificates(), *self._files(), *self._listings()]

    def _ending(self, what: str, ends_ms: int, text: str = "", *, warn_days: int | None = None) -> Item:
        soon = self.warn_days if warn_days is None else warn_days
        if ends_ms <= self.now_ms:
            standing = Standing.OVER
        else:
            standing = Standing.SOON if ends_ms - self.now_ms < soon * DAY_MS else Standing.OK
        return Item(what, standing, text, ends_ms)

    def _keys(self) -> Iterator[Item]:
        state = self.agency.state
        for key in state.of(Slot.SIGNING, Stage.CURRENT):
            yield self._ending("signing key", key.end_ms, key.key_id[:16])
        for key in state.of(Slot.SIGNING, Stage.LISTED):
            if key.revoked_at_ms is None:
                yield self._ending(f"signing key of {key.site}", key.end_ms, key.key_id[:16])
        used = max(state.of(Slot.KEM, Stage.CURRENT), key=lambda key: key.not_before_ms, default=None)
        for key in state.of(Slot.KEM, Stage.CURRENT):
            if key is used:
                yield self._ending("KEM key", key.end_ms, f"{key.key_id[:16]}, the newest: partners seal to it")
            elif key in destroyable(state, self.now_ms):
                over = retained_until_ms(state, key)
                yield Item("old KEM key", Standing.OVER, f"{key.key_id[:16]}: its retention is over, shred it", over)
            else:
                until = retained_until_ms(state, key)
                yield Item("old KEM key", Standing.OK, f"{key.key_id[:16]}: keep it so long", until)
        if used is None:
            yield Item("KEM key", Standing.WRONG, "there is none: nobody can seal to this agency")
        for slot in (Slot.SIGNING, Slot.IDENTITY, Slot.TLS):
            waiting = state.waiting(slot)
            if waiting is not None:
                yield Item(f"new {slot.value} key", Standing.NOTE, self._waits_for(waiting))

    def _waits_for(self, key: OwnKey) -> str:
        if key.slot is Slot.TLS:
            return "waits for its certificate: send the enrolment, then `hub agency enrol --reply`"
        if self.directory is None:
            return "waits until the directory lists it: then `hub agency rotate --finish`"
        entry = self.directory.agency(self.agency.state.agency)
        listed = entry is not None and (
            entry.identity.key_id.hex() == key.key_id
            if key.slot is Slot.IDENTITY
            else own_key_end_ms(self.directory, entry.agency_id, "signing", bytes.fromhex(key.key_id)) is not None
        )
        return (
            "the directory lists it: `hub agency rotate --finish`" if listed else "the directory does not list it yet"
        )

    def _statement(self) -> Iterator[Item]:
        role, state = self.agency.statement(), self.agency.state
        if role is None or role.version != state.version:
            yield Item("key statement", Standing.WRONG, f"version {state.version} is not signed yet")
            return
        ends_ms = state.issued_at_ms + int(STATEMENT_LIFETIME.total_seconds()) * 1000
        yield self._ending("key statement", ends_ms, f"version {state.version}, {STATEMENT}")

    def _certificates(self) -> Iterator[Item]:
        for what, name in (("TLS certificate", TLS_CERTIFICATE), ("operator's CA", CA)):
            path = self.agency.folder / name
            if not path.exists():
                yield Item(what, Standing.NOTE, "not there: `hub agency enrol` asks for it")
                continue
            try:
                yield self._ending(what, certificate_expiry_ms(path), name)
            except TlsFileInvalid as error:
                yield Item(what, Standing.WRONG, error.message)

    def _files(self) -> Iterator[Item]:
        folder = self.agency.folder
        for key in self.agency.state.keys:
            path = folder / key.name
            if not key.name or key.stage in (Stage.PLANNED, Stage.REPLACED, Stage.LISTED, Stage.DESTROYED):
                continue
            if not path.exists():
                offline = key.slot is Slot.IDENTITY
                text = "elsewhere, as it should be: `--identity FILE` to rotate" if offline else "its file is gone"
                yield Item(key.name, Standing.NOTE if offline else Standing.WRONG, text)
                continue
            try:
                read_secret(path)
                plain = not (is_encrypted(path) if key.slot is Slot.TLS else _is_encrypted_key(path))
            except ConfigError as error:
                yield Item(key.name, Standing.WRONG, error.message)
                continue
            if plain:
                yield Item(key.name, Standing.WRONG, "not encrypted: `hub keys encrypt`")

    def _listings(self) -> Iterator[Item]:
        directory, state = self.directory, self.agency.state
        if directory is None:
            return
        soon = min(self.warn_days, DIRECTORY_DAYS)
        yield self._ending("directory", directory.expires_at_ms, f"version {directory.version}", warn_days=soon)
        entry = directory.agency(state.agency)
        if entry is None:
            yield Item("listing", Standing.WRONG, f"the directory does not list {state.agency}, or not its keys")
            return
        if not entry.active:
            yield Item("listing", Standing.WRONG, "suspended by the custodians")
        if entry.statement.version < state.version:
            text = f"statement {entry.statement.version} is listed, {state.version} is signed: send {STATEMENT}"
            yield Item("listing", Standing.SOON, text)
        if entry.identity.key_id.hex() != state.current(Slot.IDENTITY).key_id:
            waiting = state.waiting(Slot.IDENTITY)
            if waiting is None or waiting.key_id != entry.identity.key_id.hex():
                yield Item("listing", Standing.WRONG, "the directory lists another identity key than this folder's")
        for agreement in directory.all_agreements:
            if state.agency in (agreement.originator, agreement.recipient):
                way = f"{agreement.originator} to {agreement.recipient}"
                yield self._ending(f"agreement {agreement.agreement_id}", agreement.not_after_ms, way)


def _is_encrypted_key(path: Path) -> bool:
    return describe_key(read_file(path, MAX_KEY_FILE)).encrypted
