"""Makes every file of examples/ anew: ``python -m examples.generate [FOLDER]``. Its output is what is committed."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

from examples.generator import documents, exports, notices, seizures, traces
from examples.generator.tables import MadeFile

HERE = Path(__file__).parent


def make_all() -> list[MadeFile]:
    """Every file, in the order of the table in examples/README.md."""
    return [
        traces.make_jamaica(),
        notices.make_jamaica(),
        traces.make_haiti(),
        seizures.make_ttps(),
        seizures.make_rss(),
        exports.make_cbp(),
        exports.make_bis(),
        notices.make_nca(),
        notices.make_interpol(),
        documents.make_lab(),
        documents.make_cases(),
        documents.make_statistics(),
        *(documents.make_alerts(agency) for agency in documents.ALERTS),
    ]


def expected(files: list[MadeFile]) -> dict[str, object]:
    """What must become of each file: rows, events, and every row that is refused with its code and column."""
    return {
        made.path: {
            "profile": made.profile or None,
            "rows": made.rows,
            "events": made.events,
            "refused": [asdict(bad) for bad in made.bad],
        }
        for made in files
    }


def table(files: list[MadeFile]) -> str:
    """The table of examples/README.md."""
    lines = ["| file | what | profile | rows | events | refused rows |", "| --- | --- | --- | --- | --- | --- |"]
    lines += [
        f"| [{m.path}]({m.path}) | {m.what} | {m.profile or 'documents'} | {m.rows} | {m.events} | {len(m.bad)} |"
        for m in files
    ]
    rows, events, bad = (sum(values) for values in zip(*((m.rows, m.events, len(m.bad)) for m in files), strict=True))
    return "\n".join([*lines, f"| **all** | | | {rows} | {events} | {bad} |"])


def write(folder: Path) -> None:
    files = make_all()
    for made in files:
        target = folder / made.path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(made.data)
    text = json.dumps(expected(files), indent=1, ensure_ascii=False)
    (folder / "expected.json").write_text(text + "\n", encoding="utf-8", newline="\n")


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE)
