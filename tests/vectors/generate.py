"""Writes tests/vectors/ anew: ``python -m tests.vectors.generate``. docs/spec/vectors.md explains the files.

Keys, ids, salts and DEKs come from fixed seeds, so facts stay the same from run to run. Bytes do not: the libraries
draw randomness for ML-DSA signatures and for HPKE that cannot be given to them. The files that are committed are the
vectors; this program documents how they were made, and is run again only where the specification changes.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

from tests.vectors import ingest_cases, open_cases, scenario, stream_cases
from tests.vectors.scenario import Case

HERE = Path(__file__).parent
AREAS = ("ingest", "open", "stub", "sequence")


def all_cases() -> Iterator[Case]:
    """Every case, in the order of its file's name."""
    for module in (ingest_cases, open_cases, stream_cases):
        yield from module.cases()


def main() -> None:
    for area in AREAS:
        shutil.rmtree(HERE / area, ignore_errors=True)
        (HERE / area).mkdir()
    (HERE / "shared").mkdir(exist_ok=True)
    for name, content in scenario.shared().items():
        raw = content if isinstance(content, bytes) else (json.dumps(content, indent=1) + "\n").encode()
        (HERE / "shared" / name).write_bytes(raw)
    for case in all_cases():
        (HERE / f"{case.name}.json").write_text(json.dumps(case.to_json(), indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
