"""What the validators take, what they say where they refuse, and the models for programmers."""

from __future__ import annotations

import copy
from typing import Any

import pydantic
import pytest

from hub.catalog import EventInvalid
from hub.errors import RejectedError
from tests.support.samples import catalog, sample_event

REQUEST = catalog().get("trace.request")
REFERRAL = catalog().get("export.referral")


def request(**changes: Any) -> dict[str, Any]:
    return {**copy.deepcopy(dict(sample_event("trace.request").body)), **changes}


def refuse(body: Any, event_type: Any = REQUEST) -> EventInvalid:
    with pytest.raises(EventInvalid) as caught:
        event_type.validate(body)
    assert isinstance(caught.value, RejectedError)
    return caught.value


def test_defaults_are_filled_in_and_the_input_is_left_alone() -> None:
    body = {"status": "RECEIVED"}
    valid = catalog().get("trace.ack").validate(body)
    assert body == {"status": "RECEIVED"}
    assert valid["missing_fields"] == []
    assert valid["header"]["caveats"] == []
    assert valid["header"]["contact"] is None
    other = catalog().get("trace.ack").validate(body)
    assert other["missing_fields"] is not valid["missing_fields"]


@pytest.mark.parametrize("body", [None, [], "x", 3, {"header": []}])
def test_a_body_is_an_object(body: Any) -> None:
    assert refuse(body).code == "event.field_type" or body == {"header": []}


def test_did_you_mean_a_field() -> None:
    body = request()
    body["recovry_date"] = body.pop("recovery_date")
    error = refuse(body)
    assert error.code == "event.field_unknown"
    assert error.details["field"] == "recovry_date"
    assert "did you mean recovery_date?" in error.message
    assert [(problem.code, problem.field) for problem in error.problems] == [
        ("event.field_unknown", "recovry_date"),
        ("event.field_missing", "recovery_date"),
    ]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"channel": "ETRACES"}, "did you mean ETRACE?"),
        ({"channel": "etrace"}, "did you mean ETRACE?"),
        ({"crime_code": "903"}, "did you mean 0903?"),
        ({"crime_code": "903"}, "ncic-offence"),
    ],
)
def test_did_you_mean_a_code(change: dict[str, Any], words: str) -> None:
    error = refuse(request(**change))
    assert error.code == "event.code_unknown"
    assert words in error.message


def test_a_recipient_is_told_no_value() -> None:
    body = request(crime_code="903")
    with pytest.raises(EventInvalid) as caught:
        REQUEST.validate_granted(body, REQUEST.compartments)
    assert "did you mean" not in caught.value.diagnostics()


def test_messages_hold_no_value() -> None:
    secret = "Sécret Näme 4711"
    body = request()
    body["possessor"]["dob"] = secret
    body["possessor"]["names"] = [secret, 5]
    body["firearm"]["make_ncic"] = secret
    body["firearm"]["serial_raw"] = {secret: secret}
    error = refuse(body)
    assert len(error.problems) == 4
    shown = error.diagnostics() + repr(error.problems)
    assert "Sécret" not in shown
    assert "4711" not in shown


def test_the_name_of_an_unknown_field_is_made_harmless() -> None:
    error = refuse(request(**{"\x1b[31mü" + "x" * 500: 1}))
    assert len(error.details["field"]) <= 120
    assert error.details["field"].startswith("?[31m?x")


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("2026-11-09T15:42:00Z", "2026-11-09T15:42:00.000Z"),
        ("2026-11-09T15:42:00.5Z", "2026-11-09T15:42:00.500Z"),
        ("2026-11-09T10:42:00-05:00", "2026-11-09T15:42:00.000Z"),
        ("2026-11-09 15:42:00+00:00", "2026-11-09T15:42:00.000Z"),
        ("2026-11-09T15:42:00.123999Z", "2026-11-09T15:42:00.123Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000Z"),
    ],
)
def test_times_come_out_in_one_form(given: str, kept: str) -> None:
    ack = catalog().get("trace.ack")
    assert ack.validate({"status": "RECEIVED", "due_at": given})["due_at"] == kept


@pytest.mark.parametrize(
    "given",
    ["2026-11-09", "2026-11-09T15:42:00", "0001-01-01T00:00:00+01:00", "20261109T154200Z", "x" * 40, "", "noon"],
)
def test_what_is_no_time_is_refused(given: str) -> None:
    assert refuse({"status": "RECEIVED", "due_at": given}, catalog().get("trace.ack")).code == "event.date_invalid"


@pytest.mark.parametrize("given", ["2026-02-30", "2026-1-1", "20261103", "2026-11-03T00:00:00Z", "2026-W45-2", ""])
def test_what_is_no_date_is_refused(given: str) -> None:
    assert refuse(request(recovery_date=given)).code == "event.date_invalid"


def referral(**changes: Any) -> dict[str, Any]:
    return {**copy.deepcopy(dict(sample_event("export.referral").body)), **changes}


@pytest.mark.parametrize(
    ("given", "kept"), [("412.5", "412.50"), ("0", "0.00"), (18_250, "18250.00"), ("007", "7.00"), ("0.01", "0.01")]
)
def test_decimals_are_exact_and_come_out_in_one_form(given: Any, kept: str) -> None:
    assert REFERRAL.validate(referral(value_usd=given))["value_usd"] == kept


@pytest.mark.parametrize(
    ("given", "code"),
    [
        (412.5, "event.field_type"),
        (True, "event.field_type"),
        ("1" * 41, "event.field_type"),
        ("412.505", "event.field_range"),
        ("-1", "event.field_range"),
        ("-0", "event.field_range"),
        ("1" * 13, "event.field_range"),
        ("1e3", "event.field_range"),
        ("1e999999999", "event.field_range"),
        ("٣", "event.field_range"),
        ("NaN", "event.field_range"),
        ("Infinity", "event.field_range"),
        ("four", "event.field_range"),
    ],
)
def test_what_is_no_decimal_is_refused(given: Any, code: str) -> None:
    error = refuse(referral(value_usd=given), REFERRAL)
    assert (error.code, error.details["field"]) == (code, "value_usd")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 90.1, "18"])
def test_latitudes(value: Any) -> None:
    body = request()
    body["recovery_place"] = {"country": "JM", "lat": value, "lon": 0}
    assert refuse(body).details["field"] == "recovery_place.lat"


def test_an_int_for_a_double_is_a_double() -> None:
    body = request()
    body["recovery_place"] = {"country": "JM", "lat": 18, "lon": -77}
    place = REQUEST.validate(body)["recovery_place"]
    assert type(place["lat"]) is float


def test_a_bool_is_no_int() -> None:
    body = request()
    body["firearm"]["barrel_mm"] = True
    assert refuse(body).code == "event.field_type"


def test_a_lone_surrogate_is_refused() -> None:
    body = request()
    body["firearm"]["make_text"] = "\ud800"
    assert refuse(body).code == "event.field_type"


def test_the_characters_of_typ() -> None:
    body = request()
    for good in ("P", "PI", "PIA", "RB"):
        body["firearm"]["type_ncic"] = good
        REQUEST.validate(body)
    for bad in ("X", "PY", "p", "PI1", "PIAB"):
        body["firearm"]["type_ncic"] = bad
        assert refuse(body).details["field"] == "firearm.type_ncic"


# --- models -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", catalog().names())
def test_models_are_frozen_and_take_what_the_validator_takes(name: str) -> None:
    event_type = catalog().get(name)
    model = event_type.model.model_validate(sample_event(name).body)
    assert model.model_dump() == sample_event(name).body
    with pytest.raises(pydantic.ValidationError):
        model.header = None  # type: ignore[attr-defined]
    with pytest.raises(pydantic.ValidationError):
        event_type.model.model_validate({**sample_event(name).body, "other": 1})
    assert event_type.model.model_json_schema()["additionalProperties"] is False
