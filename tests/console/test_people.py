"""hub/console/people.py: a role by the certificate's subject, and no role for everything else."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from hub.console.people import People, PeopleInvalid, PersonUnknown, RoleTooLow
from tests.console.people import NOBODY, OPERATOR, PEOPLE_TOML, VIEWER, PeopleAuthority


@pytest.fixture
def authority(tmp_path: Path) -> PeopleAuthority:
    return PeopleAuthority(tmp_path / "ca")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "people.toml"
    path.write_text(PEOPLE_TOML)
    return path


def der(authority: PeopleAuthority, name: str, **subject: str | None) -> bytes:
    pair = authority.issue(name, **subject)  # type: ignore[arg-type]
    return x509.load_pem_x509_certificate(pair.certificate.read_bytes()).public_bytes(Encoding.DER)


def test_a_person_has_the_role_of_the_file(authority: PeopleAuthority, file: Path) -> None:
    people = People(file)
    viewer, operator = people.identify(der(authority, VIEWER)), people.identify(der(authority, OPERATOR))
    assert (viewer.role, operator.role) == ("viewer", "operator")
    assert operator.subject == "Operations desk (Hub operations)"
    operator.check_may_act()
    with pytest.raises(RoleTooLow):
        viewer.check_may_act()


@pytest.mark.parametrize("organisation", ["ATF", "hub operations", "Hub operations ", None])
def test_another_organisation_is_another_person(
    authority: PeopleAuthority, file: Path, organisation: str | None
) -> None:
    with pytest.raises(PersonUnknown):
        People(file).identify(der(authority, OPERATOR, organisation=organisation))


def test_who_is_not_listed_and_who_shows_nothing_is_refused(authority: PeopleAuthority, file: Path) -> None:
    people = People(file)
    for certificate in (None, b"", b"\x30\x03garbage", der(authority, NOBODY)):
        with pytest.raises(PersonUnknown):
            people.identify(certificate)


def test_who_is_struck_out_stays_outside_at_once(authority: PeopleAuthority, file: Path) -> None:
    people, certificate = People(file), der(authority, OPERATOR)
    people.identify(certificate)
    file.write_text(PEOPLE_TOML.split("\n\n")[0])
    with pytest.raises(PersonUnknown):
        people.identify(certificate)


def test_a_wrong_file_lets_nobody_in_until_it_is_mended(authority: PeopleAuthority, file: Path) -> None:
    people, certificate = People(file), der(authority, VIEWER)
    file.write_text(PEOPLE_TOML.replace("viewer", "everything"))
    with pytest.raises(PersonUnknown):
        people.identify(certificate)
    with pytest.raises(PersonUnknown):
        people.identify(certificate)
    file.write_text(PEOPLE_TOML + "\n")
    assert people.identify(certificate).role == "viewer"
    file.unlink()
    with pytest.raises(PersonUnknown):
        people.identify(certificate)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "person = 3",
        '[[person]]\nname = "A"\nrole = "viewer"',
        '[[person]]\norganisation = ""\nname = "A"\nrole = "viewer"',
        '[[person]]\norganisation = "O"\nname = "A"\nrole = "root"',
        '[[person]]\norganisation = "O"\nname = "A"\nrole = "viewer"\nmay = "all"',
        '[[person]]\norganisation = "O"\nname = "A"\nrole = "viewer"\n' * 2,
        "\x00",
    ],
)
def test_a_file_of_another_form_is_an_error_at_the_start(tmp_path: Path, text: str) -> None:
    path = tmp_path / "people.toml"
    path.write_text(text)
    with pytest.raises(PeopleInvalid):
        People(path)
