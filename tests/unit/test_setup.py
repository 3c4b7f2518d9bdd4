"""deploy/setup.sh on machines that lack something: one clear line, or apt-get where root may."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOOLS = ("sh", "cat", "dirname", "env", "grep", "id", "mkdir", "rm", "sed", "sha256sum", "touch", "chmod")
JAVA = """echo 'openjdk version "17.0.15" 2025-04-15' >&2"""


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A checkout with nothing but the files that set-up reads, and a ``bin`` that is the whole PATH."""
    for name in ("deploy/setup.sh", "requirements/bootstrap.txt", "requirements/dev.txt", "deploy/broker/pom.xml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "deploy/broker/jars.sha256").write_text(f"{'0' * 64}  kafka.jar\n")
    (tmp_path / "bin").mkdir()
    for tool in TOOLS:
        (tmp_path / "bin" / tool).symlink_to(shutil.which(tool) or pytest.fail(f"no {tool}"))
    return tmp_path


def program(machine: Path, name: str, text: str) -> None:
    file = machine / "bin" / name
    file.unlink(missing_ok=True)
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)


def set_up(machine: Path, what: str, **environment: str) -> tuple[int, str]:
    done = subprocess.run(
        ["sh", "deploy/setup.sh", what],
        cwd=machine,
        env={"PATH": str(machine / "bin"), "HOME": os.devnull} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stderr


def test_no_python(machine: Path) -> None:
    code, text = set_up(machine, "python")
    assert (code, text.count("\n")) == (1, 1)
    assert "Python 3.11 or newer is missing" in text


def test_an_old_python(machine: Path) -> None:
    program(machine, "python3", "exit 1")
    assert "Python 3.11 or newer is missing" in set_up(machine, "python")[1]


def test_no_java_and_nobody_who_may_install_it(machine: Path) -> None:
    program(machine, "id", "echo 1000")
    code, text = set_up(machine, "jars")
    assert (code, text.count("\n")) == (1, 1)
    assert "Java 17 or newer is missing" in text
    assert "openjdk-17-jre-headless" in text


@pytest.mark.parametrize("version", ['openjdk version "11.0.27" 2025-04-15', 'java version "1.8.0_452"', "what?"])
def test_an_old_java(machine: Path, version: str) -> None:
    program(machine, "id", "echo 1000")
    program(machine, "java", f"echo '{version}' >&2")
    code, text = set_up(machine, "jars")
    assert (code, text.count("\n")) == (1, 1)
    assert "Java 17 or newer is missing" in text


def test_an_old_java_that_stays_first_on_the_path(machine: Path) -> None:
    program(machine, "id", "echo 0")
    program(machine, "apt-get", "")
    program(machine, "java", "echo 'openjdk version \"11.0.27\" 2025-04-15' >&2")
    code, text = set_up(machine, "jars")
    assert code == 1
    assert f"the java on the PATH is still older than 17: {machine}/bin/java" in text


def test_no_venv_and_nobody_who_may_install_it(machine: Path) -> None:
    program(machine, "id", "echo 1000")
    program(machine, "python3", 'case "$*" in *ensurepip*) exit 1;; esac')
    code, text = set_up(machine, "python")
    assert (code, text.count("\n")) == (1, 1)
    assert "python3-venv" in text


def test_root_gets_java_and_maven_through_apt(machine: Path) -> None:
    program(machine, "id", "echo 0")
    program(machine, "apt-get", f'echo "$*" >>{machine}/apt.log')
    program(machine, "java", f"[ -e {machine}/apt.log ] && {JAVA}")  # it works once it is installed
    program(machine, "mvn", "exit 1")
    code, text = set_up(machine, "jars")
    assert "Maven could not get the broker's jars: see build/broker/maven.log" in text
    assert code == 1
    asked = (machine / "apt.log").read_text()
    assert asked == "-qq update\n-qq install -y --no-install-recommends openjdk-17-jre-headless\n"


def test_an_install_that_fails_is_told(machine: Path) -> None:
    program(machine, "id", "echo 0")
    program(machine, "apt-get", "exit 100")
    code, text = set_up(machine, "jars")
    assert code == 1
    assert "apt-get could not install openjdk-17-jre-headless" in text


def test_jars_that_are_not_the_pinned_ones(machine: Path) -> None:
    program(machine, "java", JAVA)
    program(machine, "mvn", "echo bad >build/broker/jars/kafka.jar")
    code, text = set_up(machine, "jars")
    assert code == 1
    assert "kafka.jar: FAILED" in text
    assert "not the pinned ones" in text


def test_prometheus_is_there_already(machine: Path) -> None:
    for name in ("promtool", "prometheus", "prometheus-alertmanager"):
        program(machine, name, "")
    assert set_up(machine, "observability") == (0, "")


def test_no_prometheus_and_nobody_who_may_install_it(machine: Path) -> None:
    program(machine, "id", "echo 1000")
    program(machine, "apt-get", "exit 1")
    code, text = set_up(machine, "observability")
    assert (code, text.count("\n")) == (0, 1)
    assert "alerts are not tested" in text


def test_root_gets_prometheus_and_its_services_do_not_start(machine: Path) -> None:
    policy = machine / "policy-rc.d"
    program(machine, "id", "echo 0")
    program(machine, "apt-get", f'echo "$*" >>{machine}/apt.log; {policy} && echo may start >>{machine}/apt.log; true')
    program(machine, "systemctl", f'echo "$*" >>{machine}/systemctl.log')
    assert set_up(machine, "observability", POLICY_RC_D=str(policy))[0] == 0
    packages = "prometheus prometheus-alertmanager"
    asked = (machine / "apt.log").read_text()
    assert "may start" not in asked
    assert asked.endswith(f"-qq install -y --no-install-recommends {packages}\n")
    masked = "--quiet mask prometheus.service\n--quiet mask prometheus-alertmanager.service\n"
    assert (machine / "systemctl.log").read_text() == masked
    assert not policy.exists()


def test_a_prometheus_of_the_machine_is_left_alone(machine: Path) -> None:
    program(machine, "id", "echo 0")
    program(machine, "apt-get", f'echo "$*" >>{machine}/apt.log')
    program(machine, "systemctl", f'echo "$*" >>{machine}/systemctl.log')
    for name in ("promtool", "prometheus"):
        program(machine, name, "")
    assert set_up(machine, "observability", POLICY_RC_D=str(machine / "policy-rc.d"))[0] == 0
    assert (machine / "apt.log").read_text().endswith("--no-install-recommends prometheus-alertmanager\n")
    assert (machine / "systemctl.log").read_text() == "--quiet mask prometheus-alertmanager.service\n"


def test_a_policy_of_the_machine_stays(machine: Path) -> None:
    program(machine, "id", "echo 0")
    program(machine, "apt-get", "")
    program(machine, "policy-rc.d", "exit 0")
    policy = machine / "bin" / "policy-rc.d"
    assert set_up(machine, "observability", POLICY_RC_D=str(policy))[0] == 0
    assert policy.read_text() == "#!/bin/sh\nexit 0\n"


def test_prometheus_that_cannot_be_installed_stops_nothing(machine: Path) -> None:
    program(machine, "id", "echo 0")
    program(machine, "apt-get", "exit 100")
    code, text = set_up(machine, "observability", POLICY_RC_D=str(machine / "policy-rc.d"))
    assert code == 0
    assert "apt-get could not install prometheus prometheus-alertmanager" in text
    assert "alerts are not tested here" in text


def test_another_word_is_refused(machine: Path) -> None:
    assert set_up(machine, "everything") == (1, "setup: usage: setup.sh python|jars|observability|console|token\n")


def test_softhsm_is_there_already(machine: Path) -> None:
    program(machine, "softhsm2-util", "")
    assert set_up(machine, "token") == (0, "")


def test_no_softhsm_and_nobody_who_may_install_it(machine: Path) -> None:
    program(machine, "id", "echo 1000")
    program(machine, "apt-get", "exit 1")
    code, text = set_up(machine, "token")
    assert (code, text.count("\n")) == (0, 1)
    assert "keys in a token are not tested here" in text


def test_root_gets_softhsm(machine: Path) -> None:
    program(machine, "id", "echo 0")
    program(machine, "apt-get", f'echo "$*" >>{machine}/apt.log')
    assert set_up(machine, "token")[0] == 0
    assert (machine / "apt.log").read_text().endswith("-qq install -y --no-install-recommends softhsm2\n")
