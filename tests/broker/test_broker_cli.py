"""``hub broker`` as a person types it, against the real broker."""

from __future__ import annotations

import io
import json
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourcePatternType,
    ResourceType,
)

from hub.adapters.broker_process import BrokerProcess
from hub.adapters.kafka_admin import KafkaAdmin, admin_client
from hub.adapters.kafka_quotas import alter_quotas
from hub.adapters.pki import Authority
from hub.adapters.tls import TlsFiles
from hub.cli.main import run
from hub.model import AgencyId
from hub.topics import Declaration
from tests.support.authority import World, signing_key
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
        shown = capsys.readouterr()
        sys.stderr.write(shown.err)  # for a failure's report
        return code, shown.out


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
    assert (code, json.loads(text)) == (0, {"changes": [], "undeclared": [], "cannot": [], "directory": None})
    assert "nothing to change" in cluster.hub(capsys, "plan", *options)[1]
    assert "nothing to change" in cluster.hub(capsys, "apply", *options)[1]  # and does not ask


def files_in(folder: Path | str) -> TlsFiles:
    ca, certificate, key = (Path(folder) / name for name in ("ca.pem", "tls.pem", "tls.key"))
    return TlsFiles(ca, certificate, key)


class Terminal(io.StringIO):
    """Somebody at the keyboard."""

    def isatty(self) -> bool:
        return True


def test_apply_asks_and_a_no_changes_nothing(
    cluster: Cluster, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    capsys.readouterr()
    monkeypatch.setattr(sys, "stdin", Terminal("n\n"))
    assert run(["broker", "apply", *cluster.options, "--agency", "NEW"]) == 1
    shown = capsys.readouterr()
    assert "+ topic ingest.NEW" in shown.out
    assert "nothing was changed" in shown.err
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    assert run(["broker", "apply", *cluster.options, "--agency", "NEW"]) == 2
    assert "confirmation.missing" in capsys.readouterr().err
    admin = KafkaAdmin(cluster.node.bootstrap, cluster.node.operator)
    assert "ingest.NEW" not in admin.read().partitions


def test_either_a_directory_or_a_list(cluster: Cluster, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert cluster.hub(capsys, "plan", *cluster.options)[0] == 2
    folder = str(tmp_path)
    assert cluster.hub(capsys, "plan", *cluster.options, "--agency", "ATF", "--directory", folder)[0] == 2
    assert cluster.hub(capsys, "plan", *cluster.options, "--directory", folder)[0] == 2


def test_drift_is_shown_and_mended(cluster: Cluster, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    agencies = [AgencyId("CBP"), AgencyId("HSI")]
    admin = KafkaAdmin(cluster.node.bootstrap, cluster.node.operator)
    shutil.copytree(TOPICS, tmp_path / "topics")
    other = tmp_path / "topics" / "ingest.yaml"
    content = yaml.safe_load(other.read_text())
    content["configs"]["retention.ms"] = 1000
    content["configs"]["segment.ms"] = 5000
    other.write_text(yaml.safe_dump(content))
    delivered = tmp_path / "topics" / "deliver.yaml"
    delivered.write_text(delivered.read_text().replace("partitions: 3", "partitions: 4"))
    admin.apply(admin.plan(Declaration.load(), agencies))
    code, text = cluster.hub(
        capsys, "apply", *cluster.options, "--agency", "CBP", "--agency", "HSI", "--topics", str(other.parent), "--yes"
    )
    assert code == 0
    assert "~ partitions deliver.CBP: 3 -> 4" in text
    assert "~ config ingest.CBP retention.ms: 2592000000 -> 1000" in text
    assert "+ config ingest.CBP segment.ms: 5000" in text
    content["configs"] = {"retention.ms": 7}
    other.write_text(yaml.safe_dump(content))
    code, text = cluster.hub(
        capsys, "apply", *cluster.options, "--agency", "CBP,HSI", "--topics", str(other.parent), "--yes"
    )
    assert code == 0
    assert "- config ingest.HSI segment.ms: 5000" in text
    assert admin.read().configs["ingest.HSI"] == {"retention.ms": "7"}


def test_an_agency_that_left_loses_its_acls_and_keeps_its_topics(
    cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    admin = KafkaAdmin(cluster.node.bootstrap, cluster.node.operator)
    options = [*cluster.options, "--yes", "--json"]
    assert cluster.hub(capsys, "apply", *options, "--agency", "ATF,RSS")[0] == 0
    assert cluster.hub(capsys, "apply", *options, "--agency", "ATF")[0] == 0
    state = admin.read()
    assert "ingest.RSS" in state.partitions
    assert "User:ATF" in {key[0] for key in state.acls}
    assert "User:RSS" not in {key[0] for key in state.acls}
    assert "RSS" not in str(state.quotas)


def test_what_someone_else_did_is_marked_and_undone(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    options = [*cluster.options, "--agency", "ATF,JCF"]
    assert cluster.hub(capsys, "apply", *options, "--yes")[0] == 0
    assert json.loads(cluster.hub(capsys, "plan", *options, "--json")[1])["changes"] == []
    client = admin_client(cluster.node.bootstrap, cluster.node.operator)
    given = AclBinding(
        ResourceType.TOPIC,
        "deliver.ATF",
        ResourcePatternType.LITERAL,
        "User:JCF",
        "*",
        AclOperation.READ,
        AclPermissionType.ALLOW,
    )
    entry = ConfigEntry("retention.ms", "1000", incremental_operation=AlterConfigOpType.SET)
    changed = ConfigResource(ConfigResource.Type.TOPIC, "ingest.ATF", incremental_configs=[entry])
    for futures in (client.create_acls([given]), client.incremental_alter_configs([changed])):
        for future in futures.values():
            future.result(20)
    stranger = (("client-id", "x"), ("user", "stranger"))
    alter_quotas(
        cluster.node.bootstrap,
        cluster.node.operator,
        [((("user", "ATF"),), "producer_byte_rate", 1e9), (stranger, "request_percentage", 5.0)],
    )
    someone = "  # someone else has changed this"
    wanted = {
        f"- acl User:JCF ALLOW READ TOPIC deliver.ATF{someone}",
        f"~ config ingest.ATF retention.ms: 1000 -> 2592000000{someone}",
        f"~ quota user ATF producer_byte_rate: 1000000000 -> 10485760{someone}",
        f"- quota client-id x user stranger request_percentage: 5{someone}",
        "Plan: 0 to create, 2 to change, 2 to remove; 4 of them changed by someone else",
    }
    deadline = time.monotonic() + 20  # until the node has followed its controller
    while not wanted <= set(cluster.hub(capsys, "plan", *options)[1].splitlines()):
        assert time.monotonic() < deadline
    assert cluster.hub(capsys, "apply", *options, "--yes")[0] == 0
    assert json.loads(cluster.hub(capsys, "plan", *options, "--json")[1])["changes"] == []


def test_partitions_that_someone_added_are_told_and_all_else_is_done(
    cluster: Cluster, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    options = [*cluster.options, "--topics", str(tmp_path / "topics")]
    shutil.copytree(TOPICS, tmp_path / "topics")
    file = tmp_path / "topics" / "deliver.yaml"
    file.write_text(file.read_text().replace("partitions: 3", "partitions: 2"))
    code, text = cluster.hub(capsys, "apply", *options, "--agency", "ATF,CCGIU", "--yes")
    assert code == 1
    assert "! topic deliver.ATF has 3 partitions and 2 are declared" in text
    code, text = cluster.hub(capsys, "plan", *options, "--agency", "ATF,CCGIU", "--json")
    assert (code, json.loads(text)["changes"], len(json.loads(text)["cannot"])) == (0, [], 1)


# --- by the directory -------------------------------------------------------------------------------------------------


def publish(world: World, folder: Path) -> list[str]:
    """The world's directory as a folder and its pinned root; gives the options that name them."""
    for path, raw in world.publish().files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(raw)
    (folder / "root.json").write_bytes(world.root_bytes())
    return ["--directory", str(folder), "--root", str(folder / "root.json")]


def test_by_the_directory(cluster: Cluster, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    world = World.of("ATF", "INTERPOL", now_ms=int(time.time() * 1000))
    first = publish(world, tmp_path / "first")
    assert cluster.hub(capsys, "apply", *cluster.options, *first, "--yes")[0] == 0
    facts = json.loads(cluster.hub(capsys, "plan", *cluster.options, *first, "--json")[1])
    assert (facts["changes"], facts["directory"]) == ([], 1)
    world.suspend("INTERPOL")
    second = publish(world, tmp_path / "second")
    code, text = cluster.hub(capsys, "apply", *cluster.options, *second, "--yes")
    assert code == 0
    assert "- acl User:INTERPOL ALLOW READ TOPIC deliver.INTERPOL" in text
    assert "- quota user INTERPOL producer_byte_rate: 10485760" in text
    assert "someone else" not in text
    assert "+" not in {line[0] for line in text.splitlines()}
    state = KafkaAdmin(cluster.node.bootstrap, cluster.node.operator).read()
    assert {"ingest.INTERPOL", "deliver.INTERPOL"} <= state.partitions.keys()
    assert "INTERPOL" not in {key[0].removeprefix("User:") for key in state.acls}
    assert json.loads(cluster.hub(capsys, "plan", *cluster.options, *second, "--json")[1])["changes"] == []

    # An older directory would give INTERPOL its rights back.
    assert cluster.hub(capsys, "apply", *cluster.options, *first, "--yes")[0] == 1
    state = KafkaAdmin(cluster.node.bootstrap, cluster.node.operator).read()
    assert "User:INTERPOL" not in {key[0] for key in state.acls}
    unsafe = [*first, "--yes", "--unsafe-older-directory"]
    assert cluster.hub(capsys, "apply", *cluster.options, *unsafe)[0] == 0


def test_a_directory_of_another_root_changes_nothing(
    cluster: Cluster, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    world = World.of("ATF", "NEW", now_ms=int(time.time() * 1000))
    options = publish(world, tmp_path)
    world.custodians = tuple(signing_key(f"stranger {i}") for i in range(3))
    world.repository = type(world.repository)()
    (tmp_path / "root.json").write_bytes(world.root_bytes())
    code, _ = cluster.hub(capsys, "apply", *cluster.options, *options, "--yes")
    assert code == 1
    assert "ingest.NEW" not in KafkaAdmin(cluster.node.bootstrap, cluster.node.operator).read().partitions


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


def test_a_request_is_signed_for_the_name_that_the_operator_gives(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    site, ca = tmp_path / "site", tmp_path / "ca"
    Authority.create(ca)
    assert run(["broker", "request", str(site)]) == 0
    assert run(["broker", "request", str(site)]) == 2  # a key is never written over another
    signing = ["broker", "issue", "ATF", "--authority", str(ca), "--out", str(site), "--request", str(site / "tls.csr")]
    monkeypatch.setattr(sys, "stdin", Terminal("n\n"))
    assert run(signing) == 1
    assert not (site / "tls.pem").exists()
    capsys.readouterr()
    assert run([*signing, "--yes"]) == 0
    text = capsys.readouterr().out
    assert "subject:  CN=ATF,O=ATF" in text
    assert "key:      SHA-256 " in text
    TlsFiles(site / "ca.pem", site / "tls.pem", site / "tls.key").check()
    (site / "tls.csr").write_text("nonsense")
    assert run([*signing, "--yes"]) == 1


def test_an_agency_has_its_own_authority(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ca, own = tmp_path / "ca", tmp_path / "atf-ca"
    Authority.create(ca)
    assert run(["broker", "request", str(own), "--ca"]) == 0
    certify = ["broker", "certify-ca", "ATF", "--authority", str(ca), "--request", str(own / "ca.csr")]
    assert run([*certify, "--out", str(own), "--yes"]) == 2  # which nodes it may not name must be said
    capsys.readouterr()
    assert run([*certify, "--out", str(own), "--node-host", "hub.example", "--yes"]) == 0
    assert "it can name no organisation but ATF, and no host in hub.example" in capsys.readouterr().out
    issue = ["--authority", str(own), "--out", str(tmp_path / "desk")]
    assert run(["broker", "issue", "ATF", *issue, "--site", "desk-1"]) == 0
    assert run(["broker", "issue", "JCF", *issue]) == 2
    files_in(tmp_path / "desk").check()


def test_only_who_is_listed_and_active_gets_a_certificate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    world = World.of("ATF", "JCF", now_ms=int(time.time() * 1000))
    world.suspend("JCF")
    options = publish(world, tmp_path / "directory")
    options += ["--authority", str(tmp_path / "ca"), "--out", str(tmp_path / "out")]
    codes = {who: run(["broker", "issue", who, *options]) for who in ("ATF", "JCF", "RSS", "operator")}
    assert codes == {"ATF": 0, "JCF": 2, "RSS": 2, "operator": 0}
    assert "the agency is suspended" in capsys.readouterr().err


def test_a_running_nodes_certificate_is_renewed(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    places = ["--deploy", str(DEPLOY), "--jars", str(JARS)]
    before = cluster.node.certificate.read_bytes()
    code, text = cluster.hub(capsys, "renew", str(cluster.node.folder), *places, "--json")
    assert code == 0
    assert json.loads(text)["certificate"] == str(cluster.node.certificate)
    assert cluster.node.certificate.read_bytes() != before


def test_start_detached_and_stop(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    places = ["--deploy", str(DEPLOY), "--jars", str(JARS)]
    folder = str(tmp_path / "kafka")
    assert run(["broker", "start", folder, *places, "--detach", "--json"]) == 0
    try:
        facts = json.loads(capsys.readouterr().out)
        tls = files_in(facts["operator"])
        KafkaAdmin(facts["bootstrap"], tls).check()
    finally:
        assert run(["broker", "stop", folder, *places]) == 0
    assert capsys.readouterr().out == "stopped\n"
    assert run(["broker", "stop", folder, *places]) == 0
    assert capsys.readouterr().out == "no node was running there\n"
