"""hub/errors.py: the tree as a whole: one code for each leaf, and the page that lists them."""

from __future__ import annotations

import re
from collections import defaultdict

from hub.errors import HubError
from tests.support.rendered import BRANCHES, ERRORS, OPERATE, error_classes, render_errors, render_operate

AGAIN = "write it anew with `python -m tests.support.rendered`"


def test_codes_are_unique() -> None:
    by_code: dict[str, set[type[HubError]]] = defaultdict(set)
    for kind in error_classes():
        by_code[kind.code].add(kind)
    shared = {code: sorted(k.__qualname__ for k in kinds) for code, kinds in by_code.items() if len(kinds) > 1}
    assert shared == {}


def test_codes_have_their_form() -> None:
    for kind in error_classes():
        assert re.fullmatch(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*", kind.code), kind


def test_every_class_is_on_exactly_one_branch() -> None:
    for kind in error_classes():
        assert sum(issubclass(kind, branch) for branch in BRANCHES) == 1, kind


def test_the_page_of_errors_is_what_the_code_says() -> None:
    assert ERRORS.read_text(encoding="utf-8") == render_errors(), AGAIN


def test_the_operators_page_is_what_the_code_says() -> None:
    text = OPERATE.read_text(encoding="utf-8")
    assert text == render_operate(text), AGAIN


def test_diagnostics_are_one_line() -> None:
    assert HubError("what happened", agency="JCF", offset=7).diagnostics() == (
        "hub.error: what happened (agency=JCF, offset=7)"
    )
