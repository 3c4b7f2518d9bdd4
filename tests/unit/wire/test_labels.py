"""hub/wire/labels.py, and that the specification's table and the code name the same labels."""

import hashlib
import re
from pathlib import Path

from hub.wire import labels
from hub.wire.labels import labelled_hash, lp

SPEC = Path(__file__).parents[3] / "docs" / "spec" / "bundle.md"


def test_lp_is_injective_where_joining_is_not() -> None:
    assert lp() == b""
    assert lp(b"a", b"") == b"\0\0\0\x01a\0\0\0\0"
    assert lp(b"ab", b"c") != lp(b"a", b"bc")


def test_a_labelled_hash_is_sha256_over_lp() -> None:
    assert labelled_hash(labels.LANE, b"x") == hashlib.sha256(lp(b"cgi-hub/v1/lane", b"x")).digest()


def test_every_label_stands_once_and_in_the_specification() -> None:
    values = [value for name, value in vars(labels).items() if name.isupper()]
    assert len(set(values)) == len(values)
    table = set(re.findall(r"^\| `(cgi-hub/v1/[a-z-]+)`", SPEC.read_text(), re.MULTILINE))
    assert {value.decode() for value in values} == table - {"cgi-hub/v1/signing-key-id"}
