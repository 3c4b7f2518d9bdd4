"""docs/guides/join.md is true: its files are written as they stand, its commands run in their order, on a real broker.

The agency is the guide's reader. Who else has a part is played by :class:`Others`: custodians, operator, partner.
"""

from __future__ import annotations

import json
import shlex
import shutil
import socket
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.broker import Broker, running_broker
from tests.support.command import hub
from tests.support.deployment import HUB_COMMAND, wait_ready
from tests.support.guide import Block, blocks, follow, make_directory
from tests.support.samples import sample_document

pytestmark = [pytest.mark.broker, pytest.mark.timeout(600)]

EXAMPLE_ADDRESS = "hub.example:9093"
ACCEPT = "agency: ATF\naccept:\n  - {name: all, types: [trace.request], from: JCF}\n"
RELEASE = "agency: ATF\nallow:\n  - {rule: all, types: [trace.ack], to: [JCF], compartments: all}\n"


def until(done: Callable[[], object], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not done():
        if time.monotonic() > end:
            raise TimeoutError
        time.sleep(0.2)


def said(line: str) -> str:
    """What ``hub`` prints; it must not fail."""
    ran = hub(line)
    assert ran.code == 0, (line, ran.out, ran.err)
    return ran.out


class Others:
    """Custodians, operator and partner, in the folder that the guide is read in."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._there = f"--bootstrap {broker.bootstrap} --tls {broker.operator.ca.parent}"
        self.processes: list[subprocess.Popen[bytes]] = []
        make_directory(["HUB", "ATF"])
        Path("subscriptions").mkdir()
        Path("subscriptions/ATF.yaml").write_text(ACCEPT)

    def start(self, line: str) -> subprocess.Popen[bytes]:
        """``hub`` as a process of its own."""
        with Path(f"{len(self.processes)}.log").open("wb") as log:
            process = subprocess.Popen([*HUB_COMMAND, *shlex.split(line)], stdout=log, stderr=log)
        self.processes.append(process)
        return process

    def stop(self) -> None:
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait(60)

    def publish(self) -> None:
        """What is staged is signed by two custodians, and published; the broker follows."""
        if any(part["lacking"] for part in hub("directory status directory --json").json["lacking"]):
            said("directory sign directory --key custodian1.key --key custodian2.key --yes")
        said(f"directory publish directory --key online.key --yes {self._there}")
        said(f"broker apply {self._there} --directory directory --root root.json --yes")

    def list_agency(self) -> None:
        words = " ".join(json.loads(said("keys show jcf/keys/identity.pub --words --json"))[0]["words"])
        said(f'directory add-agency directory jcf/enrolment.json --words "{words}"')
        self.publish()
        answer = f"--authority {self._broker.authority.folder} --bootstrap {self._broker.bootstrap}"
        said(f"directory reply directory jcf/enrolment.json {answer} --out reply.json")

    def take_subscription(self, part: str) -> None:
        Path("subscriptions/JCF.yaml").write_text(part)

    def sign_agreement(self) -> None:
        said("agreement sign ATF-JCF.json --agency ATF --key ATF/keys/identity.key --yes")
        said("directory add-agreement directory ATF-JCF.json --yes")
        self.publish()
        self._start_hub_and_partner()

    def take_statement(self) -> None:
        said("directory update-agency directory jcf/statement.json --yes")
        self.publish()

    def acknowledge(self) -> None:
        """The partner answers the first request."""
        document = sample_document("trace.ack")
        document["expires_at"] = "2029-05-31"
        document["in_reply_to"] = {"publisher": "JCF", "event_id": self.received()[0]["event_id"]}
        Path("ack.jsonl").write_text(json.dumps(document) + "\n")
        said("publish ack.jsonl --config ATF/answers.toml")

    def received(self) -> list[dict[str, Any]]:
        """What the partner has opened so far."""
        path = Path("ATF/received.jsonl")
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def _start_hub_and_partner(self) -> None:
        self._configure("HUB", "router", 'subscriptions = "../subscriptions"')
        rules = 'agency = "ATF"\nrelease = "release.yaml"\nsubscription = "../subscriptions/ATF.yaml"'
        sink = '[[sink]]\nkind = "jsonl"\npath = "received.jsonl"\n'
        Path("ATF/release.yaml").write_text(RELEASE)
        self._configure("ATF", "site", rules, 'kem = "keys/kem"', sink)
        self._configure("ATF", "answers", rules)
        self.start("router run --config HUB/router.toml")
        self.start("site run --config ATF/site.toml")
        wait_ready(Path("HUB/router"), 120)
        wait_ready(Path("ATF/site"), 120)

    def _configure(self, agency: str, name: str, head: str, keys: str = "", tail: str = "") -> None:
        tls = self._broker.client_files(agency)
        Path(agency, f"{name}.toml").write_text(
            f'state = "{name}"\n{head}\n[kafka]\nbootstrap = "{self._broker.bootstrap}"\nca = "{tls.ca}"\n'
            f'certificate = "{tls.certificate}"\nkey = "{tls.key}"\n[directory]\nroot = "../root.json"\n'
            f'[keys]\nsigning = "keys/signing.key"\n{keys}\n{tail}'
        )


class Reader:
    """Does what the guide says, and checks what it shows."""

    def __init__(self, broker: Broker, others: Others) -> None:
        self._broker, self._others = broker, others
        self.played: set[str] = set()

    def read(self, block: Block) -> None:
        if block.name:
            text = block.text.replace(EXAMPLE_ADDRESS, self._broker.bootstrap)
            if block.name == "jcf/site.toml":
                self._check_prepared(block)
            Path(block.name).write_text(text)
            Path(block.name).chmod(0o600)
        elif block.language == "console":
            for line, wanted in block.commands():
                self._do(line, wanted)
        elif block.language == "json":
            self._compare(json.loads(block.text))
        else:
            assert block.language == "sql"
            with sqlite3.connect("jcf/received.sqlite") as database:
                assert database.execute(block.text).fetchall() == [("ATF", "NEEDS_INFO", "T20260449118")]

    @staticmethod
    def _check_prepared(block: Block) -> None:
        """What the command had written is what the guide goes on from: each of its settings stands there too."""
        prepared = Path("jcf/site.toml").read_text()
        ours = [line.split("#")[0].strip() for line in block.text.splitlines()]
        for line in (line.split("#")[0].strip() for line in prepared.splitlines()):
            assert line.startswith(("bootstrap", "passphrase_file")) or line in ours, line

    def _do(self, line: str, wanted: str) -> None:
        words = shlex.split(line, comments=True)
        match words:
            case ["mkdir", folder]:
                Path(folder).mkdir()
            case ["touch", file]:
                Path(file).touch()
            case ["mv", source, target]:
                shutil.move(source, target)
                self._link(Path(target, "site.toml"), up=True)
            case ["hub", "site", "run", *_]:
                self._run_site(line)
            case ["hub", *_]:
                self._hub(line, wanted)
            case _:
                raise AssertionError(line)

    def _hub(self, line: str, wanted: str) -> None:
        if line.startswith("hub publish monday.csv"):
            self._link(Path("jcf/site.toml"), up=False)
        got = follow(line, wanted)
        turns: dict[str, Callable[[], None]] = {
            "hub agency enrol jcf --passphrase-file": self._others.list_agency,
            "hub policy hub-part": lambda: self._others.take_subscription(got),
            "hub agreement sign": self._others.sign_agreement,
            "hub agency rotate kem": self._others.take_statement,
        }
        for beginning, turn in turns.items():
            if line.startswith(beginning):
                turn()
                self.played.add(beginning)

    def _link(self, config: Path, *, up: bool) -> None:
        """The site's link works, or leads nowhere."""
        with socket.create_server(("127.0.0.1", 0)) as unused:
            nowhere = f"127.0.0.1:{unused.getsockname()[1]}"
        lines = config.read_text().splitlines()
        address = f'bootstrap = "{self._broker.bootstrap if up else nowhere}"'
        config.write_text("\n".join(address if line.startswith("bootstrap") else line for line in lines) + "\n")

    def _run_site(self, line: str) -> None:
        process = self._others.start(line.removeprefix("hub "))
        wait_ready(Path("jcf/state"), 120)
        head = Path("register.csv").read_text().splitlines()[0]
        row = "KGN/0420/26,1,S. Clarke,HPT-1,Browning,HP,9mm,Pistol,,14/11/2026,JM-02,"
        Path("jcf/in/friday.csv.tmp").write_text(f"{head}\n{row}\n")
        Path("jcf/in/friday.csv.tmp").rename("jcf/in/friday.csv")
        until(lambda: any(Path("jcf/in/done").glob("friday*.csv")))
        self._others.acknowledge()
        until(lambda: Path("jcf/received.sqlite").exists() and _rows("jcf/received.sqlite", "trace_ack"))
        process.terminate()
        assert process.wait(60) == 0

    def _compare(self, shown: dict[str, Any]) -> None:
        """What the partner really opened has all that the guide shows of it, and no name."""
        until(lambda: len(self._others.received()) >= 3)
        first = self._others.received()[0]
        assert _part(first, shown) == shown
        assert "BROWN" not in json.dumps(first)


def _rows(path: str, table: str) -> int:
    with sqlite3.connect(path) as database:
        found = database.execute("SELECT name FROM sqlite_master WHERE name = ?", (table,)).fetchall()
        return len(found) and int(database.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def _part(whole: Any, shown: Any) -> Any:
    """Of ``whole`` what ``shown`` names."""
    return {key: _part(whole[key], value) for key, value in shown.items()} if isinstance(shown, dict) else whole


@pytest.fixture
def others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Broker, Others]]:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("COLUMNS", "200")
    with running_broker(tmp_path) as broker:
        others = Others(broker)
        try:
            yield broker, others
        finally:
            others.stop()


def test_from_nothing_to_the_first_event_and_on(others: tuple[Broker, Others]) -> None:
    reader = Reader(*others)
    for block in blocks("join.md"):
        reader.read(block)
    assert len(reader.played) == 4, "everybody had a turn"
    until(lambda: len(others[1].received()) == 5, 60)
    cases = sorted(event["body"]["header"]["originator_case_ref"] for event in others[1].received())
    assert cases == ["KGN/0412/26", "KGN/0412/26", "KGN/0419/26", "KGN/0420/26", "KGN/0431/26"]
