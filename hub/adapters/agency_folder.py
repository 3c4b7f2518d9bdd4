"""An agency's folder: its keys, its state, its newest key statement, its TLS request; and the files that came back.

Every change is stored in ``agency.json`` first and carried out then (:meth:`AgencyFolder.complete`); each step of that
can be done twice. So a command that was killed leaves a folder that the next one completes. One command at a time.

    agency.json                      the state (hub/trust/agency_state.py)
    keys/identity.key  signing.key   and .pub beside each; ``.next.key`` waits until the directory lists it
    keys/kem/kem-0001.key ...        all KEM keys, old ones too
    keys/public/<key id>.pub         of signing keys that are not here: replaced ones, other sites'
    sites/<site>.csr                 what another site asked for; its certificate comes beside it (.pem)
    statement.json                   the newest key statement, signed
    tls.key  tls.csr                 and after enrolment: tls.pem, ca.pem, root.json, site.toml
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from hub.adapters.files import FileUnreadable, read_file, write_file
from hub.adapters.key_files import (
    MAX_KEY_FILE,
    KeyAccess,
    destroy_secret,
    load_kem_key,
    load_kem_public_key,
    load_signing_key,
    load_verify_key,
    public_path,
    write_key_file,
    write_secret,
)
from hub.adapters.tls import encode_tls_key, load_tls_key
from hub.adapters.token import TokenSlot
from hub.adapters.tuf_roles import MAX_ROLE_FILE, SignedRole, encode_signed_role, parse_signed_role, sign_agency_role
from hub.errors import ConfigError
from hub.trust import agency_state
from hub.trust.agency_state import AgencyState, AgencyStateInvalid, OwnKey, Slot, Stage, encode_state, parse_state
from hub.trust.composite import MLDSA_SEED_LENGTH, SigningKey, VerifyKey
from hub.trust.kem import KemPrivateKey, KemPublicKey
from hub.trust.keys import (
    KeyUse,
    describe_key,
    encode_private_key,
    encode_public_key,
    encode_token_key,
    generate_seed,
    read_derivation,
)
from hub.trust.passphrase import FileKey, Passphrase, PassphraseNeeded

STATE: Final = "agency.json"
STATEMENT: Final = "statement.json"
TLS_REQUEST: Final = "tls.csr"
TLS_CERTIFICATE: Final = "tls.pem"
TLS_NEXT_CERTIFICATE: Final = "tls.next.pem"
CA: Final = "ca.pem"
ROOT: Final = "root.json"
SITE: Final = "site.toml"
KEYS: Final = "keys"
KEM: Final = "keys/kem"
PUBLIC: Final = "keys/public"
SITES: Final = "sites"


class AgencyBusy(ConfigError):
    """Another command works on the agency's folder now."""

    code = "agency.busy"


class AgencyMissing(ConfigError):
    """The folder is not one that ``hub agency init`` made."""

    code = "agency.missing"


class AgencyExists(ConfigError):
    """The folder is an agency's already: nothing is overwritten."""

    code = "agency.exists"


@dataclass
class AgencyFolder:
    """The folder of one agency, while a command works on it. Made by :func:`open_agency` and :func:`create_agency`.

    ``access`` opens the keys that are there; ``passphrase`` encrypts new ones; ``slot`` is the token where one is used;
    ``identity`` is where the private identity key is, if not in the folder.
    """

    folder: Path
    state: AgencyState
    access: KeyAccess
    passphrase: Callable[[], Passphrase] | None = None
    slot: TokenSlot | None = None
    identity: Path | None = None
    done: list[str] = field(default_factory=list)
    """What :meth:`complete` did, in words."""

    def change(self, state: AgencyState) -> None:
        """Store ``state``, and carry it out. Raises as :meth:`complete` does."""
        self._save(state)
        self.complete()

    def complete(self) -> None:
        """Carry out what the state says and the folder does not have yet.

        Raises ``FileUnreadable``, ``PassphraseWrong``, ``PassphraseNeeded`` and every other ``ConfigError`` of a key
        file, ``UnavailableError`` where a token is not there. The next call goes on where this one stopped.
        """
        _tidy(self.folder)
        for slot in (Slot.SIGNING, Slot.IDENTITY, Slot.TLS):
            self._see_into_place(slot)
        for key in self.state.keys:
            if key.stage is Stage.PLANNED:
                self._make(key)
            elif key.stage is Stage.DESTROYED and (self.folder / key.name).exists():
                destroy_secret(self.folder / key.name)
                self.done.append(f"destroyed {key.name}")
        self._sign_statement()
        self._request_certificate()

    def statement(self) -> SignedRole | None:
        """The newest signed key statement; None before there is one. Raises ``SignedRoleMalformed``."""
        path = self.folder / STATEMENT
        return parse_signed_role(read_file(path, MAX_ROLE_FILE)) if path.exists() else None

    def public(self, key: OwnKey) -> VerifyKey | KemPublicKey:
        """The public half of a key of the directory. Raises :class:`AgencyStateInvalid`, ``FileUnreadable``."""
        path = public_path(self.folder / key.name)
        if key.stage in (Stage.REPLACED, Stage.LISTED):
            path = self.folder / PUBLIC / f"{key.key_id}.pub"
        found = load_kem_public_key(path) if key.slot is Slot.KEM else load_verify_key(path, key.slot.use)
        key_id = found.kem_id if isinstance(found, KemPublicKey) else found.key_id
        if key_id.hex() != key.key_id:
            raise AgencyStateInvalid("a public key is not the one that the state speaks of", file=path)
        return found

    def identity_public(self) -> VerifyKey:
        """The identity key that signs now. Raises as :meth:`public` does."""
        found = self.public(self.state.signer())
        if not isinstance(found, VerifyKey):
            raise AgencyStateInvalid("the identity key is of another kind", file=self.folder / STATE)
        return found

    def keep_public(self, key: VerifyKey) -> None:
        """Keep the public half of a signing key whose private half is not here."""
        kept = self.folder / PUBLIC / f"{key.key_id.hex()}.pub"
        kept.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_file(kept, encode_public_key(KeyUse.SIGNING, key))

    def requests(self) -> dict[str, str]:
        """The TLS requests of all sites by name, in PEM; "" for an agency with one site that has no name."""
        found = {path.stem: path for path in sorted((self.folder / SITES).glob("*.csr"))}
        found[self.state.site] = self.folder / TLS_REQUEST
        return {site: read_file(path, MAX_KEY_FILE).decode("ascii", "replace") for site, path in found.items()}

    # --- the steps ----------------------------------------------------------------------------------------------------

    def _save(self, state: AgencyState) -> None:
        write_file(self.folder / STATE, encode_state(state))
        self.state = state

    def _make(self, key: OwnKey) -> None:
        path = self.folder / key.name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if key.slot is Slot.TLS:
            key_id = self._make_tls(path)
        elif key.slot is Slot.KEM:
            key_id = self._make_kem(path)
        else:
            key_id = self._make_signing(path, key)
        self._save(agency_state.made(self.state, key, key_id))
        self.done.append(f"made {key.name}")

    def _make_tls(self, path: Path) -> str:
        if not path.exists():
            write_secret(path, encode_tls_key(ec.generate_private_key(ec.SECP256R1()), self._file_key()))
        return _tls_id(load_tls_key(path, self.access.passphrase).public_key())

    def _make_kem(self, path: Path) -> str:
        if path.exists():
            public = load_kem_key(path, self.access).public
            write_file(public_path(path), encode_public_key(KeyUse.KEM, public))
        else:
            seed = generate_seed(KeyUse.KEM)
            public = KemPrivateKey(seed).public
            write_key_file(path, KeyUse.KEM, encode_private_key(KeyUse.KEM, seed, self._file_key()), public)
        return public.kem_id.hex()

    def _make_signing(self, path: Path, key: OwnKey) -> str:
        use = key.slot.use
        if path.exists():
            public = load_signing_key(path, use, self.access).public
            write_file(public_path(path), encode_public_key(use, public))
            return public.key_id.hex()
        seed, file_key = generate_seed(use), self._file_key()
        if self.state.token is None:
            public = SigningKey(seed).public
            write_key_file(path, use, encode_private_key(use, seed, file_key), public)
            return public.key_id.hex()
        if self.slot is None or file_key is None:
            raise PassphraseNeeded("a key with a half in a token needs the token, and a passphrase for the other half")
        label = f"cgi-hub {self.state.agency} {use.value}"
        half = self.slot.make(self.state.token.label, bytes.fromhex(key.object_id), label)
        mldsa = seed[:MLDSA_SEED_LENGTH]
        public = SigningKey.of_halves(mldsa, self.slot.open(half)).public
        write_key_file(path, use, encode_token_key(use, mldsa, half, file_key), public)
        return public.key_id.hex()

    def _file_key(self) -> FileKey | None:
        """With the salt of the keys that are there, whose passphrase it must be: a mistyped one makes no key."""
        paths = sorted((self.folder / KEYS).rglob("*.key"))
        derivations = [d for path in paths if (d := read_derivation(read_file(path, MAX_KEY_FILE))) is not None]
        if not self.state.encrypted and not derivations:
            return None
        if self.passphrase is None:
            raise PassphraseNeeded("this agency's keys are encrypted: a new one needs the passphrase too")
        passphrase = self.passphrase()
        if derivations:
            passphrase.key(derivations[0])
        return passphrase.new_key()

    def _see_into_place(self, slot: Slot) -> None:
        """Where the state says that the waiting key is the current one, and its file still waits: move it."""
        waiting, current = (self.folder / name(slot) for name in (agency_state.next_name, agency_state.current_name))
        if self.state.waiting(slot) is not None or not waiting.exists():
            return
        if slot is Slot.TLS:
            self._move(TLS_NEXT_CERTIFICATE, TLS_CERTIFICATE)
        else:
            self._keep_public_of_replaced(slot, current)
            self._forget_half(current)
            if public_path(waiting).exists():
                public_path(waiting).replace(public_path(current))
        waiting.replace(current)  # the last: that it waits no longer says that all of it is done
        self.done.append(f"{waiting.name} is {current.name} now")

    def _move(self, source: str, target: str) -> None:
        if (self.folder / source).exists():
            (self.folder / source).replace(self.folder / target)

    def _keep_public_of_replaced(self, slot: Slot, current: Path) -> None:
        old = load_verify_key(public_path(current), slot.use)
        if old.key_id.hex() in [key.key_id for key in self.state.of(slot, Stage.REPLACED)]:
            self.keep_public(old)

    def _forget_half(self, current: Path) -> None:
        """The half in the token of the key that is replaced is of no use any more."""
        if current.exists() and self.slot is not None:
            half = describe_key(read_file(current, MAX_KEY_FILE)).token
            if half is not None:
                self.slot.destroy(half)

    def _sign_statement(self) -> None:
        signer = self.identity_public()
        found = self.statement()
        if found is not None and found.version == self.state.version and found.signed_by([signer]):
            return
        path = self.identity or self.folder / self.state.signer().name
        identity = load_signing_key(path, KeyUse.IDENTITY, self.access)
        if identity.public != signer:
            raise AgencyStateInvalid("this is another identity key than the agency's", file=path)
        role = sign_agency_role(agency_state.make_statement(self.state, self.public), identity)
        write_file(self.folder / STATEMENT, encode_signed_role(role))
        self.done.append(f"signed key statement {self.state.version}")

    def _request_certificate(self) -> None:
        key = self.state.waiting(Slot.TLS) or self.state.current(Slot.TLS)
        path = self.folder / TLS_REQUEST
        if path.exists():
            with suppress(ValueError):
                if _tls_id(x509.load_pem_x509_csr(read_file(path, MAX_KEY_FILE)).public_key()) == key.key_id:
                    return
        private = load_tls_key(self.folder / key.name, self.access.passphrase)
        if not isinstance(private, ec.EllipticCurvePrivateKey):
            raise AgencyStateInvalid("the TLS key is of another kind than those made here", file=self.folder / key.name)
        request = x509.CertificateSigningRequestBuilder().subject_name(self._subject()).sign(private, hashes.SHA256())
        write_file(path, request.public_bytes(Encoding.PEM))
        self.done.append(f"wrote {TLS_REQUEST}")

    def _subject(self) -> x509.Name:
        agency, site = self.state.agency, self.state.site
        common = f"{agency}.{site}" if site else agency
        return x509.Name(
            [x509.NameAttribute(NameOID.ORGANIZATION_NAME, agency), x509.NameAttribute(NameOID.COMMON_NAME, common)]
        )


# --- making and opening -----------------------------------------------------------------------------------------------


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """One command at a time on a folder. Raises :class:`AgencyBusy`, ``FileUnreadable``."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise FileUnreadable(f"cannot open the folder: {error.strerror}", file=folder) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise AgencyBusy("another command works on this agency's folder", folder=folder) from error
    finally:
        os.close(descriptor)


def load_state(folder: Path) -> AgencyState:
    """The state of an agency's folder. Raises :class:`AgencyMissing`, ``AgencyStateInvalid``."""
    path = folder / STATE
    if not path.exists():
        raise AgencyMissing("not an agency's folder: `hub agency init` makes one", folder=folder)
    return parse_state(read_file(path, agency_state.MAX_STATE))


def make_folder(folder: Path) -> None:
    """Make the folder of a new agency, if it is not there. Raises ``FileUnreadable``."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise FileUnreadable(f"cannot make the folder: {error.strerror}", file=folder) from error


def check_free(folder: Path) -> None:
    """That nothing of an agency is in a folder yet: to be asked under its lock. Raises :class:`AgencyExists`."""
    in_the_way = [name for name in (STATE, KEYS, "tls.key", STATEMENT) if (folder / name).exists()]
    if in_the_way:
        raise AgencyExists(f"the folder has {', '.join(in_the_way)} already; nothing is overwritten", folder=folder)


def new_object_id() -> str:
    """A random name for a half in a token."""
    return os.urandom(8).hex()


def _tls_id(key: object) -> str:
    raw: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined]
    return hashlib.sha256(raw).hexdigest()


def _tidy(folder: Path) -> None:
    """What a killed command left half written. Where it is the second name of a whole key, that key stays as it is."""
    for place in (folder, folder / KEYS, folder / KEM, folder / PUBLIC):
        for path in place.glob(".*.tmp"):
            if path.stat().st_nlink > 1:
                path.unlink()
            else:
                destroy_secret(path)
