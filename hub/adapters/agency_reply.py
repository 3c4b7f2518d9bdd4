"""What comes back from the operator: checked against what the agency asked for, and installed in its folder."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from hub.adapters.agency_folder import CA, ROOT, SITE, SITES, TLS_CERTIFICATE, TLS_NEXT_CERTIFICATE, AgencyFolder
from hub.adapters.enrolment import Reply
from hub.adapters.files import read_file, write_file
from hub.adapters.tuf_reader import MAX_ROOT, parse_root
from hub.errors import RejectedError
from hub.model import AgencyId
from hub.trust.agency_state import AgencyState, Slot, Stage, finish
from hub.trust.root import Root

_SITE_FORM: Final = """\
# The site of {agency} ({name}). docs/guides/operate.md says what each setting means.
agency = {agency_text}
hub = {hub_text}
state = "state"
# release = "release.yaml"             # to publish: with a [[source]]
# subscription = "subscription.yaml"   # to receive: with a [[sink]]

[kafka]
bootstrap = {bootstrap_text}
ca = "ca.pem"
certificate = "tls.pem"
key = "tls.key"

[keys]
signing = "keys/signing.key"
kem = "keys/kem"
{access}
[directory]
root = "root.json"                     # from the topic hub.directory

# [[source]]
# kind = "folder"

# [[sink]]
# kind = "jsonl"
"""


class ReplyRefused(RejectedError):
    """The reply to an enrolment is another agency's, or brings a certificate or a root that does not fit."""

    code = "enrolment.reply_refused"


def check_reply(state: AgencyState, reply: Reply, *, now: datetime | None = None) -> Root:
    """The root in a reply, after everything that can be checked by itself. The root's and the CA's fingerprints are to
    be compared by a person. Raises :class:`ReplyRefused`, ``RootInvalid``."""
    if (reply.hub, reply.agency) != (state.hub, state.agency):
        raise ReplyRefused("the reply is for another agency or hub", agency=reply.agency, hub=reply.hub)
    root = parse_root(reply.root)
    if root.hub != state.hub:
        raise ReplyRefused("the root is another hub's", hub=root.hub)
    text = reply.certificates.get(state.site)
    if text is None:
        raise ReplyRefused("the reply has no certificate for this site", site=state.site or "(none)")
    try:
        chain = x509.load_pem_x509_certificates(text.encode())
        authorities = x509.load_pem_x509_certificates(reply.ca.encode())
    except ValueError:
        raise ReplyRefused("the certificates in the reply are not in PEM") from None
    own = chain[0]
    key = state.waiting(Slot.TLS) or state.current(Slot.TLS)
    spki = own.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if hashlib.sha256(spki).hexdigest() != key.key_id:
        raise ReplyRefused("the certificate is for another key than the one that waits for it")
    names = {attribute.oid: attribute.value for attribute in own.subject}
    common = f"{state.agency}.{state.site}" if state.site else state.agency
    if names != {NameOID.ORGANIZATION_NAME: state.agency, NameOID.COMMON_NAME: common}:
        raise ReplyRefused("the certificate names another agency or site", subject=own.subject.rfc4514_string())
    if own.not_valid_after_utc <= (now or datetime.now(UTC)):
        raise ReplyRefused("the certificate has expired", ended=own.not_valid_after_utc.isoformat())
    _check_chain(chain, authorities)
    return root


def install_reply(agency: AgencyFolder, reply: Reply, *, now_ms: int, passphrase_file: Path | None) -> list[str]:
    """Put what a checked reply brought into the folder; gives the names of what was written.

    ``site.toml`` is written once and then the agency's own. Raises :class:`ReplyRefused` where another root is pinned.
    """
    folder, state = agency.folder, agency.state
    pinned = folder / ROOT
    if pinned.exists():
        kept, told = parse_root(read_file(pinned, MAX_ROOT)), parse_root(reply.root)
        if kept.version >= told.version and kept != told:
            raise ReplyRefused("another root is pinned here; remove it by hand if you know why", file=pinned)
    waiting = state.waiting(Slot.TLS)
    written = {
        ROOT: reply.root,
        CA: reply.ca.encode(),
        TLS_CERTIFICATE if waiting is None else TLS_NEXT_CERTIFICATE: reply.certificates[state.site].encode(),
    }
    for site, text in reply.certificates.items():
        if site != state.site and (folder / SITES / f"{site}.csr").exists():
            written[f"{SITES}/{site}.pem"] = text.encode()
    if not (folder / SITE).exists():
        written[SITE] = _site(state, reply, passphrase_file).encode()
    for name, raw in written.items():
        write_file(folder / name, raw)
    if waiting is not None and waiting.stage is Stage.WAITING:
        agency.change(finish(state, Slot.TLS, now_ms=now_ms))
    return [TLS_CERTIFICATE if name == TLS_NEXT_CERTIFICATE else name for name in written]


def _check_chain(chain: list[x509.Certificate], authorities: list[x509.Certificate]) -> None:
    """Each certificate is issued by the next, and the last by one that is to be trusted."""
    for certificate, issuer in zip(chain, [*chain[1:], None], strict=True):
        for candidate in authorities if issuer is None else [issuer]:
            try:
                certificate.verify_directly_issued_by(candidate)
                break
            except (ValueError, TypeError, InvalidSignature):
                continue
        else:
            raise ReplyRefused("the certificate is not issued by the CA that came with it")


def _site(state: AgencyState, reply: Reply, passphrase_file: Path | None) -> str:
    access = []
    if state.encrypted:
        if passphrase_file is None:
            access.append("# passphrase_file = ...               # or the credential cgi-hub.passphrase")
        else:
            access.append(f"passphrase_file = {_text(str(passphrase_file.resolve()))}")
    if state.token is not None:
        access.append(f"token_library = {_text(state.token.library)}")
        access.append("# token_pin_file = ...                # or the credential cgi-hub.pin")
    return _SITE_FORM.format(
        agency=state.agency,
        name=" ".join(state.name.split()),
        agency_text=_text(state.agency),
        hub_text=_text(state.hub),
        bootstrap_text=_text(reply.bootstrap),
        access="".join(f"{line}\n" for line in access),
    )


def _text(value: str | AgencyId) -> str:
    return json.dumps(value)  # a basic string of TOML, for what stands here
