"""deploy/compose: a valid Compose file in which every service may do as little as it needs, and settings that load."""

from __future__ import annotations

import copy
import json
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from string import Template
from typing import Any

import click
import compose_spec
import pytest
import yaml

from hub.adapters.pki import OPERATOR, PRINCIPAL_RULE
from hub.cli.main import root as hub_command
from hub.settings import load_broker, load_console, load_exporter, load_router

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "deploy/compose"
COMPOSE: dict[str, Any] = yaml.safe_load((FOLDER / "compose.yaml").read_text("utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"].startswith("cgi-hub:")}
EACH = pytest.mark.parametrize("name", SERVICES)


def check(compose: dict[str, Any]) -> None:
    """By the Compose Specification's types, and that what is named is declared. Raises ``ValueError``."""
    parsed = compose_spec.PyCompose.from_json(json.dumps(compose))
    parsed.validate_networks()
    parsed.validate_secrets()
    parsed.validate_volumes()
    parsed.validate_configs()


def test_the_file_is_as_the_specification_says() -> None:
    check(COMPOSE)


@pytest.mark.parametrize(
    "change",
    [
        lambda kafka: kafka.update(imge="x"),
        lambda kafka: kafka["networks"].append("nowhere"),
        lambda kafka: kafka.update(secrets=["nobodys.key"]),
        lambda kafka: kafka.update(cap_drop="ALL"),
        lambda kafka: kafka["healthcheck"].update(interval="soon"),
    ],
)
def test_a_mistake_is_seen(change: Callable[[dict[str, Any]], None]) -> None:
    wrong = copy.deepcopy(COMPOSE)
    change(wrong["services"]["kafka"])
    with pytest.raises(ValueError, match=r"imge|nowhere|nobodys|ALL|soon"):
        check(wrong)


@EACH
def test_each_service_is_hardened(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert "privileged" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["user"].split(":")[0] not in ("0", "root")
    assert service["ulimits"]["core"] == 0
    assert service["restart"] == "unless-stopped"
    assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory"}
    assert service["pids_limit"] > 0
    assert service["healthcheck"]["test"][0] == "CMD"
    assert service["logging"]["options"]["max-size"]


@EACH
def test_each_image_is_pinned_by_name_and_tag(name: str) -> None:
    assert re.fullmatch(r"(docker\.io/[a-z]+/[a-z]+|cgi-hub):v?\d+\.\d+\.\d+", SERVICES[name]["image"])


def test_the_broker_is_the_one_that_the_tests_use() -> None:
    pom = (ROOT / "deploy/broker/pom.xml").read_text("utf-8")
    (wanted,) = re.findall(r"<artifactId>kafka_2\.13</artifactId>\s*<version>([^<]+)<", pom)
    assert SERVICES["kafka"]["image"].endswith(f"/kafka:{wanted}")


def test_networks_are_apart() -> None:
    on = {
        network: {name for name, s in SERVICES.items() if network in s["networks"]} for network in COMPOSE["networks"]
    }
    assert on["agencies"] == {"kafka"}
    assert on["broker"].isdisjoint({"prometheus", "alertmanager", "grafana"})
    assert on["watch"].isdisjoint({"kafka"})
    inside = {name for name, network in COMPOSE["networks"].items() if network.get("internal")}
    assert inside == {"broker", "watch"}
    for name in ("router-1", "router-2", "follow", "exporter", "prometheus"):
        assert set(SERVICES[name]["networks"]) <= inside  # no way out
    published = {name for name, service in SERVICES.items() if "ports" in service}
    assert published == {"kafka", "console", "grafana"}


@EACH
def test_secrets_are_files_and_only_whose_they_are(name: str) -> None:
    assert all(set(secret) == {"file"} for secret in COMPOSE["secrets"].values())
    keys = {
        secret for secret in SERVICES[name].get("secrets", []) if secret.endswith((".key", "password", "keystore.pem"))
    }
    for other, service in SERVICES.items():
        if {name, other} != {"router-1", "router-2"} and name != other:
            assert keys.isdisjoint(service.get("secrets", []))
    environment = SERVICES[name].get("environment", {})
    assert not [key for key in environment if re.search("PASSWORD|SECRET|TOKEN", key) and not key.endswith("__FILE")]


@pytest.mark.parametrize("name", OURS)
def test_each_command_is_one_that_there_is_with_settings_that_load(name: str, tmp_path: Path) -> None:
    words: list[str] = OURS[name]["command"]
    command: click.Command | None = hub_command
    while words and isinstance(command, click.Group):
        command = command.get_command(click.Context(command), words[0])
        words = words[1:]
    assert command is not None
    known = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= known
    file = words[words.index("--config") + 1]
    assert file.startswith("/etc/cgi-hub/")
    # The files that it names lie where the service has them: secrets of its own, and the shared configuration.
    secrets, config = tmp_path / "secrets", tmp_path / "config"
    secrets.mkdir()
    (config / "subscriptions").mkdir(parents=True)
    for secret in OURS[name]["secrets"]:
        (secrets / secret).touch()
    for given in ("root.json", "people.toml", "people-ca.pem"):
        (config / given).touch()
    text = (FOLDER / "config" / Path(file).name).read_text("utf-8").replace("/run/secrets", str(secrets))
    (config / Path(file).name).write_text(text)
    load: dict[str, Callable[[Path], Any]] = {
        "follow.toml": load_broker,
        "router.toml": load_router,
        "exporter.toml": load_exporter,
        "console.toml": load_console,
    }
    settings = load[Path(file).name](config / Path(file).name)
    assert str(settings.state).startswith("/var/lib/cgi-hub/")  # its volume
    assert any(volume.endswith(":/var/lib/cgi-hub") for volume in OURS[name]["volumes"])
    assert settings.metrics.listen == "0.0.0.0:9464"  # what the health check asks
    assert settings.kafka.bootstrap == "kafka:9092"


def test_each_process_of_ours_is_scraped() -> None:
    targets = json.loads((FOLDER / "prometheus/targets/hub.json").read_text("utf-8"))
    assert {target["targets"][0] for target in targets} == {f"{name}:9464" for name in OURS}
    assert all(set(target["labels"]) == {"instance", "role", "agency"} for target in targets)
    for name in OURS:
        assert "watch" in OURS[name]["networks"]


def test_no_two_processes_share_a_state() -> None:
    states = [
        volume.split(":")[0] for s in OURS.values() for volume in s["volumes"] if volume.endswith("/var/lib/cgi-hub")
    ]
    assert len(states) == len(set(states)) == len(OURS)


def test_the_nodes_settings_are_those_of_deploy_broker_but_for_the_listeners() -> None:
    template = Template((ROOT / "deploy/broker/server.properties").read_text("utf-8"))
    text = template.substitute(
        node_id=1,
        host="kafka",
        client_port=9092,
        controller_port=9094,
        data="/var/lib/kafka/data",
        keystore="/run/secrets/kafka-keystore.pem",
        truststore="/run/secrets/ca.pem",
        principal_rule=PRINCIPAL_RULE.replace("\\", "\\\\"),
        operator=OPERATOR,
        extra="",
    )
    wanted, found = _properties(text), _properties((FOLDER / "kafka/server.properties").read_text("utf-8"))
    differ = {key for key in wanted.keys() | found.keys() if wanted.get(key) != found.get(key)}
    assert differ == {"listeners", "advertised.listeners", "listener.security.protocol.map"}
    names = re.findall(r"(\w+)://", found["listeners"])
    assert found["listener.security.protocol.map"] == ",".join(f"{name}:SSL" for name in names)
    assert "AGENCIES://@PUBLIC_HOST@:9093" in found["advertised.listeners"]


def _properties(text: str) -> dict[str, str]:
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def test_mounted_files_are_there() -> None:
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("."):
                assert (FOLDER / source).exists(), source
    for file in FOLDER.glob("config/*.toml"):
        tomllib.loads(file.read_text("utf-8"))
