"""hub/adapters/tuf_staged.py: a custodian signs what is shown, whatever the hands did through which it came."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from securesystemslib.signer import Signature
from tuf.api.metadata import Metadata, Targets
from tuf.api.metadata import Root as TufRoot

from hub.adapters.tuf_metadata import RepositoryInvalid
from hub.adapters.tuf_reader import CUSTODIANS_FIELD, INDEX
from hub.adapters.tuf_repository import Repository
from hub.errors import HubError
from hub.model import AgencyId
from hub.trust.composite import SIGNATURE_LENGTH
from hub.trust.index import encode_index
from tests.support.authority import NOW_MS, World, signing_key

ATF, JCF = AgencyId("ATF"), AgencyId("JCF")


@pytest.fixture
def world() -> World:
    world = World.of("ATF", "JCF")
    world.agree("JCF", "ATF", "trace.request", agreement_id="MOU-1")
    world.publish()
    world.repository.change_root(now_ms=NOW_MS)
    world.repository.set_active(ATF, False)
    return world


def in_targets(change: Callable[[Targets], object]) -> Callable[[Repository], None]:
    def tamper(repository: Repository) -> None:
        targets = Metadata[Targets].from_bytes(repository.staged["targets"])
        change(targets.signed)
        repository.staged["targets"] = targets.to_bytes()

    return tamper


def in_root(change: Callable[[TufRoot], object]) -> Callable[[Repository], None]:
    def tamper(repository: Repository) -> None:
        root = Metadata[TufRoot].from_bytes(repository.staged["root"])
        change(root.signed)
        repository.staged["root"] = root.to_bytes()

    return tamper


def other_index(repository: Repository) -> None:
    """What is shown says that ATF is active; what is signed, that it is suspended."""
    index = repository.index()
    agencies = tuple(replace(listed, active=True) for listed in index.agencies)
    repository.staged["index"] = encode_index(replace(index, agencies=agencies))


def another_role(repository: Repository) -> None:
    role = repository.files["metadata/1.agency.JCF.json"]
    assert role
    found = repository.role("agency.JCF")
    assert found is not None
    from hub.adapters.tuf_roles import encode_signed_role

    repository.staged["agency.ATF"] = encode_signed_role(found)


def first_role(targets: Targets) -> dict[str, object]:
    assert targets.delegations is not None
    assert targets.delegations.roles is not None
    return next(iter(targets.delegations.roles.values())).unrecognized_fields


def called(name: str) -> Callable[[Repository], None]:
    def tamper(repository: Repository) -> None:
        index = repository.index()
        agencies = (replace(index.agencies[0], name=name), *index.agencies[1:])
        repository._stage_targets(repository.targets().signed, replace(index, agencies=agencies))

    return tamper


TAMPERED: dict[str, Callable[[Repository], None]] = {
    "another index": other_index,
    "no index": lambda repository: repository.staged.update(index=b""),
    "a role under another's name": another_role,
    "targets: a version far ahead": in_targets(lambda targets: setattr(targets, "version", 4_000_000_000)),
    "targets: an older version": in_targets(lambda targets: setattr(targets, "version", 1)),
    "targets: a member": in_targets(lambda targets: targets.unrecognized_fields.update(more=1)),
    "targets: a member of the index": in_targets(lambda t: t.targets[INDEX].unrecognized_fields.update(custom={})),
    "targets: a member of a role": in_targets(lambda targets: first_role(targets).update(more=1)),
    "targets: a member of the delegations": in_targets(
        lambda targets: targets.delegations and targets.delegations.unrecognized_fields.update(more=1)
    ),
    "targets: another target": in_targets(lambda targets: targets.targets.update(x=targets.targets[INDEX])),
    "root: a version far ahead": in_root(lambda root: setattr(root, "version", 9)),
    "root: a member": in_root(lambda root: root.unrecognized_fields.update(more=1)),
    "root: a member of a role": in_root(lambda root: root.roles["root"].unrecognized_fields.update(more=1)),
    "root: a name of two lines": in_root(
        lambda root: root.unrecognized_fields[CUSTODIANS_FIELD].update(
            dict.fromkeys(root.unrecognized_fields[CUSTODIANS_FIELD], "a\nb")
        )
    ),
    "root: two custodians of one name": in_root(
        lambda root: root.unrecognized_fields[CUSTODIANS_FIELD].update(
            dict.fromkeys(list(root.unrecognized_fields[CUSTODIANS_FIELD])[:2], "custodian 0")
        )
    ),
    "a name that clears the terminal": called("\x1b[2JRSS"),
    "a name of two lines": called("two\nlines"),
    "a name that is written from right to left": called("\u202eFTA"),
    "no name": called(""),
}


@pytest.mark.parametrize("tamper", TAMPERED.values(), ids=TAMPERED)
def test_what_is_not_shown_is_not_signed(world: World, tamper: Callable[[Repository], None]) -> None:
    world.repository.check_staged()
    tamper(world.repository)
    with pytest.raises(HubError):
        world.repository.sign(world.custodians[0])


def test_a_bad_signature_takes_no_custodians_place(world: World) -> None:
    copy, bad = (Repository(dict(world.repository.files), dict(world.repository.staged)) for _ in range(2))
    key_id = world.custodians[0].public.key_id.hex()
    targets = bad.targets()
    targets.signatures[key_id] = Signature(key_id, "00" * SIGNATURE_LENGTH)
    targets.signatures["ff" * 32] = Signature("ff" * 32, "00")
    stranger = signing_key("a stranger").public.key_id.hex()
    targets.signatures[stranger] = Signature(stranger, "no hexadecimal")
    bad.staged["targets"] = targets.to_bytes()
    assert world.repository.merge(bad) == 0
    assert not world.repository.targets().signatures
    copy.sign(world.custodians[0])
    assert bad.merge(copy) == 2, "root and targets: what stood there in its name gives way"
    assert bad.targets().signatures.keys() == {key_id}


def test_a_copy_with_less_staged_is_none(world: World) -> None:
    with pytest.raises(RepositoryInvalid, match="nothing staged"):
        world.repository.merge(Repository(dict(world.repository.files)))
