"""What the two durable stores of a site (outbox and inbox) can raise, whichever adapter keeps them."""

from __future__ import annotations

from hub.errors import ConfigError, InvariantError, UnavailableError


class StoreFull(UnavailableError):
    """The disk, or the space that the store may take, is used up. Nothing of the transaction was stored."""

    code = "store.full"


class StoreUnavailable(UnavailableError):
    """The store's file cannot be read or written now. Nothing of the transaction was stored."""

    code = "store.unavailable"


class StoreInUse(ConfigError):
    """Another process (or another object of this one) has the store open: one store, one owner."""

    code = "store.in_use"


class StoreForeign(ConfigError):
    """The store belongs to another agency, is of another kind, or was written by a newer version."""

    code = "store.foreign"


class StoreCorrupt(ConfigError):
    """The file is not a store, or is damaged."""

    code = "store.corrupt"


class StoreForked(InvariantError):
    """The process has forked since the store was opened: two owners would use the same sequence numbers."""

    code = "store.forked"
