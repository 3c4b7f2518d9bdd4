"""A PKCS #11 token (a smart card, an HSM) that holds the Ed25519 half of a composite key and never gives it away.

The library ``python-pkcs11`` is the extra ``token``; the token's own library is a setting, because a key file must not
say what code is loaded. A PIN that was refused is not tried again by this process: each try counts, and the last one
locks the token. docs/adr/0086.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import quote_from_bytes, unquote_to_bytes

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from hub.errors import ConfigError, HubError, UnavailableError
from hub.trust.keys import TokenHalf

if TYPE_CHECKING:
    import pkcs11
    from pkcs11._pkcs11 import lib as Library  # noqa: N812  a class with a function's name

_ED25519: Final = bytes.fromhex("06032b6570")
"""CKA_EC_PARAMS of the curve: the object identifier 1.3.101.112 in DER (RFC 8410 3)."""
_OCTETS_OF_32: Final = b"\x04\x20"


class TokenLibraryInvalid(ConfigError):
    """The library that speaks to the token is not there, or is no such library."""

    code = "token.library_invalid"


class TokenAbsent(UnavailableError):
    """The token is not in its reader, or does not answer."""

    code = "token.absent"


class TokenPinRefused(ConfigError):
    """The token's PIN is wrong, locked or expired; or it is wrong once more and the token locks."""

    code = "token.pin_refused"


class TokenKeyMissing(ConfigError):
    """The token does not hold the key that the file speaks of."""

    code = "token.key_missing"


class TokenUnsupported(ConfigError):
    """The token cannot make or use Ed25519 keys."""

    code = "token.unsupported"


_T = TypeVar("_T")


class TokenSlot:
    """The tokens behind one library. One for a process; its calls are serialised.

    ``pin`` gives the user's PIN when a token is first opened.
    """

    def __init__(self, library: Path, pin: Callable[[], str]) -> None:
        self._path = library
        self._pin = pin
        self._lock = threading.RLock()
        self._library: Library | None = None
        self._sessions: dict[str, pkcs11.Session] = {}
        self._keys: dict[str, Any] = {}
        self._refused: dict[str, TokenPinRefused] = {}

    def open(self, half: TokenHalf) -> TokenSigner:
        """The half of a key that is in a token. Raises every error of this module."""
        with self._lock:
            self._again(lambda: self._key(half))
        return TokenSigner(self, half)

    def make(self, token: str, object_id: bytes, label: str) -> TokenHalf:
        """Make a half in the token called ``token``, under a random ``object_id``, or find the one that is there.

        Raises every error of this module.
        """
        uri = _encode_uri({"token": token.encode(), "id": object_id, "object": label.encode(), "type": b"private"})
        with self._lock:
            return self._again(lambda: self._make(uri, object_id, label))

    def destroy(self, half: TokenHalf) -> None:
        """Remove a half from its token; nothing where it is gone. Raises every error of this module."""
        from pkcs11 import Attribute

        with self._lock:
            session = self._session(half.uri, write=True)
            with _explained(half.uri):
                for each in session.get_objects({Attribute.ID: _decode_uri(half.uri).get("id", b"")}):
                    each.destroy()
            self._keys.pop(half.uri, None)

    def sign(self, half: TokenHalf, message: bytes) -> bytes:
        """An Ed25519 signature by a half, verified. Raises every error of this module."""
        from pkcs11 import Mechanism

        with self._lock:
            signature: bytes = self._again(lambda: self._key(half).sign(message, mechanism=Mechanism.EDDSA))
        try:
            Ed25519PublicKey.from_public_bytes(half.public).verify(signature, message)
        except InvalidSignature:
            raise TokenKeyMissing("the token signs with another key than the file's", token=half.uri) from None
        return signature

    # --- under the lock -----------------------------------------------------------------------------------------------

    def _again(self, work: Callable[[], _T]) -> _T:
        """``work``; once more with a new session where the token had been pulled and is back."""
        from pkcs11.exceptions import PKCS11Error

        try:
            return work()
        except HubError as error:
            if not isinstance(error, TokenAbsent):
                raise
        except PKCS11Error:
            pass
        self._forget()
        with _explained(str(self._path)):
            return work()

    def _forget(self) -> None:
        """Every session is over, the library looks for its tokens anew."""
        from pkcs11.exceptions import PKCS11Error

        self._sessions.clear()
        self._keys.clear()
        try:
            if self._library is not None:
                self._library.reinitialize()
        except PKCS11Error:
            self._library = None

    def _load(self) -> Library:
        if self._library is None:
            try:
                import pkcs11
            except ImportError as error:
                raise TokenLibraryInvalid("keys in tokens need the extra: pip install 'cgi-hub[token]'") from error
            try:
                self._library = pkcs11.lib(str(self._path))
            except (pkcs11.exceptions.PKCS11Error, RuntimeError) as error:
                raise TokenLibraryInvalid("not a PKCS #11 library that can be loaded", library=self._path) from error
        return self._library

    def _session(self, uri: str, *, write: bool = False) -> pkcs11.Session:
        named = _decode_uri(uri)
        token_uri = _encode_uri({name: named[name] for name in ("token", "serial") if name in named})
        known = self._sessions.get(token_uri)
        if known is not None and not write:
            return known
        if known is not None:
            known.close()
            del self._sessions[token_uri]
            self._keys.clear()
        if token_uri in self._refused:
            raise self._refused[token_uri]
        library = self._load()
        import pkcs11

        wanted: dict[str, Any] = {"token_label": named["token"].decode("utf-8", "replace")}
        if "serial" in named:
            wanted["token_serial"] = named["serial"]
        try:
            token = library.get_token(**wanted)
        except pkcs11.exceptions.NoSuchToken as error:
            raise TokenAbsent("the token is not there", token=token_uri) from error
        except pkcs11.exceptions.MultipleTokensReturned as error:
            raise TokenKeyMissing("several tokens have this label", token=token_uri) from error
        self._sessions[token_uri] = session = self._log_in(token, token_uri, write=write)
        return session

    def _log_in(self, token: pkcs11.Token, token_uri: str, *, write: bool) -> pkcs11.Session:
        import pkcs11

        if token.flags & pkcs11.TokenFlag.USER_PIN_LOCKED:
            raise self._refuse(token_uri, "the token's PIN is locked: its security officer unlocks it")
        if token.flags & pkcs11.TokenFlag.USER_PIN_FINAL_TRY:
            raise self._refuse(token_uri, "one more wrong PIN locks the token: log in once by hand, with its own tool")
        try:
            return token.open(rw=write, user_pin=self._pin())
        except pkcs11.exceptions.UserAlreadyLoggedIn:
            return token.open(rw=write)  # a login is the whole process's
        except pkcs11.exceptions.PinLocked:
            raise self._refuse(token_uri, "the token's PIN is locked: its security officer unlocks it") from None
        except pkcs11.exceptions.PinExpired:
            raise self._refuse(token_uri, "the token's PIN has expired: set a new one with its own tool") from None
        except (pkcs11.exceptions.PinIncorrect, pkcs11.exceptions.PinInvalid, pkcs11.exceptions.PinLenRange):
            raise self._refuse(token_uri, "the token's PIN is wrong; it is not tried again until a restart") from None

    def _refuse(self, token_uri: str, message: str) -> TokenPinRefused:
        self._refused[token_uri] = TokenPinRefused(message, token=token_uri)
        return self._refused[token_uri]

    def _key(self, half: TokenHalf) -> Any:
        known = self._keys.get(half.uri)
        if known is None:
            session = self._session(half.uri)
            with _explained(half.uri):
                object_id = _decode_uri(half.uri).get("id", b"")
                if _public(session, object_id) != half.public:
                    raise TokenKeyMissing("the token holds no such key, or another one under its id", token=half.uri)
                known = self._keys[half.uri] = _private(session, object_id)
        return known

    def _make(self, uri: str, object_id: bytes, label: str) -> TokenHalf:
        import pkcs11
        from pkcs11 import Attribute, KeyType, Mechanism

        session = self._session(uri, write=True)
        with _explained(uri):
            try:
                public = _public(session, object_id)
            except pkcs11.exceptions.NoSuchKey:
                parameters = session.create_domain_parameters(
                    KeyType.EC_EDWARDS, {Attribute.EC_PARAMS: _ED25519}, local=True
                )
                parameters.generate_keypair(
                    store=True,
                    id=object_id,
                    label=label,
                    mechanism=Mechanism.EC_EDWARDS_KEY_PAIR_GEN,
                    private_template={Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False},
                )
                public = _public(session, object_id)
            kept = _private(session, object_id)
            if kept[Attribute.EXTRACTABLE] or not kept[Attribute.SENSITIVE]:
                raise TokenUnsupported("the token would give the key away", token=uri)
            serial = bytes(session.token.serial)
        named = _decode_uri(uri)
        return TokenHalf(_encode_uri({"token": named["token"], "serial": serial, **named}), public)


class TokenSigner:
    """The Ed25519 half of one key: an ``Ed25519Signer`` for ``SigningKey.of_halves``."""

    __slots__ = ("_half", "_slot")

    def __init__(self, slot: TokenSlot, half: TokenHalf) -> None:
        self._slot = slot
        self._half = half

    @property
    def public(self) -> bytes:
        """The 32 bytes of the public half."""
        return self._half.public

    def sign(self, message: bytes) -> bytes:
        """64 bytes, verified. Raises every error of this module."""
        return self._slot.sign(self._half, message)


def _private(session: pkcs11.Session, object_id: bytes) -> Any:
    from pkcs11 import KeyType, ObjectClass

    return session.get_key(object_class=ObjectClass.PRIVATE_KEY, key_type=KeyType.EC_EDWARDS, id=object_id)


def _public(session: pkcs11.Session, object_id: bytes) -> bytes:
    from pkcs11 import Attribute, KeyType, ObjectClass

    found: Any = session.get_key(object_class=ObjectClass.PUBLIC_KEY, key_type=KeyType.EC_EDWARDS, id=object_id)
    point = bytes(found[Attribute.EC_POINT])
    # PKCS #11 3.0 wants it in a DER OCTET STRING; some tokens give the bytes alone.
    return point[2:] if len(point) == 34 and point.startswith(_OCTETS_OF_32) else point


@contextmanager
def _explained(where: str) -> Iterator[None]:
    """The library's errors, whose names are all that they say, as ours."""
    from pkcs11 import exceptions

    try:
        yield
    except (exceptions.NoSuchKey, exceptions.MultipleObjectsReturned) as error:
        raise TokenKeyMissing("the token holds no such key", token=where) from error
    except (
        exceptions.MechanismInvalid,
        exceptions.MechanismParamInvalid,
        exceptions.DomainParamsInvalid,
        exceptions.TemplateInconsistent,
        exceptions.AttributeValueInvalid,
        exceptions.TokenWriteProtected,
    ) as error:
        reason = type(error).__name__
        raise TokenUnsupported("the token does not make or use such keys", token=where, reason=reason) from error
    except exceptions.PKCS11Error as error:
        raise TokenAbsent("the token does not answer", token=where, reason=type(error).__name__) from error


def _encode_uri(named: dict[str, bytes]) -> str:
    return "pkcs11:" + ";".join(f"{name}={quote_from_bytes(value, safe='')}" for name, value in named.items())


def _decode_uri(uri: str) -> dict[str, bytes]:
    """The attributes of a URI (RFC 7512 2.3). Raises :class:`TokenKeyMissing` where it names no token."""
    named = {}
    for attribute in uri.removeprefix("pkcs11:").split(";"):
        name, equals, value = attribute.partition("=")
        if equals:
            named[name] = unquote_to_bytes(value)
    if "token" not in named:
        raise TokenKeyMissing("the key file's URI names no token", token=uri)
    return named
