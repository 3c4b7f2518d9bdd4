"""Who may come in, and what they may do: a TOML file that maps certificate subjects to roles.

```toml
[[person]]
organisation = "Hub operations"
name = "Operations desk"
role = "operator"
```

A certificate counts where its subject has exactly one organisation and one common name, and both are a person's. Who is
not in the file has no role, and no role means no. The file is read again when it changes; a file that is wrong means
that nobody comes in until it is mended.
"""

from __future__ import annotations

import hashlib
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from cryptography import x509
from cryptography.x509.oid import NameOID
from pydantic import Field, StrictStr, ValidationError, model_validator

from hub.errors import ConfigError, RejectedError
from hub.log_words import say
from hub.trust.signed_json import Strict, first_fault

Role = Literal["viewer", "operator"]


class PeopleInvalid(ConfigError):
    """The file of the console's people cannot be read, or is not of its form."""

    code = "console.people_invalid"


class PersonUnknown(RejectedError):
    """A valid certificate whose subject has no role: it is refused."""

    code = "console.person_unknown"


class RoleTooLow(RejectedError):
    """The person's role does not allow that."""

    code = "console.role_too_low"


@dataclass(frozen=True, slots=True)
class Person:
    """Who asks: the certificate's names and hash, and the role that the file gives them."""

    organisation: str
    name: str
    fingerprint: str
    role: Role

    @property
    def subject(self) -> str:
        """How the audit log names them."""
        return f"{self.name} ({self.organisation})"

    def check_may_act(self) -> None:
        """Raises :class:`RoleTooLow` unless the person is an operator."""
        if self.role != "operator":
            raise RoleTooLow("only an operator may do that", role=self.role)


class _PersonForm(Strict):
    organisation: Annotated[StrictStr, Field(min_length=1, max_length=120)]
    name: Annotated[StrictStr, Field(min_length=1, max_length=120)]
    role: Role


class _PeopleForm(Strict):
    person: tuple[_PersonForm, ...]

    @model_validator(mode="after")
    def _once(self) -> _PeopleForm:
        subjects = [(person.organisation, person.name) for person in self.person]
        for subject in subjects:
            if subjects.count(subject) > 1:
                raise ValueError(f"two entries for {subject[1]} of {subject[0]}")
        return self


class People:
    """The file at ``path``. Raises :class:`PeopleInvalid` where it is wrong at the start."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: tuple[int, ...] = ()
        self._roles: dict[tuple[str, str], Role] = {}
        self._read()

    def identify(self, certificate: bytes | None) -> Person:
        """The person with this certificate (DER). Raises :class:`PersonUnknown`."""
        self._read_again()
        if certificate is None:
            raise PersonUnknown("no certificate was shown")
        try:
            subject = x509.load_der_x509_certificate(certificate).subject
        except ValueError as error:
            raise PersonUnknown("the certificate cannot be read") from error
        organisations = subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
        names = subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        if len(organisations) != 1 or len(names) != 1:
            raise PersonUnknown("a subject has one organisation and one name")
        found = (str(organisations[0].value), str(names[0].value))
        role = self._roles.get(found)
        if role is None:
            raise PersonUnknown("this certificate's subject has no role here", organisation=found[0], name=found[1])
        return Person(found[0], found[1], hashlib.sha256(certificate).hexdigest(), role)

    def _read_again(self) -> None:
        try:
            if self._look() != self._stamp:
                self._read()
        except PeopleInvalid as error:
            if self._roles:
                say("console.people_refused", file=str(self._path), code=error.code, reason=error.message)
            self._roles = {}

    def _look(self) -> tuple[int, ...]:
        try:
            found = self._path.stat()
        except OSError as error:
            raise PeopleInvalid(f"cannot be read: {error.strerror}", file=self._path) from error
        return (found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino)

    def _read(self) -> None:
        self._stamp = self._look()
        try:
            form = _PeopleForm.model_validate(tomllib.loads(self._path.read_text("utf-8")))
        except ValidationError as error:
            raise PeopleInvalid(f"not a file of people: {first_fault(error)}", file=self._path) from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise PeopleInvalid(f"not TOML: {error}", file=self._path) from error
        except OSError as error:
            raise PeopleInvalid(f"cannot be read: {error.strerror}", file=self._path) from error
        self._roles = {(person.organisation, person.name): person.role for person in form.person}
