"""Our composite keys for python-tuf: a ``Key`` that verifies and a ``Signer``, both over hub/trust/composite.py.

The library does not bind a key's id to the key, so one key could stand under two ids and meet a threshold of two alone.
Here the id is the key's own (``VerifyKey.key_id``), checked whenever a key is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from securesystemslib.exceptions import UnverifiedSignatureError
from securesystemslib.signer import KEY_FOR_TYPE_AND_SCHEME, Key, SecretsHandler, Signature, Signer

from hub.errors import InvariantError
from hub.trust.composite import KeyMalformed, SignatureInvalid, SigningKey, VerifyKey
from hub.trust.directory import DIRECTORY_CONTEXT
from hub.trust.signed_json import encode_base64, from_base64

KEY_TYPE: Final = "composite"
SCHEME: Final = "mldsa65-ed25519-sha512"


class CompositeKey(Key):
    """A composite public key in TUF metadata. ``verify_key`` is the key itself."""

    def __init__(self, verify_key: VerifyKey) -> None:
        super().__init__(verify_key.key_id.hex(), KEY_TYPE, SCHEME, {"public": encode_base64(verify_key.raw)}, None)
        self.verify_key = verify_key

    @classmethod
    def from_dict(cls, keyid: str, key_dict: dict[str, Any]) -> CompositeKey:
        """Raises ``ValueError`` for another form, and for an id that is not the key's own."""
        _, _, keyval = cls._from_dict(key_dict)  # the library looked for type and scheme: see register
        if key_dict or keyval.keys() != {"public"}:
            raise ValueError("not a composite key")
        try:
            key = cls(VerifyKey(from_base64(keyval["public"])))
        except KeyMalformed as error:
            raise ValueError(error.message) from error
        if key.keyid != keyid:
            raise ValueError("a key stands under an id that is not its own")
        return key

    def to_dict(self) -> dict[str, Any]:
        return self._to_dict()

    def __deepcopy__(self, memo: dict[int, Any]) -> CompositeKey:
        return self  # immutable, and its halves live in a library that copies nothing

    def verify_signature(self, signature: Signature, data: bytes) -> None:
        try:
            self.verify_key.verify(DIRECTORY_CONTEXT, data, bytes.fromhex(signature.signature))
        except (SignatureInvalid, ValueError, TypeError) as error:  # whatever stands there: text or not
            raise UnverifiedSignatureError("the composite signature does not verify") from error


class CompositeSigner(Signer):
    """Signs TUF metadata with a composite private key."""

    def __init__(self, key: SigningKey) -> None:
        self._key = key
        self._public = CompositeKey(key.public)

    @property
    def public_key(self) -> CompositeKey:
        return self._public

    @classmethod
    def from_priv_key_uri(
        cls, priv_key_uri: str, public_key: Key, secrets_handler: SecretsHandler | None = None
    ) -> CompositeSigner:
        raise InvariantError("composite signers are made from key files, not from URIs")

    def sign(self, payload: bytes) -> Signature:
        return Signature(self._public.keyid, self._key.sign(DIRECTORY_CONTEXT, payload).hex())


def verify_keys(keys: Mapping[str, Key]) -> dict[str, VerifyKey]:
    """The keys of a role by id. Raises ``ValueError`` where one is of another kind than ours."""
    found: dict[str, VerifyKey] = {}
    for keyid, key in keys.items():
        if not isinstance(key, CompositeKey):
            raise ValueError("a key that is not a composite one")  # noqa: TRY004 - what arrived is wrong
        found[keyid] = key.verify_key
    return found


def register() -> None:
    """Make python-tuf read composite keys, and no others. Called once, when this module is imported."""
    KEY_FOR_TYPE_AND_SCHEME.clear()
    KEY_FOR_TYPE_AND_SCHEME[KEY_TYPE, SCHEME] = CompositeKey


register()
