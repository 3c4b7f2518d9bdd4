"""An agency's own record of its keys: which there are, from when to when, and what is still to be done about them.

Pure: a state and a wish give the next state. hub/adapters/agency_folder.py stores it before it acts on it, so that a
command that was killed is completed by the next one. A key is *planned* (no file yet), then *made*; a new signing,
identity or TLS key is *waiting* until the directory lists it, and then takes the place of the old one. KEM keys stand
beside each other until they are *destroyed*. A signing key of another site is *listed*: its private half is there and
never here. docs/adr/0088.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from enum import Enum
from typing import Annotated, Any, Final, Literal

from pydantic import Field, StrictBool, StrictInt, StrictStr, ValidationError

from hub.errors import ConfigError
from hub.model import AgencyId
from hub.trust.composite import VerifyKey
from hub.trust.kem import KemPublicKey
from hub.trust.keys import KeyUse
from hub.trust.signed_json import Strict, TimeMs, encode_json, first_fault, read_strict_json
from hub.trust.statement import KemKeyEntry, KeyStatement, SigningKeyEntry

DAY_MS: Final = 86_400_000
MAX_STATE: Final = 4 * 1024 * 1024
_MAX_KEYS: Final = 4_096


class AgencyStateInvalid(ConfigError):
    """The agency's state file is damaged."""

    code = "agency.state_invalid"


class AgencyChangeInvalid(ConfigError):
    """What was asked of an agency's keys makes no sense now."""

    code = "agency.change_invalid"


class Stage(str, Enum):
    """Where a key is in its life."""

    PLANNED = "planned"
    WAITING = "waiting"
    CURRENT = "current"
    LISTED = "listed"
    REPLACED = "replaced"
    DESTROYED = "destroyed"


class Slot(str, Enum):
    """What a key is for. TLS keys are no keys of the directory, but have the same life."""

    IDENTITY = "identity"
    SIGNING = "signing"
    KEM = "kem"
    TLS = "tls"

    @property
    def use(self) -> KeyUse:
        """The use of its key files. Not for TLS."""
        return KeyUse(self.value)


@dataclass(frozen=True, slots=True)
class OwnKey:
    """One key. ``name`` is its file's, relative to the folder; ``object_id`` that of its half in a token.

    ``site`` is said for another site's key alone.
    """

    slot: Slot
    name: str
    stage: Stage
    not_before_ms: int
    not_after_ms: int
    key_id: str = ""
    object_id: str = ""
    site: str = ""
    revoked_at_ms: int | None = None
    destroyed_at_ms: int | None = None

    @property
    def end_ms(self) -> int:
        """When it ends, by its listing or by its revocation."""
        return self.not_after_ms if self.revoked_at_ms is None else min(self.not_after_ms, self.revoked_at_ms)


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """Days. ``retention``: how long what was sealed to a KEM key is kept readable after the key's end."""

    kem: int = 90
    signing: int = 397
    retention: int = 365


@dataclass(frozen=True, slots=True)
class TokenPlace:
    """Where the Ed25519 halves are made: a PKCS #11 library and the token's label."""

    library: str
    label: str


@dataclass(frozen=True, slots=True)
class AgencyState:
    """All that an agency's folder knows of its keys. ``version`` and ``issued_at_ms`` are the newest statement's."""

    hub: AgencyId
    agency: AgencyId
    name: str
    site: str
    encrypted: bool
    lifetimes: Lifetimes
    token: TokenPlace | None
    version: int
    issued_at_ms: int
    keys: tuple[OwnKey, ...]

    def of(self, slot: Slot, *stages: Stage) -> tuple[OwnKey, ...]:
        """The keys of a slot in these stages (all, without any), the oldest first."""
        return tuple(key for key in self.keys if key.slot is slot and (not stages or key.stage in stages))

    def current(self, slot: Slot) -> OwnKey:
        """The key that is used now. Raises :class:`AgencyChangeInvalid` where there is none."""
        found = self.of(slot, Stage.CURRENT)
        if not found:
            raise AgencyChangeInvalid(f"there is no {slot.value} key", agency=self.agency)
        return found[-1]

    def waiting(self, slot: Slot) -> OwnKey | None:
        """The key that is to take the current one's place; None where none does."""
        found = self.of(slot, Stage.WAITING, Stage.PLANNED)
        return found[-1] if found and found[-1].name == next_name(slot) else None

    def signer(self) -> OwnKey:
        """The identity key that signs statements: the new one as soon as there is one."""
        return self.waiting(Slot.IDENTITY) or self.current(Slot.IDENTITY)


_NAMES: Final = {
    Slot.IDENTITY: ("keys/identity.key", "keys/identity.next.key"),
    Slot.SIGNING: ("keys/signing.key", "keys/signing.next.key"),
    Slot.TLS: ("tls.key", "tls.next.key"),
}


def current_name(slot: Slot) -> str:
    """Where the key in use is. Not for KEM keys, which are many."""
    return _NAMES[slot][0]


def next_name(slot: Slot) -> str:
    """Where the key is that waits for its turn; "" for KEM keys, which wait for nothing."""
    return _NAMES[slot][1] if slot in _NAMES else ""


# --- changes ----------------------------------------------------------------------------------------------------------


def begin(
    *,
    hub: AgencyId,
    agency: AgencyId,
    name: str,
    site: str,
    encrypted: bool,
    lifetimes: Lifetimes,
    token: TokenPlace | None,
    now_ms: int,
    new_object_id: Callable[[], str],
) -> AgencyState:
    """The state of a new agency: one planned key of each kind."""
    state = AgencyState(hub, agency, name, site, encrypted, lifetimes, token, 1, now_ms, ())
    keys = tuple(
        OwnKey(
            slot,
            _kem_name(state) if slot is Slot.KEM else current_name(slot),
            Stage.PLANNED,
            _day(now_ms),
            _end_ms(state, slot, now_ms),
            object_id=new_object_id() if token is not None and slot in (Slot.IDENTITY, Slot.SIGNING) else "",
        )
        for slot in (Slot.IDENTITY, Slot.SIGNING, Slot.KEM, Slot.TLS)
    )
    return replace(state, keys=keys)


def rotate(state: AgencyState, slot: Slot, *, now_ms: int, new_object_id: Callable[[], str]) -> AgencyState:
    """One more key of a slot, planned, and the next statement. The old ones stay as they are (directory 4.1).

    Raises :class:`AgencyChangeInvalid` where one waits already.
    """
    if slot is not Slot.KEM and state.waiting(slot) is not None:
        raise AgencyChangeInvalid(
            f"a new {slot.value} key is waiting already: see it into its place first (--finish)", agency=state.agency
        )
    if slot is Slot.KEM:
        # The current KEM key is the last that has begun: each begins after the one before it (directory 4.4, 4.7).
        begins = max([now_ms, *(key.not_before_ms + 1 for key in state.of(Slot.KEM))])
        name = _kem_name(state)
    else:
        begins, name = now_ms, next_name(slot)
    key = OwnKey(
        slot,
        name,
        Stage.PLANNED,
        begins,
        _end_ms(state, slot, begins),
        object_id=new_object_id() if state.token is not None and slot in (Slot.IDENTITY, Slot.SIGNING) else "",
    )
    changed = replace(state, keys=(*state.keys, key))
    return changed if slot is Slot.TLS else new_statement(changed, now_ms)


def revoke(state: AgencyState, slot: Slot, *, now_ms: int) -> AgencyState:
    """The keys of a slot that were in use so far hold no longer from now on, in the next statement.

    For signing and KEM keys: one that waits, or that was planned just now, is not meant. The caller rotates first.
    """
    if slot not in (Slot.SIGNING, Slot.KEM):
        raise AgencyChangeInvalid(f"no statement revokes {slot.value} keys: the custodians and the operator do")
    used = state.of(slot, Stage.CURRENT)
    keys = tuple(
        replace(key, revoked_at_ms=now_ms) if key in used and key.revoked_at_ms is None else key for key in state.keys
    )
    return replace(state, keys=keys)


def finish(state: AgencyState, slot: Slot, *, now_ms: int) -> AgencyState:
    """The waiting key takes its place; the one that was there is gone. Raises :class:`AgencyChangeInvalid`."""
    waiting = state.waiting(slot)
    if waiting is None or waiting.stage is not Stage.WAITING:
        raise AgencyChangeInvalid(f"no new {slot.value} key is waiting", agency=state.agency)

    def moved(key: OwnKey) -> OwnKey:
        if key is waiting:
            return replace(key, stage=Stage.CURRENT, name=current_name(slot))
        if key.slot is slot and key.stage is Stage.CURRENT:
            return replace(key, stage=Stage.REPLACED, name="", destroyed_at_ms=now_ms)
        return key

    return replace(state, keys=tuple(moved(key) for key in state.keys))


def add_site(state: AgencyState, site: str, key_id: str, *, now_ms: int) -> AgencyState:
    """The signing key of another site of the agency is listed too, in the next statement.

    Raises :class:`AgencyChangeInvalid` where the site is this folder's own, or the key is known already.
    """
    if not site or site == state.site:
        raise AgencyChangeInvalid("another site has another name than this one", site=site)
    if key_id in [key.key_id for key in state.keys]:
        raise AgencyChangeInvalid("this key is known already", key_id=key_id[:16])
    begins = _day(now_ms)
    key = OwnKey(Slot.SIGNING, "", Stage.LISTED, begins, _end_ms(state, Slot.SIGNING, begins), key_id=key_id, site=site)
    return new_statement(replace(state, keys=(*state.keys, key)), now_ms)


def revoke_site(state: AgencyState, site: str, *, now_ms: int) -> AgencyState:
    """What is listed of another site holds no longer from now on. Raises :class:`AgencyChangeInvalid`."""
    gone = [key for key in state.of(Slot.SIGNING, Stage.LISTED) if key.site == site and key.revoked_at_ms is None]
    if not gone:
        raise AgencyChangeInvalid("no key of such a site is listed", site=site)
    keys = tuple(replace(key, revoked_at_ms=now_ms) if key in gone else key for key in state.keys)
    return new_statement(replace(state, keys=keys), now_ms)


def destroyable(state: AgencyState, now_ms: int) -> tuple[OwnKey, ...]:
    """The KEM keys whose retention is over, never the one that partners seal to now."""
    return tuple(key for key in state.of(Slot.KEM, Stage.CURRENT) if retained_until_ms(state, key) <= now_ms)


def retained_until_ms(state: AgencyState, key: OwnKey) -> int:
    """Until when what was sealed to a KEM key is kept readable, and a replaced signing key is listed."""
    return key.end_ms + state.lifetimes.retention * DAY_MS


def destroy(state: AgencyState, keys: Iterable[OwnKey], *, now_ms: int) -> AgencyState:
    """These keys are to be destroyed: nobody can open what was sealed to them. The next statement omits them."""
    gone = set(keys)
    return replace(
        state,
        keys=tuple(
            replace(key, stage=Stage.DESTROYED, destroyed_at_ms=now_ms) if key in gone else key for key in state.keys
        ),
    )


def new_statement(state: AgencyState, now_ms: int) -> AgencyState:
    """The statement is to be signed anew, one version higher."""
    return replace(state, version=state.version + 1, issued_at_ms=max(now_ms, state.issued_at_ms))


def made(state: AgencyState, key: OwnKey, key_id: str) -> AgencyState:
    """A planned key has its file: it waits, or is in use at once where nothing was before it."""
    waits = key.slot is not Slot.KEM and key.name == next_name(key.slot)
    done = replace(key, key_id=key_id, stage=Stage.WAITING if waits else Stage.CURRENT)
    return replace(state, keys=tuple(done if each is key else each for each in state.keys))


def make_statement(state: AgencyState, public: Callable[[OwnKey], VerifyKey | KemPublicKey]) -> KeyStatement:
    """The statement of a state: all signing and KEM keys, past ones too, but for those that are destroyed, and for
    signing keys whose records nobody has to keep any more. ``public`` gives a key's public half.
    """
    signing, kem = [], []
    for key in state.keys:
        if key.slot in (Slot.SIGNING, Slot.KEM) and _listed(state, key):
            found = public(key)
            if isinstance(found, VerifyKey):
                entry = SigningKeyEntry(
                    found, key.not_before_ms, key.not_after_ms, key.revoked_at_ms, key.site or state.site
                )
                signing.append(entry)
            else:
                kem.append(KemKeyEntry(found, key.not_before_ms, key.not_after_ms, key.revoked_at_ms))
    return KeyStatement(state.hub, state.agency, state.version, state.issued_at_ms, tuple(signing), tuple(kem))


def _listed(state: AgencyState, key: OwnKey) -> bool:
    if key.stage in (Stage.REPLACED, Stage.LISTED):
        return retained_until_ms(state, key) > state.issued_at_ms
    return key.stage is not Stage.DESTROYED


def _kem_name(state: AgencyState) -> str:
    return f"keys/kem/kem-{len(state.of(Slot.KEM)) + 1:04d}.key"


def _day(now_ms: int) -> int:
    return now_ms // DAY_MS * DAY_MS


def _end_ms(state: AgencyState, slot: Slot, begins_ms: int) -> int:
    days = {Slot.KEM: state.lifetimes.kem, Slot.SIGNING: state.lifetimes.signing}.get(slot)
    # An identity key ends when the custodians list another, a TLS key with its certificate.
    return 0 if days is None else _day(begins_ms) + (days + 1) * DAY_MS


# --- the file ---------------------------------------------------------------------------------------------------------


class _KeyForm(Strict):
    slot: Slot
    name: Annotated[
        StrictStr, Field(pattern=r"^([A-Za-z0-9][A-Za-z0-9._-]{0,80}(/[A-Za-z0-9][A-Za-z0-9._-]{0,80}){0,3})?$")
    ]
    stage: Stage
    not_before_ms: TimeMs
    not_after_ms: TimeMs
    key_id: Annotated[StrictStr, Field(pattern=r"^([0-9a-f]{64})?$")] = ""
    object_id: Annotated[StrictStr, Field(pattern=r"^([0-9a-f]{2}){0,32}$")] = ""
    site: Annotated[StrictStr, Field(pattern=r"^[a-z0-9-]{0,32}$")] = ""
    revoked_at_ms: TimeMs | None = None
    destroyed_at_ms: TimeMs | None = None


class _LifetimesForm(Strict):
    kem: Annotated[StrictInt, Field(ge=1, le=3660)]
    signing: Annotated[StrictInt, Field(ge=1, le=3660)]
    retention: Annotated[StrictInt, Field(ge=0, le=36_600)]


class _TokenForm(Strict):
    library: StrictStr
    label: StrictStr


class _StateForm(Strict):
    kind: Literal["cgi-hub/v1/agency-state"]
    hub: StrictStr
    agency: StrictStr
    name: StrictStr
    site: StrictStr
    encrypted: StrictBool
    lifetimes: _LifetimesForm
    token: _TokenForm | None
    version: Annotated[StrictInt, Field(ge=1, lt=2**32)]
    issued_at_ms: TimeMs
    keys: Annotated[tuple[_KeyForm, ...], Field(max_length=_MAX_KEYS)]


def encode_state(state: AgencyState) -> bytes:
    """The bytes of the state's file. There is no secret in it."""
    form: dict[str, Any] = {
        "kind": "cgi-hub/v1/agency-state",
        "hub": state.hub,
        "agency": state.agency,
        "name": state.name,
        "site": state.site,
        "encrypted": state.encrypted,
        "lifetimes": {name: getattr(state.lifetimes, name) for name in ("kem", "signing", "retention")},
        "token": None if state.token is None else {"library": state.token.library, "label": state.token.label},
        "version": state.version,
        "issued_at_ms": state.issued_at_ms,
        "keys": [_key_members(key) for key in state.keys],
    }
    return encode_json(form) + b"\n"


def _key_members(key: OwnKey) -> dict[str, Any]:
    told = {name: getattr(key, name) for name in OwnKey.__dataclass_fields__}
    return {name: value for name, value in told.items() if value not in (None, "")} | {"name": key.name}


def parse_state(raw: bytes) -> AgencyState:
    """What :func:`encode_state` wrote. Raises :class:`AgencyStateInvalid`."""
    try:
        form = _StateForm.model_validate(read_strict_json(raw))
    except ValidationError as error:
        raise AgencyStateInvalid(f"not an agency's state: {first_fault(error)}") from error
    except ValueError as error:
        raise AgencyStateInvalid(f"not an agency's state: {error}") from error
    token = None if form.token is None else TokenPlace(form.token.library, form.token.label)
    return AgencyState(
        AgencyId(form.hub),
        AgencyId(form.agency),
        form.name,
        form.site,
        form.encrypted,
        Lifetimes(form.lifetimes.kem, form.lifetimes.signing, form.lifetimes.retention),
        token,
        form.version,
        form.issued_at_ms,
        tuple(OwnKey(**key.model_dump()) for key in form.keys),
    )
