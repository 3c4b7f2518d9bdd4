"""The vectors against a receiver that shares nothing with hub/wire and hub/trust/open.py (tests/support/stranger.py).

Where it and ours agree on every case, the specification and the schemas of the frames say enough.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.stranger import Refused, Stranger
from tests.unit.trust.test_vectors import VECTORS, decode

FILES = [  # the stranger has no memory of numbers
    file for file in sorted((VECTORS / "open").glob("*.json")) if "before" not in json.loads(file.read_text())["inputs"]
]


def take(inputs: dict[str, Any]) -> dict[str, Any]:
    stranger = Stranger(
        hub=inputs["hub"],
        recipient=inputs["recipient"],
        kem_seeds=[decode(seed) for seed in inputs["kem_seeds"]],
        snapshot=(VECTORS / "shared" / inputs["directory"]).read_bytes(),
        now_ms=inputs["now_ms"],
        appended_ms=inputs.get("appended_ms"),
    )
    return stranger.open(decode(inputs["record"]))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_vector(file: Path) -> None:
    vector = json.loads(file.read_text())
    inputs = vector["inputs"]
    if vector["expect"] != "ok":
        with pytest.raises(Refused):
            take(inputs)
        return
    result = take(inputs)
    for name, wanted in vector.get("result", {}).items():
        assert result[name] == wanted, name
