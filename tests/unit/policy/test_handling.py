"""hub/policy/handling.py: an order for each scheme, and nothing is loosened."""

from __future__ import annotations

import itertools

import pytest

from hub.model import Handling, Siena, Tlp, parse_handling
from hub.policy.handling import HandlingLoosened, at_least, check_header, check_not_loosened

ALL = [Handling(tlp, siena) for tlp in Tlp for siena in (None, *Siena)]


def test_at_least_is_an_order() -> None:
    for a, b, c in itertools.product(ALL, repeat=3):
        assert at_least(a, a)
        assert a == b or not (at_least(a, b) and at_least(b, a))
        assert not (at_least(a, b) and at_least(b, c)) or at_least(a, c)


def test_schemes_are_not_translated() -> None:
    red, h3 = parse_handling("TLP:RED"), parse_handling("TLP:CLEAR H3")
    assert not at_least(red, h3)
    assert not at_least(h3, red)


@pytest.mark.parametrize(
    ("label", "earlier", "loosened"),
    [
        ("TLP:AMBER", "TLP:AMBER", False),
        ("TLP:RED", "TLP:AMBER", False),
        ("TLP:GREEN", "TLP:AMBER", True),
        ("TLP:RED", "TLP:AMBER H1", True),
        ("TLP:AMBER H2", "TLP:AMBER H1", False),
        ("TLP:AMBER H0", "TLP:AMBER H1", True),
        ("TLP:AMBER", "TLP:AMBER H0", True),
    ],
)
def test_not_loosened(label: str, earlier: str, loosened: bool) -> None:
    if not loosened:
        check_not_loosened(parse_handling(label), parse_handling(earlier))
        return
    with pytest.raises(HandlingLoosened):
        check_not_loosened(parse_handling(label), parse_handling(earlier))


@pytest.mark.parametrize(
    ("label", "scheme", "code", "refused"),
    [
        ("TLP:AMBER", "TLP", "AMBER", False),
        ("TLP:AMBER", "TLP", "GREEN", False),
        ("TLP:AMBER", "TLP", "AMBER+STRICT", True),
        ("TLP:AMBER", "TLP", "RED", True),
        ("TLP:RED", "SIENA", "H1", True),
        ("TLP:AMBER H1", "SIENA", "H1", False),
        ("TLP:AMBER H1", "SIENA", "H2", True),
        ("TLP:AMBER H3", "SIENA", "H2", False),
        ("TLP:AMBER", "TLP", "PINK", True),
        ("TLP:AMBER H3", "SIENA", "H9", True),
        ("TLP:CLEAR", "UK_3X5X2", "C", False),
    ],
)
def test_a_header_stricter_than_its_label(label: str, scheme: str, code: str, refused: bool) -> None:
    body = {"header": {"handling": {"scheme": scheme, "code": code, "text": None}}}
    if not refused:
        check_header(parse_handling(label), body)
        return
    with pytest.raises(HandlingLoosened):
        check_header(parse_handling(label), body)


@pytest.mark.parametrize("body", [{}, {"header": None}, {"header": {}}, {"header": {"handling": None}}])
def test_without_a_marking(body: dict[str, object]) -> None:
    check_header(parse_handling("TLP:CLEAR"), body)
