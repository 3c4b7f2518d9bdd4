"""hub broker issue-node: what a deployment's own node needs."""

from __future__ import annotations

from pathlib import Path

from cryptography import x509

from hub.adapters.pki import Authority
from hub.adapters.tls import TlsFiles
from hub.cli.main import run


def test_a_node_has_its_names_and_one_file_for_kafka(tmp_path: Path) -> None:
    Authority.create(tmp_path / "pki")
    words = ["broker", "issue-node", "node-1", "--authority", tmp_path / "pki", "--out", tmp_path / "node", "--json"]
    assert run([*map(str, words), "--host", "kafka", "--host", "hub.example", "--host", "10.0.0.5"]) == 0
    TlsFiles(tmp_path / "node/ca.pem", tmp_path / "node/tls.pem", tmp_path / "node/tls.key").check()
    keystore = tmp_path / "node/keystore.pem"
    assert keystore.stat().st_mode & 0o777 == 0o600
    assert keystore.read_bytes().count(b"BEGIN") == 2
    certificate = x509.load_pem_x509_certificate((tmp_path / "node/tls.pem").read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["kafka", "hub.example"]
    assert [str(each) for each in names.get_values_for_type(x509.IPAddress)] == ["10.0.0.5"]
    assert run([*map(str, words), "--host", "kafka"]) == 2  # never over another key


def test_a_node_without_a_name_is_refused(tmp_path: Path) -> None:
    words = ["broker", "issue-node", "node-1", "--authority", str(tmp_path / "pki"), "--out", str(tmp_path / "node")]
    assert run(words) == 2
    assert list(tmp_path.iterdir()) == []
