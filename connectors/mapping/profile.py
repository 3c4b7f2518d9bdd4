"""The models of a mapping profile, as its YAML says it. What it means against a schema is worked out in plan.py.

Everywhere a plain text after a field is a column; a constant is ``{value: ...}``. docs/guides/mapping-profiles.md
explains each setting with an example.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator

from connectors.mapping.serials import SerialWords
from connectors.toolkit.errors import ProfileInvalid
from connectors.toolkit.lined_yaml import LinedYaml, load_yaml
from connectors.toolkit.suggest import suggest

SHIPPED = Path(__file__).parent.parent / "profiles"
ENCODINGS = ("utf-8", "cp1252", "cp850", "iso-8859-1", "iso-8859-15", "utf-16")
"""cp850 is what DOS programs still write; utf-16 is Excel's "Unicode text"."""


class Strict(BaseModel):
    """Frozen; an unknown name is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _one_or_many(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Texts = Annotated[tuple[str, ...], BeforeValidator(_one_or_many)]


class CellRule(Strict):
    """How one field is made: of a column, of several, or a constant."""

    column: str | None = None
    columns: tuple[str, ...] = ()
    value: str | None = None
    default: str | None = None
    """Taken where the cell is empty."""
    join: str = " "
    """Between the cells of ``columns`` that are filled, where the field is one text."""
    split: str | None = None
    """Cuts a cell into the items of a list."""
    codes: str | dict[str, str] | None = None
    """A table of the profile's ``codes``, or one in place: the agency's word -> the schema's code."""
    unknown_code: str | None = None
    """The schema's code for words that the table lacks."""
    unknown: Literal["refuse", "omit"] = "refuse"
    """What becomes of a word that neither covers: the row is refused, or the field, if it may be, is left out."""
    dates: Texts = ()
    """Overrides ``values.dates``, or ``values.timestamps`` where the field is a timestamp."""
    untouched: bool = False
    """The cell as it is, outer spaces and all."""
    add_days: int | None = Field(default=None, ge=1, le=36_525)
    """A date some days after the one in the column."""
    derive: Literal["serial_raw", "serial_status", "serial_pattern"] | None = None

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        return {"column": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _one_origin(self) -> CellRule:
        if sum((self.column is not None, bool(self.columns), self.value is not None)) != 1:
            raise ValueError("one of column, columns or value is wanted")
        if self.derive and self.column is None:
            raise ValueError("derive goes with column")
        return self

    @property
    def used_columns(self) -> tuple[str, ...]:
        return (self.column,) if self.column is not None else self.columns


class FileForm(Strict):
    """What the file looks like."""

    encoding: str = "utf-8"
    delimiter: str = ","
    quote: Literal['"', "'"] = '"'
    header_row: int = Field(default=1, ge=1, le=50)
    ignore: tuple[str, ...] = ()
    """Columns of the file that nothing is made of, named so that a new one is noticed."""
    unknown_columns: Literal["refuse", "ignore"] = "refuse"

    @field_validator("encoding")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in ENCODINGS:
            raise ValueError(f"one of {', '.join(ENCODINGS)} is wanted{suggest(value, ENCODINGS)}")
        return value

    @field_validator("delimiter")
    @classmethod
    def _tab(cls, value: str) -> str:
        sign = "\t" if value in ("tab", "\\t") else value
        if len(sign) != 1 or sign in '"\r\n':
            raise ValueError("one character is wanted, or the word tab")
        return sign


class ValueForms(Strict):
    """How the agency writes dates, numbers, yes and no, and nothing."""

    dates: Texts = ()
    timestamps: Texts = ()
    timezone: str | None = None
    two_digit_years_from: int | None = Field(default=None, ge=1900, le=2000)
    excel_dates: Literal["1900", "1904"] | None = None
    decimal: Literal[".", ","] = "."
    thousands: Literal["", ",", ".", " ", "'"] = ""
    yes: Texts = ()
    no: Texts = ()
    empty: Texts = ()
    """Words that say that nothing is known, besides the empty cell."""

    @model_validator(mode="after")
    def _sound(self) -> ValueForms:
        if self.decimal == self.thousands:
            raise ValueError("decimal and thousands are the same sign")
        if self.timezone is not None:
            try:
                ZoneInfo(self.timezone)
            except (ZoneInfoNotFoundError, ValueError, OSError) as error:
                raise ValueError(f"no time zone {self.timezone!r} (America/Jamaica, America/Port-au-Prince)") from error
        overlap = {word.casefold() for word in self.yes} & {word.casefold() for word in self.no}
        if overlap:
            raise ValueError(f"both yes and no: {', '.join(sorted(overlap))}")
        return self


class Expiry(Strict):
    """When the event ends: on a day, or some days after the day in a column. Never counted from today: the same row
    must make the same event whenever it is read."""

    on: str | None = None
    column: str | None = None
    add_days: int | None = Field(default=None, ge=1, le=36_525)

    @model_validator(mode="after")
    def _one(self) -> Expiry:
        if (self.on is None) == (self.column is None) or (self.column is None) != (self.add_days is None):
            raise ValueError("either on: 2031-12-31, or column: ... with add_days: ...")
        return self


class ReplyRule(Strict):
    """What the event answers or amends."""

    publisher: CellRule
    event_id: CellRule


class Envelope(Strict):
    """The labels of the event."""

    handling: CellRule
    purpose: CellRule
    priority: CellRule
    expires: Expiry
    correlation_id: CellRule | None = None
    in_reply_to: ReplyRule | None = None


class When(Strict):
    """Which rows of a group are meant: those whose cell is one of ``is``, or those whose cell is filled."""

    column: str
    one_of: Texts = ()
    filled: bool = False

    @model_validator(mode="after")
    def _one(self) -> When:
        if bool(self.one_of) == self.filled:
            raise ValueError("either one_of: [...] or filled: true")
        return self


class RowRule(Strict):
    """What a row of a group adds: one item of the list ``into``."""

    into: str
    when: When | None = None
    distinct: bool = False
    """Drops an item that is the same as an earlier one: a person who stands in each line of a seizure."""
    fields: dict[str, CellRule]


class Profile(Strict):
    """A whole profile."""

    profile: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{1,62}$")
    version: int = Field(ge=1)
    title: str
    event_type: str
    file: FileForm = FileForm()
    values: ValueForms = ValueForms()
    columns: dict[str, Texts] = {}
    """A column -> other names under which files have it."""
    serial: SerialWords = SerialWords()
    key: Texts = ()
    group_by: Texts = ()
    repeated_key: Literal["refuse", "amend"] = "refuse"
    envelope: Envelope
    fields: dict[str, CellRule]
    rows: tuple[RowRule, ...] = ()
    codes: dict[str, dict[str, str]] = {}

    @model_validator(mode="after")
    def _grouped(self) -> Profile:
        if bool(self.group_by) != bool(self.rows):
            raise ValueError("group_by and rows go together")
        if self.group_by and self.key:
            raise ValueError("with group_by the key is what the rows are grouped by: leave key out")
        return self


def resolve_profile(name: str, base: Path) -> Path:
    """The file of a shipped profile by its name, or of the agency's own by a path (``.yaml``). ``ProfileInvalid``."""
    if name.endswith((".yaml", ".yml")):
        path = Path(name)
        return path if path.is_absolute() else base / path
    shipped = sorted(path.stem for path in SHIPPED.glob("*.yaml"))
    if name not in shipped:
        raise ProfileInvalid(
            f"no profile {name!r} is shipped{suggest(name, shipped)}; they are {', '.join(shipped)}; "
            "a profile of your own is named by its path, ending in .yaml"
        )
    return SHIPPED / f"{name}.yaml"


def parse_profile(document: LinedYaml) -> Profile:
    """Raises ``ProfileInvalid`` with file, line and what was meant."""
    try:
        return Profile.model_validate(document.value)
    except ValidationError as error:
        faults = error.errors()
        # a mistyped name is at once one that is unknown and one that is missing: tell the first
        first = next((fault for fault in faults if fault["type"] == "extra_forbidden"), faults[0])
        place = [part for part in first["loc"] if isinstance(part, (str, int))]
        message = first["msg"].removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            message = f"unknown setting {place[-1]!r}{suggest(str(place[-1]), _siblings(place[:-1]))}"
        where = ".".join(str(part) for part in place) or "profile"
        raise ProfileInvalid(f"{document.at(place)}: {where}: {message}") from error


_MODELS: dict[str, type[BaseModel]] = {
    "file": FileForm,
    "values": ValueForms,
    "serial": SerialWords,
    "envelope": Envelope,
    "expires": Expiry,
    "in_reply_to": ReplyRule,
    "when": When,
}


def _siblings(place: list[str | int]) -> list[str]:
    """The names that may stand at a place, for a suggestion."""
    if not place:
        return list(Profile.model_fields)
    last = place[-1]
    if isinstance(last, int):
        return list(RowRule.model_fields)
    return list(_MODELS.get(last, CellRule).model_fields)


def load_profile(path: Path) -> tuple[Profile, LinedYaml]:
    """Reads a profile's file. Raises ``ProfileInvalid``."""
    document = load_yaml(path)
    return parse_profile(document), document
