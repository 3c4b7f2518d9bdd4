"""``python -m deploy.grafana``: renders the dashboards to deploy/grafana/dashboards. Called by ``make dashboards``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from deploy.grafana.agency_dashboard import agency
from deploy.grafana.exchange_dashboard import exchange
from deploy.grafana.platform_dashboard import platform

FOLDER = Path(__file__).parent / "dashboards"


def rendered() -> dict[str, str]:
    """Each dashboard's JSON, by the name of its file."""
    built = {board.uid or "": board for board in (make().build() for make in (exchange, agency, platform))}
    return {
        f"{uid}.json": json.dumps(board, cls=JSONEncoder, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
        for uid, board in built.items()
    }


def main() -> int:
    """Write the files, and remove what is none of them."""
    FOLDER.mkdir(exist_ok=True)
    for path in FOLDER.glob("*.json"):
        path.unlink()
    for name, text in rendered().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
