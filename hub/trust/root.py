"""The root: the custodians' keys, and how many of them must sign the directory. Every site pins it.

docs/spec/directory.md, section 3. Nothing vouches for a root but the hand that brought it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from hub.errors import ConfigError
from hub.model import AgencyId
from hub.trust.composite import VerifyKey, key_halves

MAX_CUSTODIANS: Final = 32


class RootInvalid(ConfigError):
    """The pinned root is not one: no threshold that can be met, or one key under two names."""

    code = "root.invalid"


@dataclass(frozen=True, slots=True)
class Custodian:
    """One of the n key holders. ``name`` is for people."""

    name: str
    key: VerifyKey


@dataclass(frozen=True, slots=True)
class Root:
    """What a site pins: the hub's id, the custodians' keys, and how many of them must sign.

    Raises :class:`RootInvalid` where the threshold cannot be met or two custodians share a key or half of one.
    """

    hub: AgencyId
    custodians: tuple[Custodian, ...]
    threshold: int
    online: tuple[VerifyKey, ...] = ()
    """The operator's keys that date the directory and vouch for nothing else."""
    version: int = 1

    def __post_init__(self) -> None:
        if not 0 < self.threshold <= len(self.custodians) <= MAX_CUSTODIANS:
            raise RootInvalid(
                "the threshold must be at least 1 and at most the number of custodians",
                threshold=self.threshold,
                custodians=len(self.custodians),
                most=MAX_CUSTODIANS,
            )
        # Half a key shared would let one holder's loss weaken two custodians (directory 3.3).
        keys = [*(c.key for c in self.custodians), *self.online]
        halves = [half for key in keys for half in key_halves(key.raw)]
        if len(set(halves)) != len(halves):
            raise RootInvalid("two custodians, or one and the operator, share a key, or half of one")
