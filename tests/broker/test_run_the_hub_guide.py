"""docs/guides/run-the-hub.md is true: its files are written as they stand, its commands run in their order, on a real
broker. The operator is the guide's reader; the custodians and an agency are played here."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import time
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hub.adapters.broker_process import BrokerProcess, _free_port
from tests.support.broker import DEPLOY, JARS
from tests.support.command import hub
from tests.support.deployment import HUB_COMMAND, wait_ready
from tests.support.guide import Block, blocks, follow, make_directory

pytestmark = [pytest.mark.broker, pytest.mark.timeout(600)]

PLACES = f"--deploy {DEPLOY} --jars {JARS}"


def ok(line: str) -> None:
    ran = hub(line)
    assert ran.code == 0, (line, ran.out, ran.err)


def until(done: Callable[[], bool], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not done():
        if time.monotonic() > end:
            raise TimeoutError
        time.sleep(0.2)


class Operator:
    """Does what the guide says, and checks what it shows."""

    def __init__(self) -> None:
        self._port = _free_port("127.0.0.1")
        self._processes: list[subprocess.Popen[bytes]] = []
        self._words = ""
        self.ran: list[str] = []

    def read(self, block: Block) -> None:
        if block.name:
            Path(block.name).write_text(self._here(block.text))
        elif block.language == "console":
            for line, wanted in block.commands():
                self._do(self._here(line), wanted)

    def in_step(self) -> bool:
        """Whether the follower, which alone applies a suspension in this guide, has done so."""
        there = f"--bootstrap 127.0.0.1:{self._port} --tls kafka/pki/operator --directory directory --root root.json"
        return hub(f"broker plan {there}").out == "nothing to change\n"

    def stop(self) -> None:
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.wait(60)

    def _here(self, text: str) -> str:
        """Ports of this machine, and the custodian's words as the agency reads them out."""
        text = text.replace("127.0.0.1:9093", f"127.0.0.1:{self._port}").replace("--port 9093", f"--port {self._port}")
        for port in ("9465", "9466", "9471", "9472"):
            text = text.replace(f"127.0.0.1:{port}", "127.0.0.1:0")
        return text.replace('--words "..."', f'--words "{self._words}"')

    def _do(self, line: str, wanted: str) -> None:
        match shlex.split(line):
            case ["mkdir", folder]:
                Path(folder).mkdir()
            case ["mv", source, target]:
                shutil.move(source, target)
            case ["hub", *arguments, "&"]:
                self._start(arguments)
            case ["hub", *_]:
                places = f" {PLACES}" if line.startswith(("hub broker start", "hub broker renew")) else ""
                follow(line + places, wanted)
                self.ran.append(" ".join(line.split()[1:3]))
            case _:
                raise AssertionError(line)
        for beginning, turn in self._turns().items():
            if line.startswith(beginning):
                turn()

    def _start(self, arguments: list[str]) -> None:
        """A process of its own, until it says that it is ready."""
        config = tomllib.loads(Path(arguments[arguments.index("--config") + 1]).read_text())
        state = arguments[arguments.index("--state") + 1] if "--state" in arguments else config["state"]
        with Path(f"{len(self._processes)}.log").open("wb") as log:
            self._processes.append(subprocess.Popen([*HUB_COMMAND, *arguments], stdout=log, stderr=log))
        wait_ready(Path(state), 120)

    def _turns(self) -> dict[str, Callable[[], None]]:
        """What the others do after a command of the operator's."""
        return {
            "hub exporter run": self._an_agency_asks,
            "hub directory add-agency": self._custodians_sign,
            "hub directory suspend-agency": self._custodians_sign,
            "mv JCF.yaml": self._the_agency_has_a_new_key,
        }

    def _an_agency_asks(self) -> None:
        ok('agency init jcf --agency JCF --name "Jamaica Constabulary Force" --unsafe-no-passphrase')
        self._words = " ".join(hub("agency enrol jcf --out JCF.json --json").json["words"])

    @staticmethod
    def _custodians_sign() -> None:
        ok("directory sign directory --key custodian1.key --key custodian2.key --yes")

    @staticmethod
    def _the_agency_has_a_new_key() -> None:
        ok("agency rotate kem jcf --yes")
        shutil.copy("jcf/statement.json", "JCF-statement.json")


@pytest.fixture
def operator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Operator]:
    monkeypatch.chdir(tmp_path)
    make_directory(["HUB", "ATF"])
    reader = Operator()
    try:
        yield reader
    finally:
        reader.stop()
        BrokerProcess(tmp_path / "kafka", deploy=DEPLOY, jars=JARS).stop()


def test_every_command_in_its_order(operator: Operator) -> None:
    for block in blocks("run-the-hub.md"):
        operator.read(block)
    told = hub("directory show directory --root root.json --json").json
    assert {agency["agency"]: agency["state"] for agency in told["agencies"]} == {
        "ATF": "active",
        "HUB": "active",
        "JCF": "suspended",
    }
    assert len(operator.ran) == 19
    until(operator.in_step)


def test_the_timer_is_one(tmp_path: Path) -> None:
    """systemd takes the units that the guide shows, but for what only a deployment has."""
    verify = shutil.which("systemd-analyze")
    if verify is None:
        pytest.skip("no systemd-analyze here")
    units = {block.name: block.text for block in blocks("run-the-hub.md") if block.language == "ini"}
    assert set(units) == {"cgi-hub-directory.service", "cgi-hub-directory.timer"}
    for name, text in units.items():
        text = "".join(line for line in text.splitlines(keepends=True) if not line.startswith(("OnFailure", "User")))
        (tmp_path / name).write_text(text.replace("/opt/cgi-hub/bin/hub", "/bin/true"))
    files = [str(tmp_path / name) for name in units]
    ran = subprocess.run([verify, "verify", "--man=no", *files], capture_output=True, text=True, check=False)
    assert (ran.returncode, [line for line in ran.stderr.splitlines() if "cgi-hub-directory" in line]) == (0, [])
