"""deploy/kubernetes: valid by Kubernetes' own schemas, and every pod may do as little as it needs.

The resources of Strimzi, KEDA and the Prometheus operator have schemas of their own, which no package brings: what is
checked of those is in docs/guides/deploy.md.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml

from hub.adapters.pki import OPERATOR, PRINCIPAL_RULE
from hub.cli.main import root as hub_command
from hub.settings import load_broker, load_console, load_exporter, load_router
from hub.topics import ROUTER_GROUP
from tests.support.rendered import KUBERNETES_RULES, render_kubernetes_rules

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "deploy/kubernetes"
KUBERNETES = "1.34"
OF_OTHERS = {"kafka.strimzi.io/v1", "keda.sh/v1alpha1", "monitoring.coreos.com/v1"}
Resource = dict[str, Any]


def _base() -> Iterator[Resource]:
    kustomization = yaml.safe_load((FOLDER / "base/kustomization.yaml").read_text("utf-8"))
    for name in kustomization["resources"]:
        for resource in yaml.safe_load_all((FOLDER / "base" / name).read_text("utf-8")):
            resource["metadata"].setdefault("namespace", kustomization["namespace"])
            yield resource


BASE = list(_base())


def find(kind: str, name: str | None = None) -> list[Resource]:
    return [r for r in BASE if r["kind"] == kind and name in (None, r["metadata"]["name"])]


WORKLOADS = find("StatefulSet") + find("Deployment")
EACH = pytest.mark.parametrize("workload", WORKLOADS, ids=lambda workload: workload["metadata"]["name"])


def pod(workload: Resource) -> Resource:
    spec: Resource = workload["spec"]["template"]["spec"]
    return spec


def container(workload: Resource) -> Resource:
    (only,) = pod(workload)["containers"]
    assert isinstance(only, dict)
    return only


def test_by_kubernetes_own_schemas() -> None:
    mine = [resource for resource in BASE if resource["apiVersion"] not in OF_OTHERS]
    assert len(mine) > 10
    for resource in mine:
        kubernetes_validate.validate(resource, KUBERNETES, strict=True)


@pytest.mark.parametrize(
    "path",
    [
        ("spec", "replicaz"),
        ("spec", "template", "spec", "securityContext", "runAsNonRoots"),
        ("spec", "template", "spec", "hostNetworks"),
    ],
)
def test_a_mistake_is_seen(path: tuple[str, ...]) -> None:
    wrong = yaml.safe_load(yaml.safe_dump(WORKLOADS[0]))
    at = wrong
    for part in path[:-1]:
        at = at[part]
    at[path[-1]] = True
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, KUBERNETES, strict=True)


@EACH
def test_each_pod_is_restricted(workload: Resource) -> None:
    """The Pod Security Standard that the namespace enforces, and a little more."""
    spec, one = pod(workload), container(workload)
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] == spec["securityContext"]["fsGroup"] == 10001
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert one["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers"} & spec.keys()
    assert {"cpu", "memory"} == set(one["resources"]["limits"]) == set(one["resources"]["requests"])
    assert one["image"] == "cgi-hub"  # its tag: kustomization.yaml
    assert spec["terminationGracePeriodSeconds"] >= 60


@EACH
def test_each_pod_is_probed(workload: Resource) -> None:
    one = container(workload)
    assert one["startupProbe"]["httpGet"] == one["livenessProbe"]["httpGet"] == {"path": "/livez", "port": "metrics"}
    assert one["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "metrics"}
    assert {"name": "metrics", "containerPort": 9464} in one["ports"]


@EACH
def test_credentials_are_files_of_secrets_alone(workload: Resource) -> None:
    (volume,) = [volume for volume in pod(workload)["volumes"] if volume["name"] == "credentials"]
    assert volume["projected"]["defaultMode"] == 0o440
    assert all(set(source) == {"secret"} for source in volume["projected"]["sources"])
    one = container(workload)
    (mount,) = [mount for mount in one["volumeMounts"] if mount["name"] == "credentials"]
    assert {"name": "CREDENTIALS_DIRECTORY", "value": mount["mountPath"]} in one["env"]
    assert not [entry for entry in one["env"] if "secretKeyRef" in entry.get("valueFrom", {})]
    mounted = {mount["name"] for mount in one["volumeMounts"]}
    declared = {volume["name"] for volume in pod(workload)["volumes"]}
    claimed = {claim["metadata"]["name"] for claim in workload["spec"].get("volumeClaimTemplates", [])}
    assert mounted == declared | claimed


@EACH
def test_each_command_is_one_that_there_is_with_settings_that_load(workload: Resource, tmp_path: Path) -> None:
    words: list[str] = container(workload)["args"]
    command: click.Command | None = hub_command
    while words and isinstance(command, click.Group):
        command = command.get_command(click.Context(command), words[0])
        words = words[1:]
    assert command is not None
    known = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= known
    file = Path(words[words.index("--config") + 1])
    text = (FOLDER / "base/config" / file.name).read_text("utf-8")
    for name in ("credentials", "config", "subscriptions"):
        (tmp_path / name).mkdir()
    for given in (
        *("ca.pem", "router.pem", "router.key", "router-signing.key", "operator.pem", "operator.key"),
        *("exporter.pem", "exporter.key"),
        *("console.pem", "console.key", "console-server.pem", "console-server.key"),
    ):
        (tmp_path / "credentials" / given).touch()
    for given in ("root.json", "people.toml", "people-ca.pem"):
        (tmp_path / "config" / given).touch()
    text = text.replace("/run/secrets/cgi-hub", str(tmp_path / "credentials"))
    (tmp_path / "config" / file.name).write_text(
        text.replace("/etc/cgi-hub-subscriptions", str(tmp_path / "subscriptions"))
    )
    load: dict[str, Any] = {
        "router": load_router,
        "follow": load_broker,
        "exporter": load_exporter,
        "console": load_console,
    }
    settings = load[file.stem](tmp_path / "config" / file.name)
    assert settings.metrics.listen == "0.0.0.0:9464"
    assert settings.kafka.bootstrap == "hub-kafka-bootstrap:9093"
    assert str(settings.state).startswith("/var/lib/cgi-hub/")


def test_what_remembers_has_a_volume_that_outlives_its_pod() -> None:
    assert [w["metadata"]["name"] for w in find("Deployment")] == ["exporter"]  # it remembers nothing
    for workload in find("StatefulSet"):
        assert [claim["metadata"]["name"] for claim in workload["spec"]["volumeClaimTemplates"]] == ["state"]
    (router,) = find("StatefulSet", "router")
    assert router["spec"]["persistentVolumeClaimRetentionPolicy"] == {"whenDeleted": "Retain", "whenScaled": "Retain"}
    assert "replicas" not in router["spec"]  # router-scaling.yaml's


def test_routers_start_less_often_than_recipients_allow() -> None:
    (scaled,) = find("ScaledObject")
    behavior = scaled["spec"]["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    (down,) = behavior["scaleDown"]["policies"]
    assert (down["type"], down["value"], scaled["spec"]["minReplicaCount"]) == ("Pods", 1, 2)
    goes_in_a_day = 86_400 / down["periodSeconds"]
    assert goes_in_a_day + scaled["spec"]["maxReplicaCount"] < 50  # half of spec 11.8's 100: restarts count too
    rules = (ROOT / "deploy/prometheus/rules/recording.yml").read_text("utf-8")
    assert "record: group:cgi_lag_events:max\n" in rules  # what the query asks for
    assert scaled["spec"]["triggers"][0]["metadata"]["query"].startswith("sum(group:cgi_lag_events:max{")
    assert f'group="{ROUTER_GROUP}"' in scaled["spec"]["triggers"][0]["metadata"]["query"]
    assert scaled["spec"]["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "router"}


def test_a_drain_takes_one_router_at_a_time_and_never_waits_for_kafka() -> None:
    (budget,) = find("PodDisruptionBudget")
    assert budget["spec"]["maxUnavailable"] == 1
    assert budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
    (router,) = find("StatefulSet", "router")
    assert budget["spec"]["selector"] == router["spec"]["selector"]
    spread = {constraint["topologyKey"] for constraint in pod(router)["topologySpreadConstraints"]}
    assert spread == {"topology.kubernetes.io/zone", "kubernetes.io/hostname"}


def test_nobody_talks_but_for_what_is_said() -> None:
    policies = {policy["metadata"]["name"]: policy["spec"] for policy in find("NetworkPolicy")}
    assert policies["default-deny"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    for name, policy in policies.items():
        for rule in policy.get("ingress", []) + policy.get("egress", []):
            assert rule["ports"], name  # never everything
    outside = [name for name, policy in policies.items() for rule in policy.get("egress", []) if not rule.get("to")]
    assert outside == []
    anywhere = [name for name, policy in policies.items() for rule in policy.get("ingress", []) if not rule.get("from")]
    assert anywhere == ["console"]  # an overlay narrows it
    for workload in WORKLOADS:
        labels = workload["spec"]["template"]["metadata"]["labels"]
        assert labels["cgi-hub/kafka-client"] == "true"
        assert workload["spec"]["selector"]["matchLabels"].items() <= labels.items()


def test_kafkas_listeners_know_everyone_by_certificate() -> None:
    (kafka,) = find("Kafka")
    spec = kafka["spec"]["kafka"]
    assert [listener["port"] for listener in spec["listeners"]] == [9093, 9094]
    for listener in spec["listeners"]:
        assert listener["tls"] is True
        given = listener["authentication"]["listenerConfig"]
        assert (listener["authentication"]["type"], listener["authentication"]["sasl"]) == ("custom", False)
        assert given["ssl.client.auth"] == "required"
        assert given["ssl.principal.mapping.rules"] == PRINCIPAL_RULE
        assert given["ssl.enabled.protocols"] == "TLSv1.3"
    assert spec["authorization"] == {"type": "simple", "superUsers": [OPERATOR]}
    assert "entityOperator" not in kafka["spec"]  # hub broker follow does it
    template = (ROOT / "deploy/broker/server.properties").read_text("utf-8")
    wanted = dict(line.split("=", 1) for line in template.splitlines() if line and line[0] not in "#$")
    quotas = [key for key in wanted if key.startswith("quota.")]
    for key in ("auto.create.topics.enable", "compression.type", "message.max.bytes", *quotas):
        assert str(spec["config"][key]).lower() == wanted[key]
    assert (spec["config"]["default.replication.factor"], spec["config"]["min.insync.replicas"]) == (3, 2)
    assert {pool["spec"]["replicas"] for pool in find("KafkaNodePool")} == {3}


def test_the_rules_are_those_of_deploy_prometheus() -> None:
    again = "run `python -m tests.support.rendered`"
    assert KUBERNETES_RULES.read_text("utf-8") == render_kubernetes_rules(), again


@pytest.fixture
def example(tmp_path: Path) -> list[Resource]:
    """The example overlay as kustomize renders it, with files in the place of those that a deployment brings."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("no kubectl on this machine")
    shutil.copytree(FOLDER, tmp_path / "kubernetes")
    overlay = tmp_path / "kubernetes/overlays/example"
    for generator in yaml.safe_load((overlay / "kustomization.yaml").read_text("utf-8"))["configMapGenerator"]:
        for name in generator["files"]:
            (overlay / name).parent.mkdir(exist_ok=True)
            (overlay / name).write_text("given\n")
    done = subprocess.run([kubectl, "kustomize", overlay], capture_output=True, text=True, timeout=60, check=False)
    if "matchLabelKeys" in done.stderr or "unknown field" in done.stderr or "json: unknown" in done.stderr:
        pytest.skip("this kubectl's kustomize is too old")
    assert done.returncode == 0, done.stderr
    return [resource for resource in yaml.safe_load_all(done.stdout) if resource]


def test_the_example_renders_and_everything_that_is_named_is_there(example: list[Resource]) -> None:
    maps = {resource["metadata"]["name"] for resource in example if resource["kind"] == "ConfigMap"}
    wanted: set[str] = set()
    for resource in example:
        if resource["apiVersion"] not in OF_OTHERS:
            kubernetes_validate.validate(resource, KUBERNETES, strict=True)
        assert resource["kind"] == "Namespace" or resource["metadata"]["namespace"] == "cgi-hub"
        if resource["kind"] in ("StatefulSet", "Deployment"):
            assert container(resource)["image"] == "registry.hub.example/cgi-hub:0.1.0"
            for volume in pod(resource)["volumes"]:
                sources = [volume, *volume.get("projected", {}).get("sources", [])]
                wanted |= {source["configMap"]["name"] for source in sources if "configMap" in source}
    assert wanted <= maps
    (kafka,) = [resource for resource in example if resource["kind"] == "Kafka"]
    assert kafka["spec"]["kafka"]["listeners"][1]["configuration"]["bootstrap"] == {"host": "kafka.hub.example"}
    (console,) = [r for r in example if r["kind"] == "NetworkPolicy" and r["metadata"]["name"] == "console"]
    assert console["spec"]["ingress"][0]["from"]
