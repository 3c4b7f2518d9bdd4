"""What sealing and verifying want of the directory: a Protocol that ``hub.trust.directory.Directory`` fulfils."""

from __future__ import annotations

from typing import Protocol

from hub.model import AgencyId, Agreement
from hub.trust.composite import VerifyKey
from hub.trust.kem import KemPublicKey


class Listing(Protocol):
    """One version of the directory. All answers are for the moment ``now_ms`` (milliseconds since 1970)."""

    @property
    def version(self) -> int: ...

    @property
    def hub(self) -> AgencyId: ...

    def signing_key(self, agency: AgencyId, key_id: bytes, now_ms: int) -> VerifyKey:
        """The key of that id in the agency's statement. Raises a ``RejectedError`` with a code for each reason:

        the publisher is unknown or suspended; the key is unknown, revoked or expired.
        """

    def kem_key(self, agency: AgencyId, now_ms: int) -> KemPublicKey:
        """The key to wrap to. Raises a ``RejectedError`` where the agency is unknown or suspended, or has none."""

    def agreements(self, originator: AgencyId, recipient: AgencyId) -> tuple[Agreement, ...]:
        """Every agreement between the two, whatever its dates."""
