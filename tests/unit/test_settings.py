"""hub/settings.py: what a configuration may say, and what is said when it does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from hub.errors import ConfigError
from hub.settings import SettingsInvalid, load_router, load_site

SITE = """
agency = "JCF"
state = "state"
release = "release.yaml"
subscription = "subscription.yaml"
[kafka]
bootstrap = "localhost:9093,localhost:9094"
ca = "tls/ca.pem"
certificate = "tls/client.pem"
key = "tls/client.key"
[keys]
signing = "keys/signing.key"
kem = "keys/kem"
[directory]
path = "directory.json"
root = "root.json"
[metrics]
listen = "127.0.0.1:0"
[[source]]
kind = "csv"
path = "in/*.csv"
[[sink]]
kind = "jsonl"
path = "out/events.jsonl"
"""
ROUTER = """
state = "state"
subscriptions = "subscriptions"
[kafka]
bootstrap = "localhost:9093"
ca = "tls/ca.pem"
certificate = "tls/client.pem"
key = "tls/client.key"
[keys]
signing = "keys/signing.key"
[directory]
path = "directory.json"
root = "root.json"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in (
        "tls/ca.pem",
        "tls/client.pem",
        "tls/client.key",
        "keys/signing.key",
        "root.json",
        "release.yaml",
        "subscription.yaml",
    ):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    (tmp_path / "keys/kem").mkdir()
    (tmp_path / "subscriptions").mkdir()
    return tmp_path


def write(folder: Path, text: str) -> Path:
    path = folder / "config.toml"
    path.write_text(text)
    return path


def test_a_site(folder: Path) -> None:
    site = load_site(write(folder, SITE))
    assert (site.agency, site.hub) == ("JCF", "HUB")
    assert site.folder == folder
    assert site.state == folder / "state"
    assert site.kafka.ca == folder / "tls/ca.pem"
    assert site.keys.kem == folder / "keys/kem"
    assert site.source[0].kind == site.source[0].label == "csv"
    assert site.source[0].options == {"path": "in/*.csv"}


def test_a_router_and_overrides(folder: Path) -> None:
    router = load_router(write(folder, ROUTER), overrides={"state": "state/two", "metrics.listen": "[::1]:9"})
    assert router.metrics.listen == "[::1]:9"
    assert router.agency == "HUB"
    assert router.state == folder / "state/two"


def test_an_override_below_what_is_no_table_is_said_in_one_sentence(folder: Path) -> None:
    with pytest.raises(SettingsInvalid, match='"metrics"'):
        load_router(write(folder, "metrics = 5\n" + ROUTER), overrides={"metrics.listen": "127.0.0.1:0"})


def test_a_path_with_a_nul_is_refused(folder: Path) -> None:
    with pytest.raises(SettingsInvalid, match='"state": a path has no NUL'):
        load_site(write(folder, SITE.replace('"state"', '"a\\u0000b"', 1)))


def test_paths_are_relative_to_the_file_wherever_one_stands(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(folder, SITE)
    monkeypatch.chdir(folder.parent)
    assert load_site(path.relative_to(folder.parent)).kafka.key == folder / "tls/client.key"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('agency = "JCF"', 'agencey = "JCF"', 'unknown key "agencey": did you mean "agency"?'),
        ('agency = "JCF"\n', "", 'the key "agency" is missing'),
        ('agency = "JCF"', 'agency = "jcf"', '"agency": not an agency code'),
        ("ca = ", "cas = ", 'unknown key "kafka.cas": did you mean "ca"?'),
        ("ca = ", "cas = ", 'the key "kafka.ca" is missing'),
        ("listen = ", "zzzz = ", 'unknown key "metrics.zzzz": there are: address_file, listen, stale_after'),
        ("tls/client.key", "tls/none.key", '"kafka.key": there is no file'),
        ("keys/kem", "keys/none", '"keys.kem": there is no folder'),
        ("127.0.0.1:0", "127.0.0.1", '"metrics.listen": an address is HOST:PORT'),
        ("127.0.0.1:0", "127.0.0.1:70000", '"metrics.listen": an address is HOST:PORT'),
        ("localhost:9094", "localhost", '"kafka.bootstrap": an address is HOST:PORT'),
        ('kind = "csv"', "", 'the key "source.0.kind" is missing'),
        ('release = "release.yaml"', "", "a site with a [[source]] publishes"),
        ('signing = "keys/signing.key"', "", "a site with a [[source]] publishes"),
        ('kem = "keys/kem"', "", "a site with a [[sink]] receives"),
        ('subscription = "subscription.yaml"', "", "a site with a [[sink]] receives"),
        ("[[sink]]", '[[source]]\nkind = "csv"\n[[sink]]', 'two [[source]] are called "csv"'),
        ("[kafka]", "[kafka", "not TOML"),
    ],
)
def test_what_is_wrong_is_named(folder: Path, old: str, new: str, said: str) -> None:
    assert old in SITE
    with pytest.raises(SettingsInvalid) as caught:
        load_site(write(folder, SITE.replace(old, new, 1)))
    assert said in caught.value.message
    assert caught.value.details["file"] == folder / "config.toml"


def test_a_secret_is_not_repeated(folder: Path) -> None:
    with pytest.raises(SettingsInvalid) as caught:
        load_site(write(folder, SITE.replace("[keys]", '[keys]\npassword = "hunter2"')))
    assert "hunter2" not in caught.value.diagnostics()


def test_no_file(folder: Path) -> None:
    with pytest.raises(ConfigError, match="no such configuration file"):
        load_site(folder / "none.toml")


def test_settings_are_frozen(folder: Path) -> None:
    site = load_site(write(folder, SITE))
    with pytest.raises(ValueError, match="frozen"):
        site.agency = "ATF"  # type: ignore[misc]
