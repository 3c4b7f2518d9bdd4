"""hub/wire/limits.py: the numbers are those of the specification's table (docs/spec 2.1)."""

import re
from pathlib import Path

from hub.wire import limits

SPEC = Path(__file__).parents[3] / "docs" / "spec" / "bundle.md"


def rows() -> dict[str, list[int]]:
    """Each row of the table of 2.1: what it is about, and the numbers it says."""
    section = SPEC.read_text().split("## 2 Limits")[1].split("## 3 ")[0]
    found = {}
    for line in section.splitlines():
        if line.startswith("| ") and not line.startswith("| ---"):
            what, says = (cell.strip() for cell in line.strip("|").split("|"))
            found[what] = [int(number.replace(",", "")) for number in re.findall(r"\d[\d,]*", says.split("(2^")[0])]
    return found


def test_the_table_and_the_code_say_the_same() -> None:
    said = rows()
    assert said["a record (ingest, delivered or stub)"] == [limits.RECORD]
    assert said["events of a bundle"][0] == limits.EVENTS_A_BUNDLE
    assert said["events of a flush; bundles of a flush"] == [limits.EVENTS_A_FLUSH, limits.BUNDLES_A_FLUSH]
    assert said["compartments of a lane"] == [limits.COMPARTMENTS]
    assert said["entries of a bundle"] == [1, limits.ENTRIES]
    assert said["section, with its length and padding"] == [limits.SECTION]
    assert said["ciphertext"] == [limits.CIPHERTEXT]
    assert said["Merkle path"] == [limits.PATH]
    assert said["flush, lane, core, entry"] == [limits.FLUSH] == [limits.LANE] == [limits.CORE] == [limits.ENTRY]
    assert said["head"] == [limits.HEAD]
    assert said["schema version"] == [1, limits.SCHEMA_VERSION]
    assert said["bundle_seq"] == [1, limits.BUNDLE_SEQ]
    assert said["recipient_seq, prev_seq, flush_seq, directory version"] == [limits.SEQUENCE]
    assert said["handling text, priority, purpose"] == [limits.LABEL]
    assert said["flush time ahead of the receiver's clock"] == [limits.FLUSH_AHEAD_MS]
    assert said["life of a lane"] == [limits.LANE_LIFE_MS]
    assert said["gap ranges kept a stream; explained ranges kept a stream"] == [limits.GAP_RANGES] * 2
    assert said["head hashes kept a stream"] == [limits.HEADS_KEPT]
    kept = [limits.INSTANCES_A_DAY, limits.STREAMS_A_PUBLISHER]
    assert said["new instances of a site a day; streams kept a publisher"] == kept
    assert said["reason of an explained range"] == [limits.REASON]
    assert said["event_ids that a router remembers (9.3)"][-1] == limits.EVENT_IDS_KEPT
    assert limits.SEQUENCE == 2**53 - 1
    assert 2 ** (limits.PATH) == limits.BUNDLES_A_FLUSH
