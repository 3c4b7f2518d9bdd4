"""One real Kafka node on this machine: for tests, for the demo, for ``make up``. Not how a deployment runs its brokers.

    broker = BrokerProcess(Path("build/demo/kafka"), deploy=Path("deploy/broker"), jars=Path("build/broker/jars"))
    with broker:
        ... broker.bootstrap, broker.operator, broker.authority.issue_client("ATF", folder) ...

Everything that it writes is in its folder: ``data/``, ``pki/``, ``server.properties``, ``broker.log``, ``jvm.log``,
``broker.json``. The JVM hangs on a pipe of the process that started it: when that process ends, however it ends, the
JVM ends too, unless it was started with ``detached=True``.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from string import Template
from types import TracebackType
from typing import Final, Self

from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_pem_x509_certificates

from hub.adapters.broker_jars import verify_jars
from hub.adapters.kafka_admin import KafkaAdmin
from hub.adapters.key_files import replace_secret
from hub.adapters.pki import OPERATOR, PRINCIPAL_RULE, Authority
from hub.adapters.tls import TlsFiles, client_context, load_certificate
from hub.errors import BusUnavailable, ConfigError, UnavailableError

TEST_JVM: Final = ("-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto")
"""Up fast and small (architecture.md, "Libraries chosen")."""

BENCH_JVM: Final = ("-Xms1g", "-Xmx1g", "-XX:+UseG1GC")
"""For measuring: the optimising compiler, and a collector as in production."""

START_SECONDS: Final = 90.0
STOP_SECONDS: Final = 15.0
_MINIMUM_JAVA: Final = 17
_NODE_ID: Final = 1
_LISTENERS: Final = ("client", "controller")
_FIRST_PORT: Final = 20_000
_PORTS: Final = 10_000
"""Below what Linux gives to outgoing connections (32768 and up), so that none of those takes a port from us."""

_KEEPER: Final = 'exec 3<&0; "$@" </dev/null 3<&- & jvm=$!; (cat <&3 >/dev/null; kill -TERM $jvm) & wait $jvm'
"""Runs the JVM and ends it at the end of standard input, which only our process holds open."""


class PortTaken(ConfigError):
    """Somebody listens already where the node should."""

    code = "broker.port_taken"


class JavaMissing(ConfigError):
    """No Java, or one that is too old for Kafka."""

    code = "broker.java_missing"


class TruststoreInvalid(ConfigError):
    """What a node trusts is not exactly one certificate authority."""

    code = "broker.truststore_invalid"


class BrokerNotUp(UnavailableError):
    """The node ended, or did not answer in time. ``log`` says where to look."""

    code = "broker.not_up"


class BrokerProcess:
    """One KRaft node, broker and controller, in ``folder``. ``start`` and ``stop`` may be called in turn.

    ``deploy`` is the project's deploy/broker; ``jars`` has what ``make`` fetched; ``authority`` is the operator's CA,
    by default one in ``folder/pki``. Ports that are not given are free ones, kept in ``folder`` for the next start.
    ``settings`` are further lines of server.properties.
    """

    def __init__(
        self,
        folder: Path,
        *,
        deploy: Path,
        jars: Path,
        authority: Authority | None = None,
        client_port: int | None = None,
        controller_port: int | None = None,
        host: str = "127.0.0.1",
        jvm: Sequence[str] = TEST_JVM,
        settings: Sequence[str] = (),
    ) -> None:
        self.folder = folder.resolve()
        self.host = host
        self._deploy = deploy.resolve()
        self._jars = jars.resolve()
        self._jvm = tuple(jvm)
        self._settings = tuple(settings)
        self._process: subprocess.Popen[bytes] | None = None
        known = self._read_state()
        self._given_ports = client_port is not None or controller_port is not None
        self.client_port = client_port or known.get("client_port") or _free_port(host)
        self.controller_port = controller_port or known.get("controller_port") or _free_port(host)
        self.authority = authority or Authority.load_or_create(self.folder / "pki")
        self.operator = self._operator_files()

    @property
    def bootstrap(self) -> str:
        """``host:port`` for clients."""
        return f"{self.host}:{self.client_port}"

    @property
    def certificate(self) -> Path:
        """The node's certificate."""
        return self._pki / "tls.pem"

    @property
    def _pki(self) -> Path:
        return self.folder / "pki" / "node-1"

    @property
    def log(self) -> Path:
        """Kafka's log."""
        return self.folder / "broker.log"

    @property
    def data(self) -> Path:
        """Where the topics' segments are."""
        return self.folder / "data"

    @property
    def pid(self) -> int | None:
        """The process group of the running node, if one runs: started by this object, or detached by an earlier one."""
        if self._process is not None:
            return self._process.pid if self._process.poll() is None else None
        pid = self._read_state().get("pid")
        return pid if pid is not None and _runs(pid, self.folder) else None

    def start(self, *, seconds: float = START_SECONDS, detached: bool = False) -> None:
        """Start the node and return when it answers the operator over mutual TLS.

        ``detached``: it outlives this process, until ``BrokerProcess(folder, ...).stop()``.
        Raises :class:`JavaMissing`, :class:`PortTaken`, :class:`BrokerNotUp`, and what :func:`verify_jars` raises;
        nothing is left running then.
        """
        if self.pid is not None:
            raise ConfigError("a node runs in this folder already", folder=self.folder, pid=self.pid)
        java = _find_java()
        jars = verify_jars(self._jars, self._deploy / "jars.sha256")
        self._choose_ports()
        self.folder.mkdir(parents=True, exist_ok=True)
        self._write_settings()
        command = [java, *self._jvm, "-cp", os.pathsep.join(map(str, jars))]
        command += [f"-Dlog4j2.configurationFile={self._deploy / 'log4j2.xml'}", f"-Dcgi.log={self.log}"]
        self._format(command)
        command += ["kafka.Kafka", str(self.folder / "server.properties")]
        with (self.folder / "jvm.log").open("ab") as output:
            self._process = subprocess.Popen(  # noqa: S603  # java and our own arguments
                command if detached else ["/bin/sh", "-c", _KEEPER, "sh", *command],
                stdin=subprocess.DEVNULL if detached else subprocess.PIPE,
                stdout=output,
                stderr=output,
                cwd=self.folder,
                start_new_session=True,
            )
        self._write_state(self._process.pid)
        try:
            self._wait_until_up(seconds)
        except BaseException:
            self.kill()
            raise
        if detached:
            self._process.returncode = 0  # it is nobody's child to wait for: Popen must not warn
            self._process = None

    def stop(self, *, seconds: float = STOP_SECONDS) -> None:
        """End the node in good order; by force after ``seconds``. Nothing happens where none runs."""
        pid = self.pid
        if pid is None:
            self._forget()
            return
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
        else:
            os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + seconds
        while self.pid is not None and time.monotonic() < deadline:
            time.sleep(0.05)
        self.kill()

    def kill(self) -> None:
        """End the node at once, as a power cut would (``kill -9``)."""
        pid = self._process.pid if self._process is not None else self.pid
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):  # it has ended already, which is what was wanted
                os.killpg(pid, signal.SIGKILL)
            deadline = time.monotonic() + STOP_SECONDS
            while _group_runs(pid) and time.monotonic() < deadline:
                time.sleep(0.02)
        self._forget()

    def renew_certificate(self, *, seconds: float = STOP_SECONDS) -> None:
        """A new certificate for the running node, which it shows to every new connection when this returns.

        Nothing restarts, and open connections go on. Raises :class:`BrokerNotUp` where it does not show in time.
        """
        certificate = self._write_keystore()
        keystore = self._pki / "keystore.pem"
        KafkaAdmin(self.bootstrap, self.operator).reload_keystore(_NODE_ID, keystore, _LISTENERS)
        wanted = load_certificate(certificate).public_bytes(Encoding.DER)
        deadline = time.monotonic() + seconds
        for port in (self.client_port, self.controller_port):
            while _shown_certificate(self.host, port, self.operator) != wanted:
                if time.monotonic() > deadline:
                    raise BrokerNotUp("the node does not show its new certificate", log=self.log, port=port)
                time.sleep(0.1)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # --- steps of starting --------------------------------------------------------------------------------------------

    def _operator_files(self) -> TlsFiles:
        """The operator's certificate: the one that is there or, where there is none from this authority, a new one."""
        folder = self.folder / "pki" / OPERATOR
        files = TlsFiles(folder / "ca.pem", folder / "tls.pem", folder / "tls.key")
        if files.key.exists() and files.ca.read_bytes() == self.authority.ca.read_bytes():
            return files
        return self.authority.issue_client(OPERATOR, folder)

    def _choose_ports(self) -> None:
        for name in ("client_port", "controller_port"):
            port = getattr(self, name)
            if _is_free(self.host, port):
                continue
            if self._given_ports:
                raise PortTaken("another process listens on this port", host=self.host, port=port, setting=name)
            setattr(self, name, _free_port(self.host))

    def _write_keystore(self) -> Path:
        """A new certificate and key for the node, where it reads them; gives the certificate's file."""
        node = self.authority.issue_node("node-1", self._pki, hosts=(self.host, "localhost"))
        replace_secret(self._pki / "keystore.pem", node.key.read_bytes() + node.certificate.read_bytes())
        return node.certificate

    def _check_truststore(self, truststore: Path) -> None:
        """One authority, and no second one beside it: Java holds what is in a truststore to no name constraint."""
        found = len(load_pem_x509_certificates(truststore.read_bytes()))
        if found != 1:
            raise TruststoreInvalid(
                "a node trusts one authority: any other is certified by it (hub broker certify-ca)",
                file=truststore,
                certificates=found,
            )

    def _write_settings(self) -> None:
        self._write_keystore()
        self._check_truststore(self._pki / "ca.pem")
        template = Template((self._deploy / "server.properties").read_text("utf-8"))
        text = template.substitute(
            node_id=_NODE_ID,
            host=self.host,
            client_port=self.client_port,
            controller_port=self.controller_port,
            data=self.data,
            keystore=self._pki / "keystore.pem",
            truststore=self._pki / "ca.pem",
            principal_rule=PRINCIPAL_RULE.replace("\\", "\\\\"),
            operator=OPERATOR,
            extra="\n".join(self._settings),
        )
        (self.folder / "server.properties").write_text(text, "utf-8")

    def _format(self, command: Sequence[str]) -> None:
        """Format the data folder, unless it is."""
        if (self.data / "meta.properties").exists():
            return
        arguments = ["format", "--standalone", "-t", _cluster_id(os.urandom(16))]
        arguments += ["-c", str(self.folder / "server.properties")]
        try:
            done = subprocess.run(  # noqa: S603  # java and our own arguments
                [*command, "kafka.tools.StorageTool", *arguments],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
                timeout=START_SECONDS,
            )
        except subprocess.TimeoutExpired as error:
            raise BrokerNotUp("the data folder was not formatted in time", log=self.log) from error
        if done.returncode != 0:
            (self.folder / "jvm.log").write_bytes(done.stdout + done.stderr)
            raise BrokerNotUp("the data folder could not be formatted", log=self.folder / "jvm.log")

    def _wait_until_up(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while True:
            if self.pid is None:
                raise BrokerNotUp("the node ended while it started", log=self._where_to_look())
            if not _is_free(self.host, self.client_port):
                try:
                    KafkaAdmin(self.bootstrap, self.operator).check(seconds=1.0)
                except BusUnavailable:
                    pass  # it listens but does not answer yet
                else:
                    return
            if time.monotonic() > deadline:
                raise BrokerNotUp(f"the node did not answer within {seconds:.0f} s", log=self._where_to_look())
            time.sleep(0.1)

    def _where_to_look(self) -> Path:
        """Kafka's log or, where it wrote none, what the JVM said."""
        return self.log if self.log.exists() and self.log.stat().st_size else self.folder / "jvm.log"

    # --- what outlives this object ------------------------------------------------------------------------------------

    def _read_state(self) -> dict[str, int]:
        file = self.folder / "broker.json"
        try:
            state = json.loads(file.read_text("utf-8"))
        except FileNotFoundError:
            return {}
        except ValueError as error:
            raise ConfigError("this file is damaged; remove it", file=file) from error
        return {name: int(value) for name, value in state.items() if value is not None}

    def _write_state(self, pid: int | None) -> None:
        state = {"client_port": self.client_port, "controller_port": self.controller_port, "pid": pid}
        (self.folder / "broker.json").write_text(json.dumps(state) + "\n", "utf-8")

    def _forget(self) -> None:
        if self._process is not None:
            if self._process.stdin is not None:
                self._process.stdin.close()
            self._process.wait()
            self._process = None
        if (self.folder / "broker.json").exists():
            self._write_state(None)


def _cluster_id(randomness: bytes) -> str:
    """16 random bytes as Kafka writes a UUID. It never begins with a dash, which would look like an option."""
    return base64.urlsafe_b64encode(bytes([randomness[0] & 0x7F]) + randomness[1:]).decode().rstrip("=")


def _runs(pid: int, folder: Path) -> bool:
    """Whether ``pid`` is a node of ours in ``folder``, and not another process that got its number since."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return str(folder / "server.properties").encode() in command


def _group_runs(group: int) -> bool:
    """Whether a process of this group still runs; one that only waits to be reaped does not."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):  # it ended while we looked
                state, _parent, its_group = (entry / "stat").read_text().rpartition(")")[2].split()[:3]
                if int(its_group) == group and state not in "ZX":
                    return True
    return False


def _find_java() -> str:
    java = shutil.which("java")
    way_out = f"install Java {_MINIMUM_JAVA} or newer (Debian: openjdk-17-jre-headless)"
    if java is None:
        raise JavaMissing(f"there is no java on the PATH; {way_out}")
    done = subprocess.run([java, "-version"], capture_output=True, check=False, timeout=30)  # noqa: S603  # java
    words = done.stderr.decode(errors="replace").split('"')
    release = words[1] if len(words) > 1 else ""
    major = release.split(".")[0]
    if not major.isdecimal() or int(major) < _MINIMUM_JAVA:
        raise JavaMissing(f"this java is too old; {way_out}", java=java, version=release or "unknown")
    return java


def _shown_certificate(host: str, port: int, files: TlsFiles) -> bytes:
    context = client_context(files)
    with socket.create_connection((host, port), 5) as plain, context.wrap_socket(plain, server_hostname=host) as secure:
        return secure.getpeercert(binary_form=True) or b""


def _is_free(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as Java does: only a listener makes it taken
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _free_port(host: str) -> int:
    """A port that nobody listens on, and that no outgoing connection is given before the node has bound it."""
    for _ in range(100):
        port = _FIRST_PORT + secrets.randbelow(_PORTS)
        if _is_free(host, port):
            return port
    raise PortTaken("no free port was found", host=host, first=_FIRST_PORT, last=_FIRST_PORT + _PORTS - 1)
