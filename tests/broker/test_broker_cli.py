"""``hub broker`` as a person types it, against the real broker."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import yaml

from hub.adapters.broker_process import BrokerProcess
from hub.adapters.kafka_admin import KafkaAdmin
from hub.adapters.tls import TlsFiles
from hub.cli.main import run
from hub.model import AgencyId
from hub.topics import Declaration
from tests.support.broker import DEPLOY, JARS, Broker

pytestmark = pytest.mark.broker

TOPICS = Path(__file__).parents[2] / "schemas" / "topics"


class Cluster:
    """A node of this module's own, which its tests change as they like."""

    def __init__(self, node: BrokerProcess) -> None:
        folder = node.operator.key.parent
        self.node = node
        self.options = ["--bootstrap", node.bootstrap, "--tls", str(folder)]

    def hub(self, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
        capsys.readouterr()
        code = run(["broker", *arguments])
        return code, capsys.readouterr().out


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with BrokerProcess(tmp_path_factory.mktemp("cluster"), deploy=DEPLOY, jars=JARS) as node:
        yield Cluster(node)


def test_plan_apply_and_an_empty_plan(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    options = [*cluster.options, "--agency", "ATF,JCF"]
    code, text = cluster.hub(capsys, "plan", *options)
    assert code == 0
    assert "+ topic ingest.ATF: 3 partitions" in text
    assert "+ acl User:JCF ALLOW READ GROUP JCF.*" in text
    code, text = cluster.hub(capsys, "apply", *options, "--yes", "--json")
    assert (code, json.loads(text)["applied"]) == (0, True)
    code, text = cluster.hub(capsys, "plan", *options, "--json")
    assert (code, json.loads(text)) == (0, {"changes": [], "undeclared": []})
    assert "nothing to change" in cluster.hub(capsys, "plan", *options)[1]
    assert "nothing to change" in cluster.hub(capsys, "apply", *options)[1]  # and does not ask


def test_apply_asks_and_a_no_changes_nothing(
    cluster: Cluster, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer_no(*_: object, **__: object) -> None:
        raise click.Abort

    monkeypatch.setattr("click.confirm", answer_no)
    assert cluster.hub(capsys, "apply", *cluster.options, "--agency", "NEW")[0] == 130
    admin = KafkaAdmin(cluster.node.bootstrap, cluster.node.operator)
    assert "ingest.NEW" not in admin.read().partitions


def test_drift_is_shown_and_mended(cluster: Cluster, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    agencies = [AgencyId("ATF"), AgencyId("JCF")]
    admin = KafkaAdmin(cluster.node.bootstrap, cluster.node.operator)
    shutil.copytree(TOPICS, tmp_path / "topics")
    other = tmp_path / "topics" / "ingest.yaml"
    content = yaml.safe_load(other.read_text())
    content["configs"]["retention.ms"] = 1000
    content["configs"]["segment.ms"] = 5000
    content["partitions"] = 4
    other.write_text(yaml.safe_dump(content))
    admin.apply(admin.plan(Declaration.load(), agencies))
    code, text = cluster.hub(
        capsys, "apply", *cluster.options, "--agency", "ATF", "--agency", "JCF", "--topics", str(other.parent), "--yes"
    )
    assert code == 0
    assert "~ partitions ingest.ATF: 3 -> 4" in text
    assert "~ config ingest.ATF retention.ms: 2592000000 -> 1000" in text
    assert "+ config ingest.ATF segment.ms: 5000" in text
    content["configs"] = {"retention.ms": 7}
    other.write_text(yaml.safe_dump(content))
    code, text = cluster.hub(
        capsys, "apply", *cluster.options, "--agency", "ATF,JCF", "--topics", str(other.parent), "--yes"
    )
    assert code == 0
    assert "- config ingest.JCF segment.ms: 5000" in text
    assert admin.read().configs["ingest.JCF"] == {"retention.ms": "7"}


def test_an_agency_that_left_loses_its_acls_and_keeps_its_topics(
    cluster: Cluster, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    admin = KafkaAdmin(cluster.node.bootstrap, cluster.node.operator)
    shutil.copytree(TOPICS, tmp_path / "topics")
    file = tmp_path / "topics" / "ingest.yaml"
    file.write_text(file.read_text().replace("partitions: 3", "partitions: 4"))
    options = [*cluster.options, "--topics", str(file.parent), "--yes", "--json"]
    assert cluster.hub(capsys, "apply", *options, "--agency", "ATF,RSS")[0] == 0
    assert cluster.hub(capsys, "apply", *options, "--agency", "ATF")[0] == 0
    state = admin.read()
    assert "ingest.RSS" in state.partitions
    assert {key[0] for key in state.acls} == {"User:ATF", "User:HUB"}


@pytest.mark.parametrize("agency", ["atf", "ATF;JCF", "operator"])
def test_a_wrong_code_is_an_error_of_the_command_line(
    cluster: Cluster, capsys: pytest.CaptureFixture[str], agency: str
) -> None:
    assert cluster.hub(capsys, "plan", *cluster.options, "--agency", agency)[0] == 2


def test_a_cluster_that_is_not_there_is_unavailable(
    broker: Broker, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub.adapters.kafka_admin._ANSWER_SECONDS", 1.0)
    tls = str(broker.operator.key.parent)
    assert run(["broker", "plan", "--bootstrap", "127.0.0.1:1", "--tls", tls, "--agency", "ATF"]) == 3
    assert "bus.unavailable" in capsys.readouterr().err


def test_an_agency_can_neither_plan_nor_apply(broker: Broker, capsys: pytest.CaptureFixture[str]) -> None:
    tls = str(broker.client_files("JCF").key.parent)
    arguments = ["--bootstrap", broker.bootstrap, "--tls", tls, "--agency", "JCF", "--yes"]
    assert run(["broker", "apply", *arguments]) == 2
    assert "bus.not_authorized" in capsys.readouterr().err
    assert "ingest.ATF" in broker.admin.read().partitions


def test_issue_makes_an_authority_and_a_certificate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--authority", str(tmp_path / "ca"), "--out", str(tmp_path / "atf"), "--json"]
    assert run(["broker", "issue", "ATF", *arguments, "--site", "desk-1"]) == 0
    facts = json.loads(capsys.readouterr().out)
    TlsFiles(Path(facts["ca"]), Path(facts["certificate"]), Path(facts["key"])).check()
    assert facts["expires_at_ms"] > 1_700_000_000_000
    assert run(["broker", "issue", "atf", *arguments]) == 2


def test_start_detached_and_stop(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    places = ["--deploy", str(DEPLOY), "--jars", str(JARS)]
    folder = str(tmp_path / "kafka")
    assert run(["broker", "start", folder, *places, "--detach", "--json"]) == 0
    try:
        facts = json.loads(capsys.readouterr().out)
        tls = TlsFiles(*(Path(facts["operator"]) / name for name in ("ca.pem", "tls.pem", "tls.key")))
        KafkaAdmin(facts["bootstrap"], tls).check()
    finally:
        assert run(["broker", "stop", folder, *places]) == 0
    assert capsys.readouterr().out == "stopped\n"
    assert run(["broker", "stop", folder, *places]) == 0
    assert capsys.readouterr().out == "no node was running there\n"
