"""Writes tests/vectors/ anew: ``python -m tests.vectors.generate [AREA | AREA/CASE ...]`` (docs/spec/vectors.md).

Keys, ids, salts and DEKs come from fixed seeds, so facts stay the same from run to run. Bytes do not: the libraries
draw randomness for ML-DSA signatures and for HPKE that cannot be given to them. The files that are committed are the
vectors; this program documents how they were made, and is run again only where the specification changes.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.vectors import directory_cases, ingest_cases, open_cases, scenario, skew_cases, stream_cases
from tests.vectors.scenario import Case

HERE = Path(__file__).parent
AREAS = ("ingest", "open", "stub", "sequence", "skew", "directory")


def all_cases() -> Iterator[Case]:
    """Every case, in the order of its file's name."""
    for module in (ingest_cases, open_cases, stream_cases, skew_cases, directory_cases):
        yield from module.cases()


def main(areas: Sequence[str] = AREAS) -> None:
    """Write ``areas``, or single cases, anew. The shared files are written with the areas that rest on them.

    Those of the directory stay as they are while they are there: remove them to have all of it made anew.
    """
    whole = [area for area in areas if "/" not in area]
    for area in whole:
        shutil.rmtree(HERE / area, ignore_errors=True)
        (HERE / area).mkdir()
    (HERE / "shared").mkdir(exist_ok=True)
    if "directory" in areas:  # its files rest on the very bytes of the repository that is made with them
        for name, raw in directory_cases.shared().items():
            (HERE / "shared" / name).write_bytes(raw)
    if set(whole) - {"sequence", "directory"}:
        for name, content in scenario.shared().items():
            raw = content if isinstance(content, bytes) else (json.dumps(content, indent=1) + "\n").encode()
            (HERE / "shared" / name).write_bytes(raw)
    for case in all_cases():
        if case.name in areas or case.name.split("/")[0] in areas:
            (HERE / f"{case.name}.json").write_text(json.dumps(case.to_json(), indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:] or AREAS)
