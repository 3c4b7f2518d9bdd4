"""What a custodian is asked to sign, held against what a custodian is shown: no more, no less, and in whose name.

docs/spec/directory.md, section 8. What is signed may have come on a stick through other hands: of a part that is shown
in words, every member that the words do not tell is refused here.
"""

from __future__ import annotations

from collections.abc import Iterable

from securesystemslib.exceptions import UnverifiedSignatureError
from securesystemslib.signer import Signature
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, Targets
from tuf.api.metadata import Root as TufRoot

from hub.adapters.tuf_keys import CompositeKey
from hub.adapters.tuf_metadata import RepositoryInvalid
from hub.adapters.tuf_reader import CUSTODIANS_FIELD, HUB_FIELD, INDEX
from hub.trust.composite import VerifyKey


def check_index(targets: Targets, index: bytes) -> None:
    """That ``index`` is the one whose hash the targets list. Raises :class:`RepositoryInvalid`."""
    try:
        targets.targets[INDEX].verify_length_and_hashes(index)
    except RepositoryError as error:
        raise RepositoryInvalid("the index is another one than the targets sign") from error


def check_root(root: TufRoot, version: int) -> None:
    """That a staged root is the next one, and has no member of its own. Raises :class:`RepositoryInvalid`."""
    _check_version("root", root.version, version)
    more = [root.unrecognized_fields.keys() - {HUB_FIELD, CUSTODIANS_FIELD}]
    _check_members("root", [*more, *(role.unrecognized_fields for role in root.roles.values())])
    names = root.unrecognized_fields.get(CUSTODIANS_FIELD)
    told = [str(name) for name in names.values()] if isinstance(names, dict) else []
    for name in told:
        check_name(name, part="root")
    if len(set(told)) != len(told):
        raise RepositoryInvalid("two custodians have one name: whose key is whose could not be shown", part="root")


def check_targets(targets: Targets, version: int) -> None:
    """That staged targets are the next ones, list the index alone, and have no member of their own.

    Raises :class:`RepositoryInvalid`.
    """
    _check_version("targets", targets.version, version)
    if targets.targets.keys() != {INDEX}:
        raise RepositoryInvalid("the targets list something else than the index", part="targets")
    more = [targets.unrecognized_fields, targets.targets[INDEX].unrecognized_fields]
    if targets.delegations is not None:
        roles = (targets.delegations.roles or {}).values()
        more += [targets.delegations.unrecognized_fields, *(role.unrecognized_fields for role in roles)]
    _check_members("targets", more)


def check_name(name: str, **where: object) -> None:
    """That a name for people is one line of printable characters: what is shown beside it stands where it seems to.

    Raises :class:`RepositoryInvalid`.
    """
    if not 1 <= len(name) <= 200 or not name.isprintable() or name != name.strip():
        raise RepositoryInvalid("a name is not one line of 1 to 200 printable characters", **where)


def signatures_of(metadata: Metadata[TufRoot] | Metadata[Targets], keys: Iterable[VerifyKey]) -> dict[str, Signature]:
    """The signatures of ``keys`` that verify, by key id; whatever else stands there is left out."""
    found = {}
    for key in map(CompositeKey, keys):
        signature = metadata.signatures.get(key.keyid)
        if signature is None:
            continue
        try:
            key.verify_signature(signature, metadata.signed_bytes)
        except UnverifiedSignatureError:
            continue
        found[key.keyid] = signature
    return found


def _check_version(part: str, found: int, wanted: int) -> None:
    if found != wanted:
        raise RepositoryInvalid("what is staged is not the next version", part=part, version=found, next=wanted)


def _check_members(part: str, found: Iterable[Iterable[str]]) -> None:
    names = sorted(name for members in found for name in members)
    if names:
        shown = "".join(c if c.isascii() and c.isprintable() else "?" for c in names[0])[:64]
        raise RepositoryInvalid("what is staged says something that is not shown", part=part, member=shown)
