"""tests/support/leaks.py fails a run that logs a serial number, a name or a key, wherever it comes out."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import leaks

ROOT = Path(__file__).parents[2]

CONFTEST = """
from tests.support.leaks import pytest_configure, pytest_runtest_logreport, pytest_sessionfinish
from tests.support.leaks import pytest_terminal_summary
"""

PLANTED = {
    "said": "from hub.log_words import say\n    say('process.failed', reason='no place for {}')",
    "printed": "import sys\n    print('row {}', file=sys.stderr)",
    "logged": "import logging\n    logging.getLogger('x').error('row %s', '{}')",
    "taken by the test": (
        "from hub.log_words import configure, say\n    configure(json=True)\n    say('process.failed', reason='{}')\n"
        "    capsys.readouterr()"
    ),
    "child": (
        "import subprocess, sys\n"
        "    subprocess.run([sys.executable, '-c', 'import sys; print({!r}, file=sys.stderr)'], capture_output=True)"
    ),
    "killed child": (
        "import subprocess, sys\n"
        "    code = 'import os, sys; print({!r}, file=sys.stderr); os.kill(os.getpid(), 9)'\n"
        "    subprocess.run([sys.executable, '-c', code], stderr=subprocess.DEVNULL)"
    ),
}


def run_with(tmp_path: Path, body: str) -> subprocess.CompletedProcess[str]:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_it.py").write_text(f"def test_it(capsys):\n    {body}\n")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), str(tmp_path)],
        capture_output=True,
        text=True,
        env=environment,
        cwd=tmp_path,
        timeout=100,
        check=False,
    )


def an_example() -> str:
    return next(value for value in sorted(leaks._of_files()) if value.isalnum() and value.isascii())


@pytest.mark.parametrize("how", PLANTED)
def test_a_leak_fails_the_run(how: str, tmp_path: Path) -> None:
    # written so that this test's own run does not show it
    secret = an_example()
    ended = run_with(tmp_path, PLANTED[how].replace("{!r}", f'"{secret}"').replace("{}", secret))
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert "content or keys in the log" in ended.stdout
    assert "test_it.py::test_it" in ended.stdout


def test_a_key_fails_the_run(tmp_path: Path) -> None:
    body = "from tests.support.authority import signing_key\n    import sys\n    key = signing_key('JCF')\n    "
    for form in ("key.seed.hex()", "__import__('base64').b64encode(key.seed).decode()", "key.seed[:20].hex()"):
        ended = run_with(tmp_path, f"{body}print({form}, file=sys.stderr)")
        assert ended.returncode == 1, form


def test_nothing_planted_nothing_found(tmp_path: Path) -> None:
    body = "from hub.log_words import say\n    say('process.ready', agency='JCF', offset=1234567, code='outbox.full')"
    ended = run_with(tmp_path, body)
    assert ended.returncode == 0, ended.stdout


def test_what_is_searched_for() -> None:
    found = leaks._of_files()
    assert len(found) > 5_000
    assert any(" " in value for value in found)
    body = {"firearm": {"serial_raw": "AB000007", "model": "GLOCK 17 GEN 5"}, "persons": [{"names": ["PERSON, Any"]}]}
    assert set(leaks.values_of(body)) == {"AB000007", "PERSON, Any"}
