from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from hub.errors import ConfigError
from hub.model import HUB, AgencyId, NameInvalid
from hub.topics import (
    APPLIED,
    AUDIT,
    DIRECTORY,
    HEARTBEAT,
    INGEST_PATTERN,
    QUARANTINE,
    RETRY,
    ROUTER_GROUP,
    SUPER_USER,
    Acl,
    Declaration,
    Quota,
    Quotas,
    TopicsInvalid,
    consumer_group,
    deliver_topic,
    ingest_owner,
    ingest_topic,
)

ATF, JCF = AgencyId("ATF"), AgencyId("JCF")
JCF_X = AgencyId("JCF-X")
DECLARATION = Declaration.load()


def test_the_names_in_the_code_are_the_declared_ones() -> None:
    names = {topic.name for topic in DECLARATION.topics([ATF])}
    assert names == {
        ingest_topic(ATF),
        deliver_topic(ATF),
        ingest_topic(HUB),
        QUARANTINE,
        HEARTBEAT,
        DIRECTORY,
        APPLIED,
        AUDIT,
        RETRY,
    }
    groups = {acl.name for acl in DECLARATION.acls([ATF]) if acl.resource == "GROUP"}
    assert groups == {ROUTER_GROUP, "ATF.", "*"}  # the last one is the exporter's


def test_an_agency_may_write_and_read_its_own_and_nothing_else() -> None:
    of_jcf = {acl for acl in DECLARATION.acls([ATF, JCF, JCF_X]) if acl.principal == "JCF"}
    assert of_jcf == {
        Acl("JCF", "WRITE", "TOPIC", "ingest.JCF"),
        Acl("JCF", "READ", "TOPIC", "deliver.JCF"),
        Acl("JCF", "READ", "GROUP", "JCF.", prefixed=True),
        Acl("JCF", "READ", "TOPIC", "hub.directory"),
    }


def test_the_hub_may_do_what_the_router_does_and_nothing_else() -> None:
    of_hub = {acl for acl in DECLARATION.acls([ATF, JCF]) if acl.principal == HUB}
    assert of_hub == {
        Acl("HUB", "READ", "TOPIC", "ingest.", prefixed=True),
        Acl("HUB", "READ", "GROUP", "hub.router"),
        Acl("HUB", "WRITE", "TOPIC", "deliver.", prefixed=True),
        Acl("HUB", "WRITE", "TOPIC", "ingest.HUB"),
        Acl("HUB", "WRITE", "TOPIC", "hub.quarantine"),
        Acl("HUB", "WRITE", "TOPIC", "hub.heartbeat"),
        Acl("HUB", "READ", "TOPIC", "hub.directory"),
        Acl("HUB", "READ", "TOPIC", "hub.retry"),
    }


def test_the_console_may_write_two_topics_and_read_what_the_operator_watches_but_nothing_that_flows() -> None:
    of_console = {acl for acl in DECLARATION.acls([ATF, JCF]) if acl.principal == "console"}
    assert of_console == {
        Acl("console", "WRITE", "TOPIC", "hub.audit"),
        Acl("console", "READ", "TOPIC", "hub.audit"),
        Acl("console", "WRITE", "TOPIC", "hub.retry"),
        Acl("console", "READ", "TOPIC", "hub.quarantine"),
        Acl("console", "READ", "TOPIC", "hub.heartbeat"),
        Acl("console", "READ", "TOPIC", "hub.directory"),
        Acl("console", "DESCRIBE", "TOPIC", "ingest.", prefixed=True),
        Acl("console", "DESCRIBE", "TOPIC", "deliver.", prefixed=True),
    }


def test_the_exporter_may_describe_everything_and_read_nothing() -> None:
    of_exporter = {acl for acl in DECLARATION.acls([ATF, JCF]) if acl.principal == "exporter"}
    assert of_exporter == {
        Acl("exporter", "DESCRIBE", "CLUSTER", "kafka-cluster"),
        Acl("exporter", "DESCRIBE", "GROUP", "*"),
        Acl("exporter", "DESCRIBE", "TOPIC", "*"),
        Acl("exporter", "DESCRIBE_CONFIGS", "TOPIC", "*"),
    }


def test_the_directory_is_read_by_each_agency_and_written_by_none() -> None:
    on_it = [acl for acl in DECLARATION.acls([ATF, JCF]) if acl.name in (DIRECTORY, APPLIED)]
    assert {acl.principal for acl in on_it} == {"ATF", "JCF", HUB, "console"}
    assert {(acl.operation, acl.name) for acl in on_it} == {("READ", DIRECTORY)}
    assert SUPER_USER not in {acl.principal for acl in DECLARATION.acls([ATF])}


def test_a_prefix_of_one_agency_is_never_another_ones() -> None:
    prefixes = [
        acl.name for acl in DECLARATION.acls([JCF, JCF_X]) if acl.prefixed and acl.principal not in (HUB, "console")
    ]
    assert sorted(prefixes) == ["JCF-X.", "JCF."]
    assert not "JCF-X.desk".startswith("JCF.")


def test_hub_among_the_agencies_changes_nothing() -> None:
    assert DECLARATION.topics([ATF, HUB]) == DECLARATION.topics([ATF])
    assert DECLARATION.acls([ATF, HUB]) == DECLARATION.acls([ATF])


def test_a_code_that_is_none_gets_no_topic() -> None:
    for code in ("operator", "atf", "A.B", "", "ATF.X"):
        with pytest.raises(NameInvalid):
            DECLARATION.topics([AgencyId(code)])
        with pytest.raises(NameInvalid):
            DECLARATION.acls([AgencyId(code)])


def test_no_topic_compresses_and_all_take_a_bundle() -> None:
    for topic in DECLARATION.topics([ATF]):
        configs = dict(topic.configs)
        assert configs["compression.type"] == "uncompressed"
        assert int(configs["max.message.bytes"]) >= (900_000 + 100_000 if topic.name != HEARTBEAT else 0)


def test_every_file_says_what_the_topic_holds_and_who_writes() -> None:
    for file in DECLARATION.files:
        assert file.holds
        assert file.producers


def test_the_owner_of_a_topic() -> None:
    assert ingest_owner("ingest.JCF-X") == JCF_X
    for topic in ("deliver.ATF", "ingest.", "ingest.atf", "ingest.A.B", "hub.quarantine"):
        with pytest.raises(NameInvalid):
            ingest_owner(topic)


def test_the_pattern_of_ingest_topics_names_them_and_no_other() -> None:
    import re

    assert re.fullmatch(INGEST_PATTERN, "ingest.JCF-X")
    for topic in ("ingest.x", "ingest.ATF.x", "xingest.ATF", "deliver.ATF", "ingestXATF"):
        assert not re.fullmatch(INGEST_PATTERN, topic)


def test_a_group_of_an_agency() -> None:
    assert consumer_group(ATF, "tracing.desk-1") == "ATF.tracing.desk-1"
    for name in ("", "Desk", "a b", ".a", "x" * 65):
        with pytest.raises(ConfigError):
            consumer_group(ATF, name)


# --- quotas -----------------------------------------------------------------------------------------------------------


def test_each_agency_has_the_declared_quotas_and_the_hub_none() -> None:
    quotas = DECLARATION.quotas([JCF, HUB, ATF])
    assert {(quota.principal, quota.name) for quota in quotas} == {
        (agency, name) for agency in ("ATF", "JCF") for name in ("producer_byte_rate", "consumer_byte_rate")
    }
    assert all(quota.rate >= 1_000_000 for quota in quotas)
    assert DECLARATION.without_quotas().quotas([ATF]) == ()
    assert DECLARATION.without_quotas().acls([ATF]) == DECLARATION.acls([ATF])


def test_the_operator_may_say_otherwise_for_all_and_for_one(tmp_path: Path) -> None:
    file = tmp_path / "quotas.yaml"
    file.write_text("agency: {producer_byte_rate: 5}\nagencies: {ATF: {consumer_byte_rate: 7}}\n")
    declared = Declaration(DECLARATION.files, Quotas.model_validate({"agency": {"consumer_byte_rate": 9}}))
    assert declared.with_quotas(Quotas.load(file)).quotas([ATF, JCF]) == (
        Quota("ATF", "consumer_byte_rate", 7),
        Quota("ATF", "producer_byte_rate", 5),
        Quota("JCF", "consumer_byte_rate", 9),
        Quota("JCF", "producer_byte_rate", 5),
    )


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("agency: {producer_byte_rate: 0}", "agency.producer_byte_rate"),
        ("agency: {producer: 5}", "agency.producer"),
        ("agencies: {atf: {producer_byte_rate: 5}}", "agencies.atf"),
        ("ATF: {producer_byte_rate: 5}", "ATF"),
    ],
)
def test_a_mistake_in_the_quotas_is_told(tmp_path: Path, text: str, field: str) -> None:
    file = tmp_path / "quotas.yaml"
    file.write_text(text)
    with pytest.raises(TopicsInvalid) as caught:
        Quotas.load(file)
    assert caught.value.details["field"] == field
    with pytest.raises(TopicsInvalid, match="cannot be read"):
        Quotas.load(tmp_path / "none.yaml")


# --- mistakes in the files --------------------------------------------------------------------------------------------

GOOD = yaml.safe_load((Path("schemas/topics/ingest.yaml")).read_text("utf-8"))


def load(folder: Path, **changes: object) -> Declaration:
    content = {key: value for key, value in {**GOOD, **changes}.items() if value is not None}
    (folder / "ingest.yaml").write_text(yaml.safe_dump(content), "utf-8")
    return Declaration.load(folder)


def test_the_good_file_loads(tmp_path: Path) -> None:
    assert load(tmp_path).topics([ATF])


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"partitions": 0}, "partitions"),
        ({"partitions": None}, "partitions"),
        ({"retention": 3}, "retention"),
        ({"each": []}, "each"),
        ({"each": ["everybody"]}, "each.0"),
        ({"each": ["hub"]}, "topic"),
        ({"topic": "ingress.{agency}"}, "topic"),
        ({"topic": "ingest"}, "topic"),
        ({"producers": [{"principal": "HUB", "topics": "deliver."}]}, "topics"),
        ({"producers": [{"principal": "HUB", "topics": "ingest"}]}, "topics"),
        ({"consumers": [{"principal": "HUB"}]}, "consumers.0.group"),
    ],
)
def test_a_mistake_is_told_with_its_file_and_field(tmp_path: Path, changes: dict[str, object], field: str) -> None:
    with pytest.raises(TopicsInvalid) as caught:
        load(tmp_path, **changes)
    assert caught.value.details["field"] == field
    assert caught.value.details["file"] == tmp_path / "ingest.yaml"


def test_a_file_that_is_no_yaml_and_a_folder_without_files(tmp_path: Path) -> None:
    with pytest.raises(TopicsInvalid):
        Declaration.load(tmp_path)
    (tmp_path / "ingest.yaml").write_text("topic: [", "utf-8")
    with pytest.raises(TopicsInvalid, match="not YAML"):
        Declaration.load(tmp_path)
