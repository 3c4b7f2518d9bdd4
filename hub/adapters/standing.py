"""Gauges set anew before each scrape: the clock, and what stands still as it goes on: directory, keys, certificates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from hub.adapters.tls import TlsFileInvalid, TlsFiles, certificate_expiry_ms
from hub.client.directory_source import DirectorySource
from hub.errors import UnavailableError
from hub.model import AgencyId
from hub.ports import Clock, Observer
from hub.trust.directory import Directory

KeyKind = Literal["signing", "kem"]


class StandingFacts:
    """The clock; directory version, age and expiry; expiry of TLS, and of own keys as the directory lists them."""

    def __init__(
        self,
        *,
        agency: AgencyId,
        directory: DirectorySource,
        tls: TlsFiles,
        key_ids: Callable[[], Sequence[tuple[KeyKind, bytes]]],
        clock: Clock,
        observer: Observer,
    ) -> None:
        """``key_ids`` gives this process's own keys as they are now: their kind (``signing``, ``kem``) and id."""
        self._agency = agency
        self._directory = directory
        self._tls = tls
        self._key_ids = key_ids
        self._clock = clock
        self._observer = observer

    def refresh(self) -> None:
        """Set the gauges. What cannot be read now keeps its last value, and its own counter tells of the fault."""
        show_clock_and_certificates(self._tls, self._clock, self._observer)
        try:
            self._show_directory(self._directory.current())
        except UnavailableError as error:
            self._observer.increment("cgi_unavailable_total", operation="directory", code=error.code)

    def _show_directory(self, directory: Directory) -> None:
        age = max(0, self._clock.now_ms() - directory.issued_at_ms) / 1000
        self._observer.gauge("cgi_directory_version", directory.version)
        self._observer.gauge("cgi_directory_age_seconds", age)
        self._observer.gauge("cgi_directory_expiry_timestamp_seconds", directory.expires_at_ms / 1000)
        key_ids = self._key_ids()
        ends: dict[KeyKind, float] = {kind: 0.0 for kind, _ in key_ids}  # a key that is not listed is of no use
        for kind, key_id in key_ids:
            end_ms = own_key_end_ms(directory, self._agency, kind, key_id)
            ends[kind] = max(ends[kind], (end_ms or 0) / 1000)
        for kind, end in ends.items():
            self._observer.gauge("cgi_key_expiry_timestamp_seconds", end, kind=kind)


def show_clock_and_certificates(tls: TlsFiles, clock: Clock, observer: Observer) -> None:
    """Set the gauges that every process has: its clock, and when its certificates end."""
    observer.gauge("cgi_clock_timestamp_seconds", clock.now_ms() / 1000)
    for certificate, path in (("client", tls.certificate), ("ca", tls.ca)):
        try:
            expiry = certificate_expiry_ms(path) / 1000
        except TlsFileInvalid:
            expiry = 0.0  # a certificate that cannot be read any more is as good as expired
        observer.gauge("cgi_certificate_expiry_timestamp_seconds", expiry, certificate=certificate)


def own_key_end_ms(directory: Directory, agency: AgencyId, kind: KeyKind, key_id: bytes) -> int | None:
    """When the listing of an agency's key ends (its end, or its revocation), in ms since 1970; None: not listed."""
    entry = directory.agency(agency)
    if entry is None:
        return None
    for signing in entry.statement.signing_keys if kind == "signing" else ():
        if signing.key.key_id == key_id:
            return min(signing.not_after_ms, signing.revoked_at_ms or signing.not_after_ms)
    for kem in entry.statement.kem_keys if kind == "kem" else ():
        if kem.key.kem_id == key_id:
            return min(kem.not_after_ms, kem.revoked_at_ms or kem.not_after_ms)
    return None
